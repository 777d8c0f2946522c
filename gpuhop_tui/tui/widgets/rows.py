"""Lines that belong to things with a name: the selection is a thing and survives every change."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rich.style import Style
from textual.message import Message

from gpuhop_tui.tui.render.line import Line
from gpuhop_tui.tui.widgets.lines import Choice

Row = tuple[Hashable | None, Line]
"""A line and what it belongs to; None: a heading or a note."""


class Rows(Choice):
    """A list of things, each with one line or more. Where there is no thing, it only scrolls."""

    class Selected(Message):
        """Another thing is selected."""

        def __init__(self, rows: Rows) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> Rows:
            return self.rows

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.selected: Hashable | None = None
        self._keys: list[Hashable | None] = []

    def show_rows(self, rows: Sequence[tuple[Hashable | None, Line]]) -> None:
        """Show these. A selection that is gone goes to what stands in its place."""
        place = self.cursor
        self._keys = [key for key, _ in rows]
        self.set_lines([line for _, line in rows])
        if self.selected is None or self.selected not in self._keys:
            near = [] if place is None else self._keys[place:] + self._keys[:place][::-1]
            self.selected = next((key for key in near or self._keys if key is not None), None)
        self._place_cursor()

    def select(self, key: Hashable) -> None:
        """Select a thing, or nothing where it is not there. No message follows."""
        self.selected = key if key in self._keys else self.selected
        self._place_cursor()
        self.call_after_refresh(self.reveal)

    def _place_cursor(self) -> None:
        found = self.selected is not None and self.selected in self._keys
        place = self._keys.index(self.selected) if found else None
        if place != self.cursor:
            self.cursor = place
            self.refresh()

    # The cursor is on all the lines of a thing

    def selectable(self, y: int) -> bool:
        return y < len(self._keys) and self._first(y) == y

    def _first(self, y: int) -> int | None:
        key = self._keys[y]
        return None if key is None else self._keys.index(key)

    def _height(self, y: int) -> int:
        return self._keys.count(self._keys[y])

    def line_background(self, y: int) -> Style | None:
        if self.cursor is None or y >= len(self._keys) or self._first(y) != self.cursor:
            return None
        return self.get_component_rich_style("choice--cursor")

    def watch_cursor(self, before: int | None, now: int | None) -> None:
        for y in (before, now):
            if y is not None and y < len(self._keys):
                self.redraw(range(y, y + self._height(y)))

    def reveal(self) -> None:
        super().reveal()
        if self.cursor is not None and self.size.height:
            last = self.cursor + self._height(self.cursor) - 1
            if last >= self.scroll_offset.y + self.size.height:
                self.scroll_to(y=last - self.size.height + 1, animate=False)

    def chosen(self, y: int) -> None:
        if self._keys[y] != self.selected:
            self.selected = self._keys[y]
            self.post_message(self.Selected(self))

    def landing(self, y: int) -> int | None:
        return self._first(y)

    # Without a thing to select, the keys scroll

    @property
    def _is_plain(self) -> bool:
        return all(key is None for key in self._keys)

    def action_move(self, step: int) -> None:
        if self._is_plain:
            self.scroll_relative(y=step, animate=False)
        else:
            super().action_move(step)

    def action_page(self, direction: int) -> None:
        if self._is_plain:
            self.scroll_relative(y=direction * max(1, self.size.height - 1), animate=False)
        else:
            super().action_page(direction)

    def action_end(self, direction: int) -> None:
        if self._is_plain:
            self.scroll_to(y=0 if direction < 0 else self.max_scroll_y, animate=False)
        else:
            super().action_end(direction)
