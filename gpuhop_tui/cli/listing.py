"""Lists of what nodes have, once: what `sessions` and `containers` have in common."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpuhop_tui.cli.answers import wait_for_answers, with_timeouts
from gpuhop_tui.cli.failure import EXIT_INTERRUPTED, EXIT_SOME_FAILED, EXIT_TERMINATED
from gpuhop_tui.cli.progress import Progress
from gpuhop_tui.cli.prompts import TerminalPrompter
from gpuhop_tui.cli.signals import until_signal
from gpuhop_tui.cli.text import wants_colour
from gpuhop_tui.fleet.state import FleetSource, FleetState, NodeState
from gpuhop_tui.problem import Problem
from gpuhop_tui.ssh.prompts import NoPrompter

if TYPE_CHECKING:
    from gpuhop_tui.cli.open import OpenFleet


@dataclass(frozen=True, slots=True)
class Listed:
    """One kind of thing to list, and where a node keeps it."""

    watch: Callable[[FleetSource], None]  # begins to list it
    is_complete: Callable[[NodeState], bool]  # nothing more is waited for
    has_result: Callable[[NodeState], bool]  # something can be shown, complete or not
    problem: Callable[[NodeState], Problem | None]
    with_problem: Callable[[NodeState, Problem | None], NodeState]
    report: Callable[[FleetState], dict[str, Any]]  # for --json
    render: Callable[[FleetState, int, bool], str]  # the table: width, whether in colour


def run_list(
    listed: Listed, options: argparse.Namespace, open_fleet: OpenFleet | None = None
) -> int:
    """Lists once and returns the exit status: 0 all answered, 1 some did not.

    Raises `CommandError` where the config or a node's name is wrong.
    """
    if open_fleet is None:
        from gpuhop_tui.cli.open import fleet_opener

        open_fleet = fleet_opener(options.config, demo=options.demo, only=options.nodes)
    status = asyncio.run(until_signal(_once(listed, open_fleet, options)))
    if isinstance(status, signal.Signals):
        return EXIT_INTERRUPTED if status is signal.SIGINT else EXIT_TERMINATED
    return status


async def _once(listed: Listed, open_fleet: OpenFleet, options: argparse.Namespace) -> int:
    person_is_there = sys.stdin.isatty() and sys.stderr.isatty() and not options.json
    prompter = TerminalPrompter() if person_is_there else None
    fleet = await open_fleet(prompter or NoPrompter())
    try:
        listed.watch(fleet)
        await fleet.start()
        with Progress(sys.stderr) as progress:

            def show(state: FleetState) -> None:
                if prompter is None or not prompter.asking:
                    progress.show(sum(map(listed.is_complete, state.nodes)), len(state.nodes))

            human_seconds = prompter.human_seconds if prompter else lambda: 0.0
            await wait_for_answers(fleet, options.timeout, human_seconds, show, listed.is_complete)
        state = _with_timeouts(listed, fleet.state, options.timeout)
    finally:
        await fleet.stop()
    _print_state(listed, state, as_json=options.json)
    return EXIT_SOME_FAILED if any(map(listed.problem, state.nodes)) else 0


def _with_timeouts(listed: Listed, state: FleetState, timeout: float) -> FleetState:
    """`state` with a timeout as the problem of every node that has no result yet."""
    judged = with_timeouts(state, timeout, listed.has_result)
    nodes = (
        node if listed.has_result(node) else listed.with_problem(node, node.probe_problem)
        for node in judged.nodes
    )
    return replace(judged, nodes=tuple(nodes))


def _print_state(listed: Listed, state: FleetState, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(listed.report(state), indent=2))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 120
        width = min(max(columns, 60), 200)
        print(listed.render(state, width, wants_colour(sys.stdout)), end="")
    sys.stdout.flush()
