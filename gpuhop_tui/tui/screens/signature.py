"""Asks whether a host may have a signature of the lent agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Static

from gpuhop_tui.ssh.prompts import SignatureAnswer, SignatureQuestion
from gpuhop_tui.tui.render.guard import question_words
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog

ARM_SECONDS = 0.8
"""For so long no key allows anything: it was meant for what lay here before."""


class SignatureDialog(Dialog[SignatureAnswer]):
    """Who asks, for what, with which key, and the seconds left. No is the default."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "answer('once')", "once"),
        Binding("m", "answer('minutes')", "for some minutes"),
        Binding("w", "answer('lending')", "while it is lent"),
        Binding("n", "answer('deny')", "no"),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#deny"

    def __init__(self, question: SignatureQuestion) -> None:
        super().__init__()
        self.question = question
        self._shown_at = time.monotonic()

    def compose(self) -> ComposeResult:
        asked = self.question
        with VerticalScroll(classes="box -careful", can_focus=False) as box:
            box.border_title = "A signature is asked for"
            words = list(question_words(asked))
            for text in (text for text, soft in words if not soft):
                yield Static(clean(text), classes="text", markup=False)
            less = "\n".join(clean(text) for text, soft in words if soft)
            yield Static(less, classes="text soft", markup=False)
            yield Static("", id="left", classes="text warn", markup=False)
            with Horizontal(classes="buttons"):
                for answer, label in self._buttons().items():
                    if answer in asked.choices:
                        button = Button(label, id=answer.value)
                        if answer is SignatureAnswer.DENY:
                            button.variant = "primary"
                        yield button

    def _buttons(self) -> dict[SignatureAnswer, str]:
        return {
            SignatureAnswer.ONCE: "[u]O[/u]nce",
            SignatureAnswer.MINUTES: f"{self.question.minutes} [u]m[/u]in",
            SignatureAnswer.LENDING: "[u]W[/u]hile lent",
            SignatureAnswer.DENY: "[u]N[/u]o",
        }

    def on_mount(self) -> None:
        self._shown_at = time.monotonic()
        self.tick()
        self.set_interval(0.25, self.tick)

    def tick(self) -> None:
        """Count down."""
        now: Callable[[], float] = getattr(self.app, "clock", time.time)
        left = max(0, round(self.question.expires_at - now()))
        words = f"Without an answer it is denied in {left} s."
        self.query_one("#left", Static).update(words)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.action_answer(event.button.id or "deny")

    def action_answer(self, answer: str) -> None:
        """Answer, where the answer is offered; a yes only after a moment."""
        chosen = SignatureAnswer(answer)
        armed = time.monotonic() - self._shown_at >= ARM_SECONDS
        if chosen in self.question.choices and (armed or chosen is SignatureAnswer.DENY):
            self.dismiss(chosen)
