"""`gpuhop-tui doctor`: what is not well between this machine and the GPUs, and how to mend it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import (
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    EXIT_TERMINATED,
    CommandError,
)
from gpuhop_tui.cli.open import find, fleet_opener, is_named, load, no_config_lines
from gpuhop_tui.cli.prompts import TerminalPrompter
from gpuhop_tui.cli.signals import until_signal
from gpuhop_tui.cli.text import clean, paint, wants_colour, wrap
from gpuhop_tui.fleet.doctor.finding import Finding, Severity, grouped, report_findings
from gpuhop_tui.ssh.prompts import NoPrompter

if TYPE_CHECKING:
    from gpuhop_tui.cli.open import OpenFleet
    from gpuhop_tui.fleet.doctor.examine import Scope

_MARKS = {
    Severity.OK: ("ok", "green"),
    Severity.UNCHECKED: ("?", "dim"),
    Severity.WARNING: ("!", "yellow"),
    Severity.PROBLEM: ("×", "red"),
}


def run_doctor(options: argparse.Namespace, open_fleet: OpenFleet | None = None) -> int:
    """Run the command and return its exit status: 0 well, 1 something is to be mended.

    Raises `CommandError` where the config or a node's name is wrong.
    """
    scope = _scope(options)
    open_fleet = open_fleet or fleet_opener(options.config, demo=options.demo, only=options.nodes)
    status = asyncio.run(until_signal(_run(open_fleet, scope, options)))
    if isinstance(status, signal.Signals):
        return EXIT_INTERRUPTED if status is signal.SIGINT else EXIT_TERMINATED
    return status


def _scope(options: argparse.Namespace) -> Scope:
    from gpuhop_tui.fleet.doctor.examine import Scope

    if options.demo:
        return Scope(link_seconds=options.timeout)
    path = find(options.config)
    if not path.exists() and not is_named(options.config):
        raise CommandError(no_config_lines(path))
    return Scope(path, load(path).templates, options.timeout)


async def _run(open_fleet: OpenFleet, scope: Scope, options: argparse.Namespace) -> int:
    person_is_there = sys.stdin.isatty() and sys.stderr.isatty() and not options.json
    prompter = TerminalPrompter() if person_is_there else None
    fleet = await open_fleet(prompter or NoPrompter())
    findings: list[Finding] = []
    try:
        await fleet.start()
        order = ["laptop", *(b.name for b in fleet.state.bastions)]
        order += [node.name for node in fleet.state.nodes]
        with _Checking() as checking:
            async with contextlib.aclosing(fleet.examine(scope)) as told:
                async for finding in told:
                    findings.append(finding)
                    if prompter is None or not prompter.asking:
                        checking.show(findings)
    finally:
        await fleet.stop()
    findings.sort(key=lambda finding: order.index(finding.subject))
    if options.json:
        print(json.dumps(report_findings(findings), indent=2))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
        colour = wants_colour(sys.stdout)
        print(render_findings(findings, width=min(max(columns, 60), 120), colour=colour), end="")
    sys.stdout.flush()
    return EXIT_SOME_FAILED if any(f.severity.is_finding for f in findings) else 0


def render_findings(findings: Sequence[Finding], *, width: int = 100, colour: bool = False) -> str:
    """One block a subject: a line a check, and below what is wrong its cause and what mends it."""
    blocks = []
    for subject in dict.fromkeys(finding.subject for finding in findings):
        own = [finding for finding in findings if finding.subject == subject]
        lines = [paint(clean(subject), "bold", wanted=colour)]
        for checks, finding in grouped(own):
            lines += _lines(checks, finding, width, colour)
        blocks.append("\n".join(lines))
    bad = sum(finding.severity.is_finding for finding in findings)
    unknown = sum(finding.severity is Severity.UNCHECKED for finding in findings)
    last = f"{len(findings) - bad - unknown} well, {bad} to mend, {unknown} not checked"
    return "\n\n".join([*blocks, last]) + "\n"


def _lines(checks: Sequence[str], finding: Finding, width: int, colour: bool) -> Iterator[str]:
    mark, hue = _MARKS[finding.severity]
    head, indent = f"  {mark:<3}{finding.check:<18} ", " " * 24
    room = width - len(indent)
    message = finding.message
    if len(checks) > 1:
        message = f"{message} ({', '.join(checks)})"
        head = f"  {mark:<3}{f'{len(checks)} checks':<18} "
    first, *more = wrap(message, room, "") or [""]
    yield paint(head, hue, wanted=colour) + first
    yield from (indent + line for line in more)
    if finding.severity.is_finding:
        yield from (indent + line for line in wrap(finding.cause, room, ""))
        if finding.command:
            yield f"{indent}> {clean(finding.command)}"  # never cut: it is copied


class _Checking:
    """A line of progress on a terminal, gone when the answer is there."""

    def __init__(self) -> None:
        self._stream = sys.stderr if sys.stderr.isatty() else None

    def show(self, findings: Sequence[Finding]) -> None:
        last = findings[-1]
        bad = sum(finding.severity.is_finding for finding in findings)
        text = f"{len(findings)} checks, {bad} to mend… {clean(last.subject)}: {last.check}"
        if self._stream is not None:
            self._stream.write(f"\r\x1b[K{text[:100]}")
            self._stream.flush()

    def __enter__(self) -> _Checking:
        return self

    def __exit__(self, *_ending: object) -> None:
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
