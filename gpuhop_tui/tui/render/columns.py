"""Columns of a table: which fit, how wide they are, and rows laid into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gpuhop_tui.tui.render.line import Align, Line, Span, Tone, fit, fit_line

GAP = 2
LUXURY = 5


@dataclass(frozen=True, slots=True)
class Column:
    """One column. The highest `rank` is dropped first; `grow` is its share of spare room.

    Columns of rank `LUXURY` and above are dropped already where others lack their `comfort`.
    """

    key: str
    title: str
    width: int  # the least that is useful
    rank: int = 0  # 0: never dropped
    comfort: int = 0  # a width that is good to have; 0: the least is
    grow: int = 0
    most: int = 1000  # never grows wider
    align: Align = "left"


def choose(columns: Sequence[Column], width: int) -> tuple[Column, ...]:
    """Those columns that fit into `width` cells, widened into the room that is left."""
    chosen = list(columns)
    while len(chosen) > 1:
        least = max(chosen, key=lambda column: column.rank)
        wanted = _comfort(chosen) if least.rank >= LUXURY else _width(chosen)
        if least.rank == 0 or wanted <= width:
            break
        chosen.remove(least)
    return tuple(_widen(chosen, width - _width(chosen)))


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _comfort(columns: Sequence[Column]) -> int:
    return _width(columns) + sum(max(0, column.comfort - column.width) for column in columns)


def _widen(columns: list[Column], spare: int) -> list[Column]:
    """Give the spare cells out, one at a time, to whoever has had the least for its share."""
    widths = {column.key: column.width for column in columns}
    for _ in range(max(0, spare)):
        able = [c for c in columns if c.grow and widths[c.key] < c.most]
        if not able:
            break
        next_ = min(able, key=lambda c: (widths[c.key] - c.width) / c.grow)
        widths[next_.key] += 1
    return [replace(column, width=widths[column.key]) for column in columns]


def heading(columns: Sequence[Column]) -> Line:
    """The titles of the columns."""
    titles = [fit(column.title, column.width, column.align) for column in columns]
    return (Span((" " * GAP).join(titles), Tone.DIM),)


def row(columns: Sequence[Column], cells: Mapping[str, Line]) -> Line:
    """Cells in their columns; one that is absent is left empty."""
    spans: list[Span] = []
    for number, column in enumerate(columns):
        if number:
            spans.append(Span(" " * GAP))
        spans += fit_line(cells.get(column.key, ()), column.width, column.align)
    return tuple(spans)
