"""A problem in full, and a link's log: where, what, what next."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len

from gpuhop_tui.problem import Problem
from gpuhop_tui.ssh.status import LinkEvent, LinkState, LinkStatus
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit, wrap
from gpuhop_tui.tui.render.states import label, problem_label
from gpuhop_tui.tui.render.units import moment, plural


def problem_lines(
    problem: Problem, link: LinkStatus, width: int, now: float, retry_key: str
) -> list[Line]:
    """The problem's kind and hop, its message, its advice, and what happens next."""
    kind = problem_label(problem)
    lines: list[Line] = [
        (
            Span(label(problem.kind).capitalize(), kind.tone),
            Span(" at ", Tone.DIM),
            Span(clean(problem.hop), Tone.STRONG),
        )
    ]
    lines += wrap(problem.message, width)
    lines += [
        (Span("→ " if number == 0 else "  ", Tone.INFO), *line)
        for number, line in enumerate(wrap(problem.advice, width - 2, Tone.INFO))
    ]
    following = _next(link, now, retry_key)
    return lines + wrap(following, width, Tone.DIM)


def _next(link: LinkStatus, now: float, retry_key: str) -> str:
    if link.state is LinkState.WAITING and link.retry_at is not None:
        seconds = max(0, math.ceil(link.retry_at - now))
        tries = f" after {plural(link.attempt, 'attempt')}" if link.attempt else ""
        return f"Tries again in {seconds} s{tries}; {retry_key} tries now."
    if link.state is LinkState.BLOCKED:
        return f"It is not tried again by itself; {retry_key} tries once it is mended."
    return ""


def log_lines(events: Sequence[LinkEvent], width: int, now: float) -> list[Line]:
    """A link's events, the newest first."""
    if not events:
        return [(Span("Nothing has happened yet", Tone.DIM),)]
    when = max(len(moment(event.at, now)) for event in events)
    hops = {clean(event.hop) for event in events}
    hop = min(16, max(map(cell_len, hops))) if len(hops) > 1 else 0
    return [line for event in reversed(events) for line in _event(event, when, hop, width, now)]


def _event(event: LinkEvent, when: int, hop: int, width: int, now: float) -> list[Line]:
    """When, at which hop (where there are several), and what; continued below where it is long."""
    tone = Tone.PLAIN if event.problem is None else problem_label(event.problem).tone
    start = fit(moment(event.at, now), when) + "  "
    if hop:
        start += fit(clean(event.hop), hop) + "  "
    below = " " * cell_len(start)
    lines = wrap(event.text, width - len(below), tone) or [()]
    return [(Span(below if n else start, Tone.DIM), *line) for n, line in enumerate(lines)]
