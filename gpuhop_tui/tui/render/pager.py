"""Which part of many lines is in view: it follows the newest, or holds still to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from gpuhop_tui.sessions.tail_screen import Line, Style
from gpuhop_tui.tui.render.tail import MATCH, THIS_MATCH, marked, window, wrapped

Item = TypeVar("Item")


class LineSource(Protocol[Item]):
    """What is paged through: items that are a line each."""

    def newest(self, count: int) -> Sequence[Item]:
        """The last ones, `count` of them at least where there are so many."""
        ...

    def all(self) -> list[Item]:
        """Every one, the oldest first."""
        ...

    def line(self, item: Item) -> Line:
        """It as a line."""
        ...

    def text(self, item: Item) -> str:
        """What is searched in it: the text of its line."""
        ...

    def gutter(self, item: Item) -> Line:
        """What stands before each of its rows, as wide for every item."""
        ...


class LinePager(Generic[Item]):
    """Pages of `width` cells and `height` rows.

    While it follows, a page ends with the newest line. Held, all lines are those of the moment when
    it was held, whatever comes meanwhile; `top` is the first line in view, and `skipped`
    how many of its wrapped rows are above the page.
    """

    def __init__(self, source: LineSource[Item], *, wrap: bool) -> None:
        self._source = source
        self.width, self.height = 80, 24
        self.wrap = wrap
        self.column = 0  # the first cell in view, where lines are cut
        self.top, self.skipped = 0, 0
        self.paused = False  # held by the user's word, not by scrolling up
        self.needle = ""
        self.matches: list[int] = []  # numbers of the held lines that hold the needle
        self.match: int | None = None  # an index of `matches`
        self._held: list[Item] | None = None

    @property
    def following(self) -> bool:
        return self._held is None

    @property
    def position(self) -> tuple[int, int]:
        """The number of the first held line in view, from 1, and how many there are."""
        return self.top + 1, len(self._held or ())

    def page(self) -> list[Line]:
        """The rows in view, `height` of them at most."""
        if self._held is None:
            return self._rows_up(self._source.newest(self.height))
        rows: list[Line] = []
        for number in range(self.top, len(self._held)):
            rows += self._rows_of(number)
            if len(rows) - self.skipped >= self.height:
                break
        return rows[self.skipped : self.skipped + self.height]

    # Lines and their rows

    def _rows_up(self, items: Sequence[Item]) -> list[Line]:
        rows: list[Line] = []
        for item in reversed(items):
            rows[:0] = self._laid(item, MATCH)
            if len(rows) >= self.height:
                break
        return rows[-self.height :] if self.height else []

    def _rows_of(self, number: int) -> list[Line]:
        assert self._held is not None
        is_this = self.match is not None and self.matches[self.match] == number
        return self._laid(self._held[number], THIS_MATCH if is_this else MATCH)

    def _laid(self, item: Item, style: Style) -> list[Line]:
        """The rows of an item; what is searched for is marked in a style."""
        line = self._source.line(item)
        if self.needle:
            line = marked(line, self.needle, style)
        gutter = self._source.gutter(item)
        room = max(1, self.width - sum(len(run.text) for run in gutter))
        rows = wrapped(line, room) if self.wrap else [window(line, self.column, room)]
        return [(*gutter, *row) for row in rows] if gutter else rows

    # Holding and following

    def hold(self) -> None:
        """Hold what is in view now."""
        if self._held is not None:
            return
        self._held = self._source.all()
        self.top, self.skipped = self._last_top()

    def follow(self) -> None:
        """Follow the newest again; what was searched for is not any more."""
        self._held, self.paused = None, False
        self.needle, self.matches, self.match = "", [], None

    def resize(self, width: int, height: int) -> None:
        """The page has another size: it ends where it ended, as far as there is so much."""
        self.width, self.height = max(1, width), max(1, height)
        self.settle()

    def settle(self) -> None:
        """Mend the place after a change of what a row is."""
        if self._held is not None:
            self.skipped = 0
            self.top, self.skipped = min((self.top, 0), self._last_top())

    def scroll(self, rows: int) -> None:
        """Down, or up where `rows` is negative. Back at the end it follows again, unless it was
        paused or something is searched for."""
        if rows == 0 or (self._held is None and rows > 0):
            return
        self.hold()
        end = self._last_top()
        place = self._moved(self.top, self.skipped, rows)
        if place >= end and not self.paused and not self.needle:
            self.follow()
        else:
            self.top, self.skipped = min(place, end)

    def scroll_to(self, end: int) -> None:
        """To the oldest line (-1), or to the newest, which is followed then (1)."""
        if end > 0:
            self.follow()
        else:
            self.hold()
            self.top, self.skipped = 0, 0

    @property
    def at_oldest(self) -> bool:
        """Whether the first line of all is in view."""
        return self._held is not None and (self.top, self.skipped) == (0, 0)

    def begins_with(self, item: Item | None) -> bool:
        """Whether this very item is the first that is held."""
        return bool(self._held) and self._held is not None and self._held[0] is item

    def prepend(self, items: Sequence[Item]) -> None:
        """Older ones are there too: what is in view stays."""
        if self._held is None or not items:
            return
        self._held[:0] = items
        self.top += len(items)
        found = [n for n, item in enumerate(items) if self._holds(item)] if self.needle else []
        self.matches = [*found, *(number + len(items) for number in self.matches)]
        if self.match is not None:
            self.match += len(found)

    def _holds(self, item: Item) -> bool:
        return self.needle in self._source.text(item).lower()

    def slide(self, cells: int) -> None:
        """Sideways, where lines are cut."""
        if not self.wrap:
            self.column = max(0, self.column + cells)

    def _moved(self, top: int, skipped: int, rows: int) -> tuple[int, int]:
        assert self._held is not None
        skipped += rows
        while skipped < 0 and top > 0:
            top -= 1
            skipped += len(self._rows_of(top))
        while top < len(self._held) and skipped >= (height := len(self._rows_of(top))):
            top, skipped = top + 1, skipped - height
        return top, max(0, skipped)

    def _last_top(self) -> tuple[int, int]:
        """Where the last page begins."""
        assert self._held is not None
        rows = 0
        for number in range(len(self._held) - 1, -1, -1):
            rows += len(self._rows_of(number))
            if rows >= self.height:
                return number, rows - self.height
        return 0, 0

    # Searching

    def search(self, needle: str) -> bool:
        """Go to the newest line that holds the needle; whether there is one. Case is ignored."""
        self.needle = needle.lower()
        self.matches, self.match = [], None
        if not self.needle:
            return False
        self.hold()
        assert self._held is not None
        self.matches = [number for number, item in enumerate(self._held) if self._holds(item)]
        if self.matches:
            self._show(len(self.matches) - 1)
        return bool(self.matches)

    def step(self, direction: int) -> None:
        """To the next match down (1) or up (-1), round about."""
        if self.matches and self.match is not None:
            self._show((self.match + direction) % len(self.matches))

    def _show(self, match: int) -> None:
        self.match = match
        assert self._held is not None
        place = self._moved(self.matches[match], 0, -(self.height // 2))
        self.top, self.skipped = min(place, self._last_top())
