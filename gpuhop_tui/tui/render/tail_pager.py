"""Pages of a tail: its pane's scrollback and screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gpuhop_tui.sessions.tail_screen import Line
from gpuhop_tui.sessions.tail_view import TailView
from gpuhop_tui.tui.render.pager import LinePager
from gpuhop_tui.tui.render.tail import plain


class TailSource(Protocol):
    """What is paged through; `gpuhop_tui.sessions.tail.Tail` is one."""

    @property
    def view(self) -> TailView: ...

    def history(self, start: int, stop: int) -> list[Line]: ...


class Pager(LinePager[Line]):
    """Pages of a tail."""

    def __init__(self, source: TailSource, *, wrap: bool) -> None:
        super().__init__(_TailLines(source), wrap=wrap)


class _TailLines:
    """The lines of a tail; those of the screen that are not in use are not among them."""

    def __init__(self, source: TailSource) -> None:
        self._source = source

    def newest(self, count: int) -> Sequence[Line]:
        view = self._source.view
        rows = view.lines[: _used(view)]
        above = count - len(rows)
        before = self._source.history(view.scrollback - above, view.scrollback) if above > 0 else []
        return [*before, *rows]

    def all(self) -> list[Line]:
        view = self._source.view
        return [*self._source.history(0, view.scrollback), *view.lines[: _used(view)]]

    def line(self, item: Line) -> Line:
        return item

    def text(self, item: Line) -> str:
        return plain(item)

    def gutter(self, item: Line) -> Line:
        return ()


def _used(view: TailView) -> int:
    """How many of the screen's rows are in use: those below the last text and cursor are not."""
    text = max((y + 1 for y, line in enumerate(view.lines) if plain(line).strip()), default=0)
    is_live = view.cursor is not None and not view.dead
    return min(len(view.lines), max(text, view.cursor[1] + 1 if is_live and view.cursor else 0))
