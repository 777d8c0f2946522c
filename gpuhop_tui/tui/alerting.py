"""Telling alerts: as a toast, by the terminal, and on the line of a hop that has the terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gpuhop_tui.fleet.alerts.desk import AlertDesk
from gpuhop_tui.fleet.alerts.model import Alert, AlertKind, Severity
from gpuhop_tui.fleet.summary import GpuPlace
from gpuhop_tui.tui.render.alerts import sentence
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.terminal_notice import sequence, tmux_passes, way_for

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from gpuhop_tui.config.schema import AlertsConfig
    from gpuhop_tui.fleet.state import FleetSource, FleetState
    from gpuhop_tui.tui.app import GpuhopApp

MOST_TOASTS = 3  # at a time; more become one that counts them
SECONDS = 12.0

_TOASTS: dict[Severity, SeverityLevel] = {
    Severity.GOOD: "information",
    Severity.WARNING: "warning",
    Severity.BAD: "error",
}

log = logging.getLogger(__name__)


class Alerting:
    """The alerts of an app: its desk, and how they are told. `write` puts text to the terminal
    between two frames."""

    def __init__(
        self,
        app: GpuhopApp,
        config: AlertsConfig,
        clock: Callable[[], float],
        write: Callable[[str], None],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._app, self._write, self._environ = app, write, environ
        self._passes = False  # whether tmux passes sequences on
        self.desk = AlertDesk(config, clock=clock, on_alerts=self.tell, on_failure=self._failed)

    async def start(self, source: FleetSource) -> None:
        """Begins to look at a fleet, and at the terminal's abilities."""
        self.desk.start(source, source.notes)
        if self._environ.get("TMUX"):
            self._passes = await tmux_passes(self._environ)

    def observe(self, state: FleetState) -> None:
        """Takes the newest state."""
        if self.desk.observe(state):
            self._app.show_alerts()

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Tells these now."""
        told = [(clean(alert.title), clean(alert.words)) for alert in alerts]
        self._tell_terminal(told)
        if len(alerts) > MOST_TOASTS:
            names = dict.fromkeys(title for title, _ in told)
            words = ", ".join(list(names)[:MOST_TOASTS]) + (", …" if len(names) > 3 else "")
            worst = Severity.BAD if any(a.severity is Severity.BAD for a in alerts) else None
            title = plural(len(alerts), "alert")
            self._toast(title, words, worst or Severity.WARNING)
            return
        for alert, (title, words) in zip(alerts, told, strict=True):
            more = ""
            if alert.kind is AlertKind.GPU_FREE and self._app.dashboard is not None:
                self._app.dashboard.freed = GpuPlace(alert.node, alert.gpus[0])
                more = f" · {self._app.key_of('freest')} goes there"
            self._toast(title, words + more, alert.severity)

    def _toast(self, title: str, words: str, severity: Severity) -> None:
        self._app.notify(
            words,
            title=sentence(title).replace("[", r"\["),
            severity=_TOASTS[severity],
            timeout=SECONDS,
            markup=False,
        )

    def _tell_terminal(self, told: Sequence[tuple[str, str]]) -> None:
        """One notification for all: a terminal stacks them over each other."""
        title, words = told[0]
        if len(told) > 1:
            title, words = plural(len(told), "alert"), "; ".join(title for title, _ in told)
        way = way_for(self.desk.config.terminal, self._environ, self._passes)
        text = sequence(way, title, words, in_tmux=bool(self._environ.get("TMUX")))
        tell = self._app.hopper.tell
        if tell is not None:  # a hop has the terminal: Textual's driver must not write
            tell(f"{title}: {words}", text.encode())
        elif self._app.hopper.is_away:  # its login asks on the terminal: not even a bell
            log.info("not told to the terminal, which a login has: %s", title)
        elif text:
            self._write(text)

    def _failed(self, words: str) -> None:
        self._app.notify(clean(words), severity="warning", timeout=SECONDS, markup=False)
