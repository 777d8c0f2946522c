"""The recent past of a GPU: utilization and memory as two filled graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuhop_tui.fleet.state import HistoryPoint
from gpuhop_tui.tui.render.bars import area, resample, tone_of
from gpuhop_tui.tui.render.line import Line, Span, Tone, fit, spread
from gpuhop_tui.tui.render.units import MISSING, duration, figure

_LABEL = 6  # cells for "100 % "
_GAP = 3
SHORTEST = 60.0  # seconds that the time axis spans at least


def history(
    points: Sequence[HistoryPoint], title: str, width: int, height: int, now: float
) -> list[Line]:
    """`height` lines: a title, the graphs side by side, a time axis."""
    if not points:
        return [(Span(f"No history of {title} yet", Tone.DIM),)]
    if height < 3:
        return []
    half = (width - _GAP) // 2
    span = max(SHORTEST, now - points[0][0])
    utilization = _graph(
        [(at, value) for at, value, _ in points],
        f"{title} utilization", tone_of, Tone.AREA, half, height, now, span,
    )  # fmt: skip
    memory = _graph(
        [(at, value) for at, _, value in points],
        f"{title} memory", lambda _: Tone.MEMORY, Tone.MEMORY_AREA, half, height, now, span,
    )  # fmt: skip
    gap = Span(" " * _GAP)
    return [(*left, gap, *right) for left, right in zip(utilization, memory, strict=True)]


def _graph(
    points: Sequence[tuple[float, float | None]],
    title: str,
    tone: Callable[[float], Tone],
    body: Tone,
    width: int,
    height: int,
    now: float,
    span: float,
) -> list[Line]:
    plot = width - _LABEL
    rows = area(resample(points, now, span, plot), height - 2, tone, body)
    last = points[-1][1]
    newest = Span(MISSING, Tone.DIM) if last is None else Span(figure(last, " %"), tone(last))
    known = [value for _, value in points if value is not None]
    mean = f"mean {sum(known) / len(known):.0f} %  " if known else "no figures  "
    lines = [
        spread(
            [Span(title, Tone.STRONG)],
            [Span(mean, Tone.DIM), newest],
            width,
        )
    ]
    for number, row in enumerate(rows):
        label = "100 %" if number == 0 else "0 %" if number == len(rows) - 1 else ""
        lines.append((Span(fit(label, _LABEL - 1, "right") + " ", Tone.DIM), *row))
    axis = spread([Span(f"{duration(span)} ago", Tone.DIM)], [Span("now", Tone.DIM)], plot)
    return [*lines, (Span(" " * _LABEL), *axis)]
