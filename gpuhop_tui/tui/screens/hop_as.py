"""The form for a hop into a container as another user, elsewhere, or by another way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.types import CSSPathType
from textual.widgets import Button, Input, Static

from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import TAB_IN_TURN, Dialog
from gpuhop_tui.tui.widgets.tick import Tick


@dataclass(frozen=True, slots=True)
class HopAs:
    """Who, where and how. Empty: as the container has it."""

    user: str = ""
    directory: str = ""
    by_ssh: bool = False


class HopAsDialog(Dialog[HopAs]):
    """None: given up."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "hop_as.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [*TAB_IN_TURN, Binding("ctrl+s", "take", "hop")]
    AUTO_FOCUS = "#user"

    def __init__(
        self,
        container: str,
        node: str,
        choice: HopAs,
        *,
        usual_user: str,
        ssh_port: int | None,
        ssh_user: str,
    ) -> None:
        """`ssh_port` is the node's, at which the container's own sshd answers; None: it has none.
        `usual_user` and `ssh_user` are whom an empty field means, by docker exec and by SSH."""
        super().__init__()
        self._container, self._node, self._choice = clean(container), clean(node), choice
        self._users = (clean(usual_user), clean(ssh_user))
        self._ssh_port = ssh_port

    def compose(self) -> ComposeResult:
        choice = self._choice
        with VerticalScroll(classes="box", can_focus=False) as box:
            title = f"Hop into {self._container} on {self._node}"
            box.border_title = title.replace("[", r"\[")
            box.border_subtitle = "enter hops, escape gives up"
            with Horizontal(classes="field"):
                yield Static("  user", id="user-label", classes="label")
                yield Input(choice.user, id="user", compact=True)
            with Horizontal(classes="field"):
                yield Static("  directory", id="directory-label", classes="label")
                yield Input(choice.directory, id="directory", compact=True)
            if self._ssh_port is not None:
                label = f"by its own SSH server, port {self._ssh_port} of the node"
                yield Tick(label, choice.by_ssh, id="ssh", compact=True)
            else:
                words = "It publishes no SSH server: the way in is docker exec."
                yield Static(words, classes="text soft", markup=False)
            yield Static(id="failure", classes="failure", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Hop", id="ok", variant="primary")

    def on_mount(self) -> None:
        self._show_way()

    @property
    def _by_ssh(self) -> bool:
        return self._ssh_port is not None and self.query_one("#ssh", Tick).value

    @on(Tick.Changed)
    def _show_way(self) -> None:
        """What an empty field means depends on the way."""
        by_ssh = self._by_ssh
        self.query_one("#user", Input).placeholder = self._users[by_ssh]
        directory = self.query_one("#directory", Input)
        directory.placeholder = "a login begins at home" if by_ssh else "the container's own"
        directory.disabled = by_ssh

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _mark(self) -> None:
        """Mark the field that is typed into, not by a colour alone."""
        for name in ("user", "directory"):
            mark = "›" if self.query_one(f"#{name}").has_focus else " "
            self.query_one(f"#{name}-label", Static).update(f"{mark} {name}")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    @on(Tick.Submitted)
    @on(Button.Pressed, "#ok")
    def action_take(self) -> None:
        """Hop, where nothing is plainly wrong."""
        user = self.query_one("#user", Input).value.strip()
        directory = "" if self._by_ssh else self.query_one("#directory", Input).value.strip()
        if user.startswith("-") or any(char.isspace() for char in user):
            self._refuse("user", f"{user!r} is no user: NAME, or UID:GID")
        elif directory and not directory.startswith("/"):
            self._refuse("directory", "the directory has to begin with /")
        else:
            self.dismiss(HopAs(user, directory, self._by_ssh))

    def _refuse(self, field: str, words: str) -> None:
        failure = self.query_one("#failure", Static)
        failure.update(clean(words[:1].upper() + words[1:]))
        failure.add_class("-said")
        self.query_one(f"#{field}").focus()
