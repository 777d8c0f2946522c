"""The fleet could not be opened: what happened, and the way out."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Static

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog


class OpenFailedScreen(Dialog[bool]):
    """True: try again. False: leave."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "try again"),
        Binding("q,escape", "leave", "quit"),
    ]
    AUTO_FOCUS = "#again"

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box -bad", can_focus=False) as box:
            box.border_title = "The fleet could not be opened"
            yield Static(_words(self._error), classes="text", markup=False)
            yield Static(_way_out(self._error), classes="text soft", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("[u]Q[/u]uit", id="quit")
                yield Button("T[u]r[/u]y again", id="again", variant="primary")

    @on(Button.Pressed, "#again")
    def action_again(self) -> None:
        self.dismiss(True)

    @on(Button.Pressed, "#quit")
    def action_leave(self) -> None:
        self.dismiss(False)


def _words(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return "\n".join(clean(line) for line in text.splitlines())


def _way_out(error: BaseException) -> str:
    if isinstance(error, ProblemError):
        return clean(error.problem.advice)
    return "Mend what it says and try again; or leave: gpuhop-tui --config PATH reads another file."
