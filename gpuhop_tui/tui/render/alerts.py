"""The log of alerts, and what the header says of them."""

from __future__ import annotations

from collections.abc import Sequence

from gpuhop_tui.fleet.alerts.engine import Wish
from gpuhop_tui.fleet.alerts.model import Alert, Severity
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line, wrap
from gpuhop_tui.tui.render.units import duration, moment, plural

AlertRow = tuple[int | None, Line]  # its place in the log, oldest first

_MARKS = {
    Severity.GOOD: Span("✓ ", Tone.GOOD),
    Severity.WARNING: Span("! ", Tone.WARN),
    Severity.BAD: Span("× ", Tone.BAD),
}
_TITLE = 30  # cells
_TIME = 13


def sentence(text: str) -> str:
    """The text with a capital at its beginning; a name such as "gpu-01" stays as it is."""
    return text[:1].upper() + text[1:]


def indicator(unread: int, silent_seconds: float, wishes: Sequence[Wish]) -> Line:
    """For the header: `2 alerts`, `silent 29 min`, `waiting for a free GPU`."""
    parts = []
    if silent_seconds > 0:
        parts.append(Span(f"silent {duration(silent_seconds + 59)}", Tone.WARN))
    if unread:
        parts.append(Span(plural(unread, "alert"), Tone.BAD))
    if wishes:
        more = f" +{len(wishes) - 1}" if len(wishes) > 1 else ""
        parts.append(Span(f"waits for {clean(str(wishes[0]))}{more}", Tone.INFO))
    spans: list[Span] = []
    for part in parts:
        spans += [Span("  "), part] if spans else [part]
    return tuple(spans)


def title_line(count: int, silent_seconds: float, wishes: Sequence[Wish], width: int) -> Line:
    """`Alerts   12   silent for 29 min   waits for GPU 3 of gpu-01`."""
    spans = [Span(" Alerts", Tone.STRONG), Span(f"   {count or 'none'}", Tone.DIM)]
    if silent_seconds > 0:
        words = f"   silent for {duration(silent_seconds + 59)}: they are only logged"
        spans.append(Span(words, Tone.WARN))
    for wish in wishes:
        spans.append(Span(f"   waits for {clean(str(wish))}", Tone.INFO))
    return fit_line(spans, width)


def alert_rows(log: Sequence[Alert], width: int, now: float) -> list[AlertRow]:
    """The alerts, the newest first; each with all that it says."""
    rows: list[AlertRow] = []
    for place in range(len(log) - 1, -1, -1):
        rows += [(place, line) for line in _alert_lines(log[place], width, now)]
    return rows


def _alert_lines(alert: Alert, width: int, now: float) -> list[Line]:
    when = Span(f"{moment(alert.at, now):<{_TIME}}", Tone.DIM)
    title = Span(sentence(clean(alert.title)), Tone.STRONG)
    room = width - _TIME - 2
    if room >= 2 * _TITLE + 10:
        beside = wrap(alert.words, room - _TITLE - 1)
        head = fit_line((title,), _TITLE)
        first = (when, _MARKS[alert.severity], *head, Span(" "), *(beside[0] if beside else ()))
        indent = Span(" " * (_TIME + 2 + _TITLE + 1))
        return [first, *((indent, *line) for line in beside[1:])]
    indent = Span(" " * (_TIME + 2))
    below = [(indent, *line) for line in wrap(alert.words, room, Tone.DIM)]
    return [fit_line((when, _MARKS[alert.severity], title), width), *below]


def nothing_yet(width: int) -> list[Line]:
    """What the log says while it is empty."""
    words = (
        "Nothing yet. Told are the ends of your jobs, a GPU that you wait for, GPUs that are hot, "
        "full, faulty or lost under your jobs, and nodes that are lost and back. "
        "[alerts] of the config says which, and by which ways."
    )
    return wrap(words, width, Tone.DIM)
