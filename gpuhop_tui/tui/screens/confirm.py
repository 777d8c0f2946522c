"""Asks before something is ended, naming what."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Static

from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog


class ConfirmDialog(Dialog[bool]):
    """True: do it. Not doing it is the default."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,q", "answer(False)", "no"),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#no"

    def __init__(self, title: str, words: list[str], yes: str) -> None:
        """`yes` is the word on the button that does it."""
        super().__init__()
        self._title, self._words, self._yes = clean(title), words, yes

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box -bad", can_focus=False) as box:
            box.border_title = self._title.replace("[", r"\[")
            for words in self._words:
                yield Static(clean(words), classes="text", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(f"[u]Y[/u]es, {self._yes}", id="yes", variant="error")
                yield Button("[u]N[/u]o", id="no", variant="primary")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.action_answer(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)
