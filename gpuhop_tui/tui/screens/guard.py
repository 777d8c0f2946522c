"""The guard of the lent agent, live: who has it, what they may do, what was signed, its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.guard import event_lines, lent_rows, title_line
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from gpuhop_tui.fleet.state import FleetState
    from gpuhop_tui.tui.app import GpuhopApp


class GuardScreen(Screen[None]):
    """Follows the fleet's state."""

    CSS_PATH = "guard.tcss"
    HELP_FIRST = "The lent agent"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("guard-lock", "guard-revoke", "guard-leave"),
        Binding("g,q", "leave", show=False),
    ]
    AUTO_FOCUS = "#lent"

    def __init__(self, app: GpuhopApp) -> None:
        super().__init__()
        self._gpuhop = app
        self._able = False

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        yield Rows(id="lent")
        yield _Events(id="events")
        yield KeyBar()

    def on_mount(self) -> None:
        self.lay_out()
        self.set_interval(0.5, self.lay_out)

    @property
    def _state(self) -> FleetState | None:
        return self._gpuhop.source.state if self._gpuhop.source is not None else None

    @property
    def grant(self) -> int | None:
        """The id of the selected grant."""
        selected = self.query_one("#lent", Rows).selected
        return selected[1] if isinstance(selected, tuple) and selected[0] == "grant" else None

    @on(Rows.Selected)
    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Lay it out as it is now."""
        state, now = self._state, self._gpuhop.clock()
        title, lent = self.query_one("#title", Lines), self.query_one("#lent", Rows)
        events = self.query_one("#events", _Events)
        title.set_lines([title_line(state, title.room)])
        lent.show_rows(lent_rows(state, lent.room, now))
        events.set_lines(event_lines(state, events.room, now))
        if (self.grant is not None) != self._able:
            self._able = self.grant is not None
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.grant is not None if action == "revoke" else True

    def action_lock(self) -> None:
        """Refuse everything to everybody, or end that."""
        source, state = self._gpuhop.source, self._state
        if source is None or state is None:
            return
        source.lock_agent(not state.agent_locked)
        words = "Unlocked: rules and questions decide again"
        if not state.agent_locked:
            words = "Locked: everything is refused, and what was allowed for a while is over"
        self.notify(words, timeout=4)
        self.lay_out()

    def action_revoke(self) -> None:
        """End what the selected line allows."""
        if self.grant is not None and self._gpuhop.source is not None:
            self._gpuhop.source.revoke_grant(self.grant)
            self.lay_out()

    def action_leave(self) -> None:
        self.dismiss()


class _Events(Lines, can_focus=True):
    """The decisions; they scroll."""
