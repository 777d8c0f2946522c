"""`gpuhop-tui status`: one sample of every node, or every sample until stopped."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gpuhop_tui.cli.answers import (
    has_answered,
    is_news,
    is_settled,
    wait_for_answers,
    with_timeouts,
)
from gpuhop_tui.cli.failure import (
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    EXIT_TERMINATED,
    discard_stdout,
)
from gpuhop_tui.cli.place_names import ask_for_names, name_places
from gpuhop_tui.cli.progress import Progress
from gpuhop_tui.cli.prompts import TerminalPrompter
from gpuhop_tui.cli.signals import until_signal
from gpuhop_tui.cli.table import render_table
from gpuhop_tui.cli.text import wants_colour
from gpuhop_tui.fleet.report import report_fleet, report_nodes
from gpuhop_tui.fleet.state import FleetSource, FleetState, NodeState
from gpuhop_tui.ssh.prompts import NoPrompter

if TYPE_CHECKING:
    from gpuhop_tui.cli.open import OpenFleet


def run_status(options: argparse.Namespace, open_fleet: OpenFleet | None = None) -> int:
    """Run the command and return its exit status: 0 all answered, 1 some did not.

    Raises `CommandError` where the config or a node's name is wrong.
    """
    if open_fleet is None:
        from gpuhop_tui.cli.open import fleet_opener

        open_fleet = fleet_opener(
            options.config, demo=options.demo, only=options.nodes, retry=options.follow
        )
    if options.follow:
        stopped = asyncio.run(until_signal(_follow(open_fleet)))
        return 0 if isinstance(stopped, signal.Signals) else stopped
    status = asyncio.run(until_signal(_once(open_fleet, options)))
    if isinstance(status, signal.Signals):
        return EXIT_INTERRUPTED if status is signal.SIGINT else EXIT_TERMINATED
    return status


async def _once(open_fleet: OpenFleet, options: argparse.Namespace) -> int:
    person_is_there = sys.stdin.isatty() and sys.stderr.isatty() and not options.json
    prompter = TerminalPrompter() if person_is_there else None
    async with _running(await open_fleet(prompter or NoPrompter())) as fleet:
        with Progress(sys.stderr) as progress:

            def show(state: FleetState) -> None:
                if prompter is None or not prompter.asking:
                    progress.show(sum(map(is_settled, state.nodes)), len(state.nodes))

            human_seconds = prompter.human_seconds if prompter else lambda: 0.0
            await wait_for_answers(fleet, options.timeout, human_seconds, show)
            await name_places(fleet)
        state = with_timeouts(fleet.state, options.timeout)
        _print_state(state, as_json=options.json)
    return 0 if all(has_answered(node) for node in state.nodes) else EXIT_SOME_FAILED


async def _follow(open_fleet: OpenFleet) -> int:
    """Print the report of a node each time it changes. Ends only by a signal or a closed pipe."""
    try:
        async with _running(await open_fleet(NoPrompter())) as fleet:
            seen: dict[str, NodeState] = {}
            async for state in fleet.changes():
                ask_for_names(fleet)
                for node in state.nodes:
                    if is_news(seen.get(node.name), node):
                        print(_compact(report_nodes([node])), flush=True)
                    seen[node.name] = node
    except BrokenPipeError:
        discard_stdout()
    return 0


@asynccontextmanager
async def _running(fleet: FleetSource) -> AsyncIterator[FleetSource]:
    try:
        await fleet.start()
        yield fleet
    finally:
        await fleet.stop()


def _print_state(state: FleetState, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report_fleet(state), indent=2))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
        width = min(max(columns, 60), 120)
        print(render_table(state, width=width, colour=wants_colour(sys.stdout)), end="")
    sys.stdout.flush()


def _compact(report: object) -> str:
    return json.dumps(report, separators=(",", ":"))
