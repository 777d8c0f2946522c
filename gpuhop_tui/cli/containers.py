"""`gpuhop-tui containers`: the containers of every node, once."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuhop_tui.cli.answers import has_answered, wait_for_answers, with_timeouts
from gpuhop_tui.cli.containers_table import render_containers
from gpuhop_tui.cli.failure import EXIT_INTERRUPTED, EXIT_SOME_FAILED, EXIT_TERMINATED
from gpuhop_tui.cli.progress import Progress
from gpuhop_tui.cli.prompts import TerminalPrompter
from gpuhop_tui.cli.signals import until_signal
from gpuhop_tui.cli.text import wants_colour
from gpuhop_tui.fleet.containers_report import containers_problem, report_containers
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.ssh.prompts import NoPrompter

if TYPE_CHECKING:
    from gpuhop_tui.cli.open import OpenFleet


def run_containers(options: argparse.Namespace, open_fleet: OpenFleet | None = None) -> int:
    """Run the command and return its exit status: 0 all answered, 1 some did not.

    Raises `CommandError` where the config or a node's name is wrong.
    """
    if open_fleet is None:
        from gpuhop_tui.cli.open import fleet_opener

        open_fleet = fleet_opener(options.config, demo=options.demo, only=options.nodes)
    status = asyncio.run(until_signal(_once(open_fleet, options)))
    if isinstance(status, signal.Signals):
        return EXIT_INTERRUPTED if status is signal.SIGINT else EXIT_TERMINATED
    return status


async def _once(open_fleet: OpenFleet, options: argparse.Namespace) -> int:
    person_is_there = sys.stdin.isatty() and sys.stderr.isatty() and not options.json
    prompter = TerminalPrompter() if person_is_there else None
    fleet = await open_fleet(prompter or NoPrompter())
    try:
        fleet.watch_containers(True)
        await fleet.start()
        with Progress(sys.stderr) as progress:

            def show(state: FleetState) -> None:
                if prompter is None or not prompter.asking:
                    progress.show(sum(map(is_listed, state.nodes)), len(state.nodes))

            human_seconds = prompter.human_seconds if prompter else lambda: 0.0
            await wait_for_answers(fleet, options.timeout, human_seconds, show, is_listed)
        state = _with_timeouts(fleet.state, options.timeout)
    finally:
        await fleet.stop()
    _print_state(state, as_json=options.json)
    return EXIT_SOME_FAILED if any(map(containers_problem, state.nodes)) else 0


def is_listed(node: NodeState) -> bool:
    """Whether there is a result: a listing with its figures, or a first failure. Retries are not
    waited for."""
    if node.link.problem is not None or node.containers_problem is not None:
        return True
    if node.containers is None:
        return False
    running = [each for each in node.containers.containers if each.state == "running"]
    measured = all(
        each.cpu_percent is not None or each.missing.get("cpu_percent") != "not measured yet"
        for each in running
    )
    figures = has_answered(node) or node.problem is not None  # for the memory on the GPUs
    return node.containers.disk is not None and measured and (figures or not running)


def _with_timeouts(state: FleetState, timeout: float) -> FleetState:
    """`state` with a timeout as the problem of every node that has no listing yet. What is listed
    but not measured is shown as it is."""

    def has_result(node: NodeState) -> bool:
        return is_listed(node) or node.containers is not None

    judged = with_timeouts(state, timeout, has_result)
    nodes = (
        node if has_result(node) else replace(node, containers_problem=node.probe_problem)
        for node in judged.nodes
    )
    return replace(judged, nodes=tuple(nodes))


def _print_state(state: FleetState, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report_containers(state), indent=2))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 120
        text = render_containers(
            state,
            now=time.time(),
            width=min(max(columns, 60), 200),
            colour=wants_colour(sys.stdout),
        )
        print(text, end="")
    sys.stdout.flush()
