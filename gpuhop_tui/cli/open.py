"""From the command line to a fleet: config, plan, and the fleet that connects by it."""

from __future__ import annotations

import difflib
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import EXIT_SOME_FAILED, CommandError

if TYPE_CHECKING:
    from gpuhop_tui.config.plan import Plan
    from gpuhop_tui.config.schema import Config
    from gpuhop_tui.fleet.state import FleetSource
    from gpuhop_tui.ssh.prompts import Prompter

log = logging.getLogger(__name__)

OpenFleet = Callable[["Prompter"], Awaitable["FleetSource"]]
"""Makes the fleet, not yet started. Raises `CommandError` where it cannot be made."""


def fleet_opener(
    config: Path | None, *, demo: bool = False, only: Sequence[str] = (), retry: bool = False
) -> OpenFleet:
    """How a command gets its fleet: that of the config, or the demo's, cut down to the nodes
    `only` names (all where it names none). Without `retry` each link is tried once."""

    async def open_embedded(prompter: Prompter) -> FleetSource:
        from gpuhop_tui.demo.fleet import DemoError, open_demo

        try:
            return await open_demo(
                prompter, choose=lambda plan: choose_nodes(plan, only), retry=retry
            )
        except DemoError as error:
            raise CommandError(str(error), EXIT_SOME_FAILED) from None

    async def open_configured(prompter: Prompter) -> FleetSource:
        path = find(config)
        if not path.exists() and not is_named(config):
            raise CommandError(no_config_lines(path))
        loaded = load(path)
        for warning in warnings(path):
            print(f"gpuhop-tui: warning: {warning}", file=sys.stderr)
        return await build_fleet(loaded, prompter, only=only, retry=retry)

    return open_embedded if demo else open_configured


def find(config: Path | None) -> Path:
    """Where the config is or should be: `--config`, $GPUHOP_CONFIG, the user's config directory."""
    from gpuhop_tui.config.load import find_config

    return find_config(config, os.environ)


def is_named(config: Path | None) -> bool:
    """Whether the user named a file, so that its absence is a mistake and not a first run."""
    return config is not None or bool(os.environ.get("GPUHOP_CONFIG"))


def load(path: Path) -> Config:
    """The config in a file. Raises `CommandError`."""
    from gpuhop_tui.config.errors import ConfigError
    from gpuhop_tui.config.load import load_config

    try:
        return load_config(path)
    except ConfigError as error:
        raise CommandError([str(finding) for finding in error.findings]) from None


def warnings(path: Path) -> list[str]:
    """What is unsafe about a config file that loads; it goes to the log too."""
    from gpuhop_tui.config.load import permission_warnings

    found = permission_warnings(path)
    for warning in found:
        log.warning("%s", warning)
    return found


async def build_fleet(
    config: Config,
    prompter: Prompter,
    *,
    only: Sequence[str] = (),
    retry: bool,
    keep_past: bool = False,
) -> FleetSource:
    """The fleet of a config, not yet started; `keep_past`, unless the config says otherwise.
    Raises `CommandError` for an unknown node."""
    from gpuhop_tui.config.resolve import plan_fleet

    whole = await plan_fleet(config)
    plan = choose_nodes(whole, only)

    from gpuhop_tui.fleet.fleet import Fleet
    from gpuhop_tui.fleet.store.database import default_path
    from gpuhop_tui.ssh.guard.settings import guard_settings

    socket = config.agent.socket
    return Fleet(
        plan,
        prompter=prompter,
        agent_socket=str(socket) if socket else None,
        sample_interval=config.ui.sample_interval,
        key_lifetime=config.agent.key_lifetime,
        retry=retry,
        guard=guard_settings(config, whole),
        store=default_path() if keep_past and config.history.keep else None,
        store_limit=config.history.limit,
    )


def choose_nodes(plan: Plan, names: Sequence[str]) -> Plan:
    """`plan` with the named nodes only and the bastions on their ways; all where none is named.

    Raises `CommandError` for a name that the plan lacks, with the nearest that it has.
    """
    from gpuhop_tui.config.hops import Route

    known = [node.name for node in plan.nodes]
    unknown = [_unknown(name, known) for name in names if name not in known]
    if unknown:
        raise CommandError(unknown)
    if not names:
        return plan
    nodes = tuple(node for node in plan.nodes if node.name in names)
    routes = [node.route for node in nodes if isinstance(node.route, Route)]
    ways = {hop.name for route in routes for hop in route.via}
    return replace(plan, nodes=nodes, bastions=tuple(b for b in plan.bastions if b.name in ways))


def no_config_lines(path: Path) -> list[str]:
    """What to say where there is no config yet."""
    return [
        f"there is no config at {path}",
        "make one with your bastions and nodes, for example:",
        '    [[bastions]]\n    name = "jump-server"\n    host = "jump.example.org"',
        '    [[nodes]]\n    name = "gpu-01"\n    host = "10.0.0.50"\n    via = ["jump-server"]',
        "or look around first with: gpuhop-tui --demo",
    ]


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"no node is named {name!r}: did you mean {near[0]!r}?"
    return f"no node is named {name!r}; there are: {', '.join(known) or 'none'}"
