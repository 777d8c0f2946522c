"""The selected node's tmux sessions."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.tui.render.sessions import KeyNames, session_rows
from gpuhop_tui.tui.widgets.rows import Rows


class SessionList(Rows):
    """Two lines a session. The selection is remembered for each node."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.attach", "attach", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="sessions", classes="-absent")
        self._sessions: tuple[TmuxSession, ...] = ()
        self._node = ""
        self._selected_on: dict[str, object] = {}
        self._awaited: tuple[str, str, str] | None = None  # node, server, id

    def show(self, node: NodeState, now: float, keys: KeyNames) -> None:
        """Show the sessions of a node."""
        if node.name != self._node:
            self._node = node.name
            self.selected = self._selected_on.get(node.name)
            self.scroll_home(animate=False)
        self._sessions = node.sessions or ()
        self.show_rows(session_rows(node, self.room, now, keys))
        for session in self._sessions:
            if (session.node, session.server, session.id) == self._awaited:
                self._awaited = None
                self.select(session.key)
        if self.selected is not None:
            self._selected_on[node.name] = self.selected

    def await_session(self, node: str, server: str, id: str) -> None:
        """Select a session, by `TmuxSession.server` and its id, as soon as it is listed."""
        self._awaited = (node, server, id)

    @property
    def session(self) -> TmuxSession | None:
        """The selected session as it is now."""
        return next((each for each in self._sessions if each.key == self.selected), None)
