"""What is done with many lines on the screen: paused, wrapped, searched and copied."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from gpuhop_tui.tui.clipboard import copy_by_system
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.widgets.filter_bar import TypingBar
from gpuhop_tui.tui.widgets.line_pane import LinePane


class SearchBar(TypingBar):
    """What is searched for, typed."""

    HINTS = (("enter", "enter", "search"), ("escape", "esc", "give up"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.end_search", "give up", show=False)
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="search upwards", compact=True, id="search")


class ReadingScreen(Screen[None]):
    """A screen with a `SearchBar` and one `LinePane` or more."""

    _wanted: LinePane | None = None  # what is searched in

    @property
    def reader(self) -> LinePane | None:
        """The lines that keys are for."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "match":
            return self.reader is not None and bool(self.reader.pager.matches)
        return True

    def action_leave(self) -> None:
        """End a search; else leave."""
        reader = self.reader
        if reader is not None and reader.pager.needle:
            reader.pager.follow()
            reader.draw()
            self.refresh_bindings()
        else:
            self.dismiss()

    def action_pause(self) -> None:
        if reader := self.reader:
            reader.toggle_pause()

    def action_wrap(self) -> None:
        if reader := self.reader:
            reader.toggle_wrap()

    def action_copy(self) -> None:
        """Copy the selection, else the page: by the terminal (OSC 52) and by the system."""
        text = self.get_selected_text() or (self.reader.page_text if self.reader else "")
        if not text.strip():
            self.notify("There is nothing to copy", timeout=3)
            return
        self.app.copy_to_clipboard(text)
        self.clear_selection()
        self.run_worker(self._copy(text), exit_on_error=False)

    async def _copy(self, text: str) -> None:
        where = "the clipboard" if await copy_by_system(text) else "the terminal's clipboard"
        lines = plural(len(text.splitlines()), "line")
        self.notify(f"{lines} sent to {where}", timeout=3)

    def action_search(self) -> None:
        """Type what to search for."""
        self._wanted = self.reader
        bar = self.query_one(SearchBar)
        bar.value = ""
        bar.display = True
        self.set_focus(bar)

    @on(Input.Submitted, "#search")
    def _search(self, event: Input.Submitted) -> None:
        reader = self._wanted
        self.action_end_search()
        if reader is not None and event.value:
            if not reader.pager.search(event.value):
                self.notify(f"“{clean(event.value)}” is not there", timeout=3, markup=False)
            reader.draw()
            self.refresh_bindings()

    def action_end_search(self) -> None:
        self.query_one(SearchBar).display = False
        if self._wanted is not None:
            self.set_focus(self._wanted)

    def action_match(self, direction: int) -> None:
        if reader := self.reader:
            reader.pager.step(direction)
            reader.draw()
