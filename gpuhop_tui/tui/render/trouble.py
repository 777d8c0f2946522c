"""A problem in full, and a link's log: where, what, what next."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gpuhop_tui.problem import Problem
from gpuhop_tui.ssh.status import LinkEvent, LinkState, LinkStatus
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit, wrap
from gpuhop_tui.tui.render.states import label, problem_label
from gpuhop_tui.tui.render.units import moment, plural

_INDENT = 2


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
    hop = min(16, max(len(clean(event.hop)) for event in events))
    room = width - when - hop - 2 * _INDENT
    return [_event(event, when, hop, room, now) for event in reversed(events)]


def _event(event: LinkEvent, when: int, hop: int, room: int, now: float) -> Line:
    tone = Tone.PLAIN if event.problem is None else problem_label(event.problem).tone
    return (
        Span(fit(moment(event.at, now), when), Tone.DIM),
        Span("  " + fit(clean(event.hop), hop) + "  ", Tone.DIM),
        Span(cut(clean(event.text), room), tone),
    )
