"""Asks whether an unknown host key may be trusted."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Static

from gpuhop_tui.ssh.prompts import HostKeyAnswer, HostKeyQuestion
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog


class HostKeyDialog(Dialog[HostKeyAnswer]):
    """The key's hop, way and fingerprint; refusing is the default."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "answer('always')", "always"),
        Binding("o", "answer('once')", "once"),
        Binding("n", "cancel", "refuse"),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#refuse"

    def __init__(self, question: HostKeyQuestion) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        asked = self.question
        route = " → ".join(("laptop", *asked.route, asked.hop))
        with VerticalScroll(classes="box -careful", can_focus=False) as box:
            box.border_title = "Unknown host key"
            yield _text(f"{asked.hop} is not in known_hosts. Is this its {asked.algorithm} key?")
            yield _text(f"{asked.fingerprint}\nof {asked.address}\nover {route}", "fingerprint")
            yield _text(
                "Compare it with what the server's keeper says, or with the output of "
                "ssh-keygen -lf on the server.",
                "soft",
            )
            yield _text(f"“Always” adds it to {asked.known_hosts_file}", "soft")
            with Horizontal(classes="buttons"):
                yield Button("[u]A[/u]lways", id="always")
                yield Button("[u]O[/u]nce", id="once")
                yield Button("[u]N[/u]o, refuse", id="refuse", variant="primary")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.action_answer(event.button.id or "refuse")

    def action_answer(self, answer: str) -> None:
        self.dismiss(HostKeyAnswer(answer))


def _text(text: str, *classes: str) -> Static:
    lines = "\n".join(clean(line) for line in text.split("\n"))
    return Static(lines, classes=" ".join(("text", *classes)), markup=False)
