"""The form for a forward: which port of the node, and which of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.types import CSSPathType
from textual.widgets import Button, Input, Static

from gpuhop_tui.fleet.ports.model import LOOPBACK
from gpuhop_tui.ssh.port_forward import usual_local_port
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog

_FIELDS = {"port": "its port", "local": "port here"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A server, as the node names it, and the local port that is wanted."""

    host: str
    port: int
    local_port: int


def read_place(text: str) -> tuple[str, int] | None:
    """`8080`, or `host:8080` as the node would say it; None: it is neither."""
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else LOOPBACK
    number = _port(port)
    if number is None or not host or any(char.isspace() for char in host):
        return None
    return host, number


def _port(text: str) -> int | None:
    text = text.strip()
    fits = text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536
    return int(text) if fits else None


class ForwardDialog(Dialog[Asked]):
    """None: given up."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "forward_form.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "take", "forward")]
    AUTO_FOCUS = "#port"

    def __init__(self, node: str, place: str = "") -> None:
        """`place` as `read_place` takes it."""
        super().__init__()
        self._node, self._place = clean(node), clean(place)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = f"Forward a port of {self._node}".replace("[", r"\[")
            box.border_subtitle = "enter forwards, escape gives up"
            with Horizontal(classes="field"):
                yield Static(classes="label", id="port-label")
                yield Input(self._place, placeholder="8888, or host:8888", id="port", compact=True)
            with Horizontal(classes="field"):
                yield Static(classes="label", id="local-label")
                yield Input(placeholder="the same", id="local", compact=True)
            words = f"It listens on {LOOPBACK} alone; a port that is taken gives way to the next."
            yield Static(words, classes="text soft", markup=False)
            yield Static(id="failure", classes="failure", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Forward", id="ok", variant="primary")

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _mark(self) -> None:
        """Mark the field that is typed into, not by a colour alone."""
        for name, label in _FIELDS.items():
            mark = "›" if self.query_one(f"#{name}").has_focus else " "
            self.query_one(f"#{name}-label", Static).update(f"{mark} {label}")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    @on(Button.Pressed, "#ok")
    def action_take(self) -> None:
        """Forward, where nothing is plainly wrong."""
        place = read_place(self.query_one("#port", Input).value)
        typed = self.query_one("#local", Input).value.strip()
        local = _port(typed)
        if place is None:
            self._refuse("port", "its port is a number to 65535, or host:number")
        elif typed and local is None:
            self._refuse("local", "the port here is a number to 65535, or nothing")
        else:
            self.dismiss(Asked(*place, local or usual_local_port(place[1])))

    def _refuse(self, field: str, words: str) -> None:
        failure = self.query_one("#failure", Static)
        failure.update(words[:1].upper() + words[1:])
        failure.add_class("-said")
        self.query_one(f"#{field}").focus()
