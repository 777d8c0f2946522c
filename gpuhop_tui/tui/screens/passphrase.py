"""Asks for the passphrase of a key file."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Static

from gpuhop_tui.ssh.prompts import PassphraseQuestion
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import duration
from gpuhop_tui.tui.screens.dialog import Dialog


class PassphraseDialog(Dialog[str]):
    """The key file, who wants it, what becomes of it; the passphrase is not shown."""

    AUTO_FOCUS = "#passphrase"

    def __init__(self, question: PassphraseQuestion) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        asked = self.question
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = "Passphrase"
            if asked.wrong:
                yield Static("That did not open the key. Try again.", classes="text warn")
            key = clean(asked.key_file)
            fingerprint = f"\n{clean(asked.fingerprint)}" if asked.fingerprint else ""
            yield Static(
                f"{clean(asked.hop)} wants the key {key}{fingerprint}",
                classes="text",
                markup=False,
            )
            yield Input(password=True, placeholder="passphrase", id="passphrase")
            yield Static(self._fate(), classes="text soft", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Unlock", id="ok", variant="primary")

    def _fate(self) -> str:
        seconds = self.question.lifetime_seconds
        if seconds is None:
            return "The key is used by this program only, and not added to the agent."
        return f"The agent will hold the key for {duration(seconds)}."

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#ok")
    @on(Input.Submitted)
    def _submit(self) -> None:
        self.dismiss(self.query_one(Input).value)
