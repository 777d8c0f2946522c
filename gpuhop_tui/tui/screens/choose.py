"""Chooses one of several things."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from gpuhop_tui.tui.render.line import Line, clean
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.rows import Rows


class ChooseDialog(Dialog[int]):
    """The result is the number of the choice, from 0."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "choose")]

    def __init__(self, title: str, choices: Sequence[Callable[[int], Line]], first: int = 0):
        """Each choice makes its line for a width in cells; the cursor is on `first`."""
        super().__init__()
        self._title, self._choices = clean(title), choices
        self.rows = _Choices(classes="box")
        self.rows.selected = first

    def compose(self) -> ComposeResult:
        self.rows.border_title = self._title.replace("[", r"\[")
        self.rows.border_subtitle = "enter chooses, escape cancels"
        yield self.rows

    @on(Lines.Resized)
    def lay_out(self) -> None:
        width = self.rows.room
        self.rows.show_rows([(number, make(width)) for number, make in enumerate(self._choices)])
        self.rows.reveal()

    def on_mount(self) -> None:
        self.lay_out()

    def action_choose(self) -> None:
        selected = self.rows.selected
        if isinstance(selected, int):
            self.dismiss(selected)


class _Choices(Rows):
    """A click chooses."""

    def clicked(self, y: int, x: int) -> None:
        self.run_worker(self.screen.run_action("choose"), exit_on_error=False)
