"""Which span of time a history shows, and which moment of it is read: zoom, pan and cursor.

Times are seconds since the epoch. A window is drawn in columns of equal length that begin at whole
multiples of it, so that a column's figures stay the same while time goes on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

KEPT_SECONDS = 7 * 86400.0
ZOOMS = (300.0, 1800.0, 7200.0, 43200.0, 86400.0, KEPT_SECONDS)
"""Seconds that may be shown."""


@dataclass(frozen=True, slots=True)
class Window:
    """`end`: the latest moment shown; None: now, whenever that is. `cursor`: what is read."""

    seconds: float = ZOOMS[1]
    end: float | None = None
    cursor: float | None = None

    def column_seconds(self, width: int) -> float:
        return self.seconds / max(1, width)

    def until(self, now: float, width: int) -> float:
        """The right edge: the end of the column that holds the latest moment."""
        column = self.column_seconds(width)
        if self.end is None:
            return (math.floor(now / column) + 1) * column
        return math.ceil(round(self.end / column, 6)) * column

    def since(self, now: float, width: int) -> float:
        return self.until(now, width) - self.seconds

    def cursor_column(self, now: float, width: int) -> int | None:
        """The column under the cursor; None where there is none in view."""
        if self.cursor is None:
            return None
        column = math.floor((self.cursor - self.since(now, width)) / self.column_seconds(width))
        return column if 0 <= column < width else None

    def zoomed(self, step: int, now: float) -> Window:
        """The next longer (1) or shorter (-1) span. What is under the cursor stays there; without
        one, the latest moment does."""
        place = _nearest(self.seconds)
        seconds = ZOOMS[min(max(place + step, 0), len(ZOOMS) - 1)]
        end = self.end
        if self.cursor is not None:
            after = (now if end is None else end) - self.cursor
            end = self.cursor + after * seconds / self.seconds
        return replace(self, seconds=seconds)._ending(end, now)

    def panned(self, direction: int, now: float) -> Window:
        """A half of what is shown earlier (-1) or later (1); the cursor stays in its place."""
        end = now if self.end is None else self.end
        moved = self._ending(end + direction * self.seconds / 2, now)
        shift = (now if moved.end is None else moved.end) - end
        cursor = None if self.cursor is None else _within(self.cursor + shift, now)
        return replace(moved, cursor=cursor)

    def moved(self, columns: int, now: float, width: int) -> Window:
        """The cursor so many columns on; at first it is at the latest moment. The window follows
        it where it leaves."""
        column = self.column_seconds(width)
        since, until = self.since(now, width), self.until(now, width)
        if self.cursor is None or not since <= self.cursor < until:
            at = min(now, until - column / 2)
        else:
            at = self.cursor + columns * column
        at = _within(at, now)
        moved = replace(self, cursor=at)
        if at == now:
            return replace(moved, end=None)
        if at < since:
            return moved._ending(at + self.seconds - column / 2, now)
        if at >= until:
            return moved._ending(at + column / 2, now)
        return moved

    def at_newest(self) -> Window:
        """That of now, without a cursor."""
        return replace(self, end=None, cursor=None)

    def around(self, since: float, until: float, now: float) -> Window:
        """The shortest span that shows all of that, or its latest part."""
        wanted = max(0.0, until - since) * 1.05
        seconds = next((zoom for zoom in ZOOMS if zoom >= wanted), ZOOMS[-1])
        middle = (since + until) / 2
        end = until if seconds < wanted else middle + seconds / 2
        return Window(seconds)._ending(end, now)

    def _ending(self, end: float | None, now: float) -> Window:
        if end is not None:
            end = max(end, now - KEPT_SECONDS + self.seconds)
        return replace(self, end=None if end is None or end >= now else end)


def _nearest(seconds: float) -> int:
    return min(range(len(ZOOMS)), key=lambda number: abs(ZOOMS[number] - seconds))


def _within(at: float, now: float) -> float:
    return min(max(at, now - KEPT_SECONDS), now)
