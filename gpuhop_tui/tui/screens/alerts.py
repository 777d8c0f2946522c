"""The log of alerts, live: where each happened is one key away."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.alerts import alert_rows, nothing_yet, title_line
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from gpuhop_tui.fleet.alerts.model import Alert
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.screens.alert_actions import AlertActions


class AlertsScreen(Screen[None]):
    """Follows the log; looking at it is having read it."""

    CSS_PATH = "alerts.tcss"
    HELP_FIRST = "Alerts"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("alert-go", "alert-silence", "alert-give-up", "alert-leave"),
        Binding("exclamation_mark,q", "leave", show=False),
    ]
    AUTO_FOCUS = "#alerts"

    def __init__(self, app: GpuhopApp, dashboard: AlertActions) -> None:
        super().__init__()
        self._gpuhop, self._dashboard = app, dashboard
        self._shown: tuple[object, ...] = ()
        self._able: tuple[bool, bool] = (False, False)

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        yield Rows(id="alerts")
        yield KeyBar()

    def on_mount(self) -> None:
        self.lay_out()
        self.set_interval(0.5, self.lay_out)

    @property
    def alert(self) -> Alert | None:
        """The selected one."""
        place, alerting = self.query_one("#alerts", Rows).selected, self._gpuhop.alerting
        log = alerting.desk.log if alerting is not None else ()
        return log[place] if isinstance(place, int) and place < len(log) else None

    @on(Rows.Selected)
    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Lay it out as it is now."""
        alerting, now = self._gpuhop.alerting, self._gpuhop.clock()
        title, rows = self.query_one("#title", Lines), self.query_one("#alerts", Rows)
        log = alerting.desk.log if alerting is not None else ()
        wishes = alerting.desk.wishes if alerting is not None else ()
        silent = alerting.desk.silent_until - now if alerting is not None else 0.0
        title.set_lines([title_line(len(log), silent, wishes, title.room)])
        if self._shown != (log, rows.room):
            self._shown = (log, rows.room)
            follows = rows.cursor in (None, 0)
            lines = alert_rows(log, rows.room, now)
            rows.show_rows(lines or [(None, line) for line in nothing_yet(rows.room)])
            if follows and log:
                rows.select(len(log) - 1)
        if alerting is not None and alerting.desk.unread:
            alerting.desk.read()
            self._gpuhop.show_alerts()
        able = (self.alert is not None, bool(wishes))
        if able != self._able:
            self._able = able
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "go":
            return self._able[0]
        return self._able[1] if action == "give_up" else True

    def action_go(self) -> None:
        """Go to the node, and to the GPU, that the selected alert is about."""
        alert = self.alert
        if alert is not None:
            self.dismiss()
            self._dashboard.go_to_alert(alert)

    def action_silence(self) -> None:
        """Silence alerts for a while, or end that."""
        self._dashboard.action_silence()
        self.lay_out()

    def action_give_up(self) -> None:
        """Wait for no GPU any longer."""
        self._dashboard.stop_waiting()
        self.lay_out()

    def action_leave(self) -> None:
        self.dismiss()
