"""Passes on what a server itself asks: a one-time code, a password (RFC 4256)."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Static

from gpuhop_tui.ssh.prompts import ChallengeQuestion
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog


class ChallengeDialog(Dialog[list[str]]):
    """One field a prompt. The words are the server's, and are shown as such."""

    AUTO_FOCUS = "Input"

    def __init__(self, question: ChallengeQuestion) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        asked = self.question
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = f"{clean(asked.hop)} asks".replace("[", r"\[")
            for words in (asked.title, asked.instructions):
                text = "\n".join(clean(line) for line in words.splitlines()).strip()
                if text:
                    yield Static(text, classes="text", markup=False)
            for prompt, echo in asked.prompts:
                yield Static(clean(prompt).strip(), markup=False)
                yield Input(password=not echo)
            yield Static(
                "These are the server's own words. The answer goes to it alone.",
                classes="text soft",
            )
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Answer", id="ok", variant="primary")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        """Enter goes to the next field, and answers from the last."""
        inputs = list(self.query(Input))
        if event.input is inputs[-1]:
            self._answer()
        else:
            self.focus_next(Input)

    @on(Button.Pressed, "#ok")
    def _answer(self) -> None:
        self.dismiss([field.value for field in self.query(Input)])
