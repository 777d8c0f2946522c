"""Shows a line to be copied: where this machine cannot open it itself."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Static

from gpuhop_tui.tui.clipboard import copy_by_system
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog


class LinkDialog(Dialog[None]):
    """`c` copies, by the desktop and by the terminal (OSC 52)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "copy"),
        Binding("q", "cancel", show=False),
    ]
    AUTO_FOCUS = "#copy"

    def __init__(self, title: str, words: list[str], link: str) -> None:
        super().__init__()
        self._title, self._words, self._link = clean(title), words, link

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = self._title.replace("[", r"\[")
            box.border_subtitle = "c copies, escape closes"
            for words in self._words:
                yield Static(clean(words), classes="text soft", markup=False)
            yield Static(clean(self._link), id="link", classes="text", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Close", id="close")
                yield Button("[u]C[/u]opy", id="copy", variant="primary")

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#copy")
    async def action_copy(self) -> None:
        """Copy the line."""
        self.app.copy_to_clipboard(self._link)
        by_system = await copy_by_system(self._link)
        where = "the clipboard" if by_system else "the terminal's clipboard"
        self.notify(f"Copied to {where}", timeout=3, markup=False)
