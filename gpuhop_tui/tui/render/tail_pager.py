"""Which part of a tail is in view: it follows the newest, or holds still to be read."""

from __future__ import annotations

from typing import Protocol

from gpuhop_tui.sessions.tail_screen import Line
from gpuhop_tui.sessions.tail_view import TailView
from gpuhop_tui.tui.render.tail import MATCH, THIS_MATCH, marked, plain, window, wrapped


class TailSource(Protocol):
    """What is paged through; `gpuhop_tui.sessions.tail.Tail` is one."""

    @property
    def view(self) -> TailView: ...

    def history(self, start: int, stop: int) -> list[Line]: ...


class Pager:
    """Pages of `width` cells and `height` rows.

    While it follows, a page ends with the newest line. Held, all lines are those of the moment when
    it was held, whatever the pane prints meanwhile; `top` is the first line in view, and `skipped`
    how many of its wrapped rows are above the page.
    """

    def __init__(self, source: TailSource, *, wrap: bool) -> None:
        self._source = source
        self.width, self.height = 80, 24
        self.wrap = wrap
        self.column = 0  # the first cell in view, where lines are cut
        self.top, self.skipped = 0, 0
        self.paused = False  # held by the user's word, not by scrolling up
        self.needle = ""
        self.matches: list[int] = []  # numbers of the held lines that hold the needle
        self.match: int | None = None  # an index of `matches`
        self._held: list[Line] | None = None

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
            return self._rows_up(self._newest(self.height))
        rows: list[Line] = []
        for number in range(self.top, len(self._held)):
            rows += self._rows_of(number)
            if len(rows) - self.skipped >= self.height:
                break
        return rows[self.skipped : self.skipped + self.height]

    # Lines and their rows

    def _newest(self, count: int) -> list[Line]:
        """The last lines there are, `count` of them at least where there are so many."""
        view = self._source.view
        rows = view.lines[: _used(view)]
        above = count - len(rows)
        before = self._source.history(view.scrollback - above, view.scrollback) if above > 0 else []
        return [*before, *rows]

    def _rows_up(self, lines: list[Line]) -> list[Line]:
        rows: list[Line] = []
        for line in reversed(lines):
            rows[:0] = self._laid(marked(line, self.needle, MATCH) if self.needle else line)
            if len(rows) >= self.height:
                break
        return rows[-self.height :] if self.height else []

    def _rows_of(self, number: int) -> list[Line]:
        assert self._held is not None
        line = self._held[number]
        if self.needle:
            is_this = self.match is not None and self.matches[self.match] == number
            line = marked(line, self.needle, THIS_MATCH if is_this else MATCH)
        return self._laid(line)

    def _laid(self, line: Line) -> list[Line]:
        if self.wrap:
            return wrapped(line, self.width)
        return [window(line, self.column, self.width)]

    # Holding and following

    def hold(self) -> None:
        """Hold what is in view now."""
        if self._held is not None:
            return
        view = self._source.view
        self._held = [*self._source.history(0, view.scrollback), *view.lines[: _used(view)]]
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
        self.matches = [
            number for number, line in enumerate(self._held) if self.needle in plain(line).lower()
        ]
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


def _used(view: TailView) -> int:
    """How many of the screen's rows are in use: those below the last text and cursor are not."""
    text = max((y + 1 for y, line in enumerate(view.lines) if plain(line).strip()), default=0)
    is_live = view.cursor is not None and not view.dead
    return min(len(view.lines), max(text, view.cursor[1] + 1 if is_live and view.cursor else 0))
