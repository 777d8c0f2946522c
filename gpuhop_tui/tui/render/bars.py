"""Bars, mini-bars and graphs out of characters. Every colour has a height or length beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, pairwise

from gpuhop_tui.tui.render.line import Line, Span, Tone

_BLOCKS = " ▁▂▃▄▅▆▇█"


def tone_of(percent: float | None) -> Tone:
    """The step of use that a percentage falls into."""
    if percent is None:
        return Tone.DIM
    if percent < 5:
        return Tone.IDLE
    if percent < 40:
        return Tone.LOW
    return Tone.MID if percent < 80 else Tone.HIGH


def bar(percent: float | None, width: int, tone: Tone) -> Line:
    """A horizontal bar of `width` cells, exact to half a cell. Unknown: an empty place."""
    if percent is None:
        return (Span("·" * width, Tone.TRACK),)
    halves = round(min(max(percent, 0.0), 100.0) / 100 * width * 2)
    if percent >= 1:
        halves = max(halves, min(1, width))  # a little is not nothing
    full, half = divmod(halves, 2)
    spans = [Span("━" * full + "╾" * half, tone), Span("─" * (width - full - half), Tone.TRACK)]
    return tuple(span for span in spans if span.text)


def mini(percent: float) -> str:
    """One character whose height is the percentage: ▁ to █."""
    return _BLOCKS[1 + min(7, int(min(max(percent, 0.0), 100.0) / 12.5))]


def area(
    values: Sequence[float | None], height: int, tone: Callable[[float], Tone], body: Tone
) -> list[Line]:
    """Values (percent) as a filled area of one column each, top row first.

    The top of each column has the tone of its value, what is under it that of the body. A gap is
    nothing at all; zero is a thin base line.
    """
    return [
        merged(cell(value, row, height, tone, body) for value in values)
        for row in range(height - 1, -1, -1)
    ]


def cell(
    value: float | None, row: int, height: int, tone: Callable[[float], Tone], body: Tone
) -> Span:
    """One cell of an area: that of a value (percent) in a row, counted from the lowest."""
    if value is None:
        return Span(" ")
    value = min(max(value, 0.0), 100.0)
    eighths = max(1, round(value / 100 * 8 * height)) - 8 * row
    if eighths <= 0:
        return Span(" ")
    return Span("█", body) if eighths > 8 else Span(_BLOCKS[eighths], tone(value))


def merged(cells: Iterable[Span]) -> Line:
    """Neighbours of one tone as one span."""
    groups = groupby(cells, key=lambda cell: cell.tone)
    return tuple(Span("".join(cell.text for cell in group), tone) for tone, group in groups)


def resample(
    points: Sequence[tuple[float, float | None]], end: float, seconds: float, width: int
) -> list[float | None]:
    """`points` (time, value) in `width` equal slots that end at `end`: the mean of each slot.

    A slot without a point is None, save between two points so near that none was missed there.
    """
    slot = seconds / width
    sums: list[float] = [0.0] * width
    counts = [0] * width
    gaps = [False] * width
    for at, value in points:
        index = width - 1 - int((end - at) / slot)
        if not 0 <= index < width:
            continue
        if value is None:
            gaps[index] = True
        else:
            sums[index] += value
            counts[index] += 1
    means = [sums[i] / counts[i] if counts[i] else None for i in range(width)]
    return _bridge(means, gaps, reach=_usual_step(points, slot))


def _usual_step(points: Sequence[tuple[float, float | None]], slot: float) -> int:
    """How many slots lie between two points in a row, usually."""
    steps = sorted(b[0] - a[0] for a, b in pairwise(points))
    return round(1.5 * steps[len(steps) // 2] / slot) + 1 if steps else 1


def _bridge(values: list[float | None], gaps: Sequence[bool], reach: int) -> list[float | None]:
    """Hold each value for up to `reach` slots, over slots that are empty but no gap."""
    held: float | None = None
    since = 0
    for index, value in enumerate(values):
        if value is not None:
            held, since = value, 0
        elif gaps[index]:
            held = None
        else:
            since += 1
            if held is not None and since <= reach:
                values[index] = held
    return values
