"""Graphs over time out of characters: a column's mean as a filled area, its peak as a point."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from gpuhop_tui.fleet.store.columns import Column
from gpuhop_tui.tui.render.bars import cell, merged
from gpuhop_tui.tui.render.line import Line, Span, Tone

PEAK = "·"
CURSOR = "│"
_TICKS = (60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800)
_TICK_ROOM = 9  # cells from one time to the next, at least


def plot(
    values: Sequence[Column | None],
    top: float,
    height: int,
    tone: Callable[[float], Tone],
    body: Tone,
    cursor: int | None,
) -> list[Line]:
    """`height` lines, top first, that reach from 0 to `top`. `tone` is that of a value."""
    return [
        merged(
            _cell(value, top, row, height, tone, body, number == cursor)
            for number, value in enumerate(values)
        )
        for row in range(height - 1, -1, -1)
    ]


def _cell(
    value: Column | None,
    top: float,
    row: int,
    height: int,
    tone: Callable[[float], Tone],
    body: Tone,
    is_cursor: bool,
) -> Span:
    percent = None if value is None else 100 * value.mean / top
    span = cell(percent, row, height, lambda _: tone(value.mean if value else 0.0), body)
    if span.text == " ":
        if is_cursor:
            return Span(CURSOR, Tone.INFO)
        if value is not None and row == min(height, math.ceil(value.peak / top * height)) - 1:
            return Span(PEAK, Tone.DIM)
    return Span(span.text, Tone.INFO) if is_cursor else span


def axis(since: float, seconds: float, width: int, cursor: float | None) -> Line:
    """The times below a graph, by the local clock: `╵13:40     ╵13:50`. A mark for the cursor's."""
    cells = [" "] * width
    step = _tick_step(seconds, width)
    at = _first_tick(since, step)
    while at < since + seconds:
        words = f"╵{_tick_words(at, step)}"
        column = int((at - since) / seconds * width)
        if column + len(words) <= width:
            cells[column : column + len(words)] = words
        at = _first_tick(at + step * 0.75, step)
    if cursor is None:
        return (Span("".join(cells), Tone.DIM),)
    words = f"▲{cursor_words(cursor, seconds)}"
    place = int((cursor - since) / seconds * width)
    place = min(max(place, 0), width - 1)
    if place + len(words) > width:
        words = f"{cursor_words(cursor, seconds)}▲"
        place = max(0, place + 1 - len(words))
    before, after = "".join(cells[:place]), "".join(cells[place + len(words) :])
    return (
        Span(_whole_words(before, cells, place), Tone.DIM),
        Span(words, Tone.INFO),
        Span(_rest_of_words(after), Tone.DIM),
    )


def cursor_words(at: float, seconds: float) -> str:
    """A moment of a window of so many seconds."""
    words = "%H:%M:%S" if seconds <= 7200 else "%H:%M" if seconds <= 43200 else "%a %H:%M"
    return time.strftime(words, time.localtime(at))


def _whole_words(before: str, cells: Sequence[str], place: int) -> str:
    """Without the time that the cursor's would cut in two."""
    if before and before[-1] != " " and place < len(cells) and cells[place] not in " ╵":
        head = before.rpartition("╵")[0]
        return head.ljust(len(before))
    return before


def _rest_of_words(after: str) -> str:
    head, tick, tail = after.partition("╵")
    return " " * len(head) + tick + tail


def _tick_step(seconds: float, width: int) -> int:
    fitting = (step for step in _TICKS if step / seconds * width >= _TICK_ROOM)
    return next(fitting, _TICKS[-1])


def _first_tick(at: float, step: int) -> float:
    """The first round time from `at` on, by the local clock."""
    offset = time.localtime(at).tm_gmtoff
    return math.ceil((at + offset) / step) * step - offset


def _tick_words(at: float, step: int) -> str:
    local = time.localtime(at)
    if step >= 86400 or (local.tm_hour == 0 and local.tm_min == 0):
        return time.strftime("%a %d", local)
    return time.strftime("%H:%M", local)
