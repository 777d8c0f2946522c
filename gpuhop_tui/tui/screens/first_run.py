"""There is no config yet: where it is expected, what it looks like, what can be put into it."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.types import CSSPathType
from textual.widgets import Button, SelectionList, Static
from textual.widgets.selection_list import Selection

from gpuhop_tui.tui.opening import FirstRun
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.screens.dialog import Dialog

EXAMPLE = """\
[[bastions]]
name = "jump-server"
host = "192.168.1.100"
user = "developer"
[[nodes]]
name = "gpu-01"
host = "10.0.0.50"
user = "gpu-user"
via  = "jump-server\""""


class FirstRunScreen(Dialog[bool]):
    """True: a config was written, open it. False: leave."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "first_run.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "look again"),
        Binding("q,escape", "leave", "quit"),
    ]

    def __init__(self, first_run: FirstRun) -> None:
        super().__init__()
        self._first_run = first_run

    def compose(self) -> ComposeResult:
        hosts = self._first_run.ssh_hosts
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = "Welcome to gpuhop"
            yield Static(
                f"There is no config yet. It is expected at\n{self._first_run.config_path}",
                classes="text",
                markup=False,
            )
            with Horizontal(id="ways"):
                yield Static(EXAMPLE, id="example", markup=False)
                if hosts:
                    yield SelectionList(*(Selection(_prompt(host), host) for host in hosts))
            if hosts:
                words = (
                    "At the left a small config; at the right the hosts of your ~/.ssh/config. "
                    "Pick your GPU nodes with space: their jump hosts come along. Nothing is "
                    "connected to before that."
                )
            else:
                words = "~/.ssh/config names no host. Write the example, then edit it."
            yield Static(words, classes="text soft", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("[u]Q[/u]uit", id="quit")
                yield Button("Look again", id="again")
                yield Button(self._offer(0), id="write", variant="primary")

    def on_mount(self) -> None:
        self.query("SelectionList, #write").first().focus()
        for choices in self.query(SelectionList):
            choices.border_title = "~/.ssh/config"

    def _offer(self, picked: int) -> str:
        if picked:
            return f"Write {plural(picked, 'node')} and connect"
        return "Write the example"

    @on(SelectionList.SelectedChanged)
    def _picked(self, event: SelectionList.SelectedChanged[str]) -> None:
        self.query_one("#write", Button).label = self._offer(len(event.selection_list.selected))

    @on(Button.Pressed, "#write")
    def _write(self) -> None:
        hosts = [host for choices in self.query(SelectionList) for host in choices.selected]
        try:
            self._first_run.write_starter(hosts)
        except Exception as error:
            self.notify(clean(str(error)), title="Not written", severity="error", markup=False)
            return
        self.dismiss(True)

    @on(Button.Pressed, "#again")
    def action_again(self) -> None:
        self.dismiss(True)

    @on(Button.Pressed, "#quit")
    def action_leave(self) -> None:
        self.dismiss(False)


def _prompt(host: str) -> str:
    """The host as a prompt, which is markup: a bracket is to stay one."""
    return clean(host).replace("[", r"\[")
