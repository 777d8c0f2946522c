"""What the dashboard does about alerts: the log, silence, and waiting for a GPU to become free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.screen import Screen

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.fleet.summary import GpuPlace, freest, is_free
from gpuhop_tui.tui.keymap import shown_key
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import duration

if TYPE_CHECKING:
    from gpuhop_tui.fleet.alerts.engine import Wish
    from gpuhop_tui.fleet.alerts.model import Alert
    from gpuhop_tui.tui.alerting import Alerting
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.widgets.target_view import TargetView

Command = tuple[str, str, Callable[[], object]]

TWICE_SECONDS = 1.5  # two presses within it are one wish


class AlertActions(Screen[None]):
    """The part of the dashboard that is about alerts."""

    view: TargetView
    state: FleetState | None
    clock: Callable[[], float]

    def __init__(self) -> None:
        super().__init__()
        self._freest_at = 0.0  # when the freest GPU was asked for, and none was free

    @property
    def gpuhop(self) -> GpuhopApp:
        raise NotImplementedError

    @property
    def _alerting(self) -> Alerting | None:
        return self.gpuhop.alerting

    def action_alerts(self) -> None:
        """Show the log of alerts."""
        from gpuhop_tui.tui.screens.alerts import AlertsScreen

        self.app.push_screen(AlertsScreen(self.gpuhop, self))

    def action_silence(self) -> None:
        """Silence alerts for a while, or end that."""
        if self._alerting is None:
            self.notify("The fleet is not open yet", timeout=3)
            return
        desk = self._alerting.desk
        seconds = 0 if desk.is_silent else desk.config.silence
        desk.silence(seconds)
        words = f"Silent for {duration(seconds)}: alerts are only logged"
        self.notify(words if seconds else "Alerts are told again", timeout=4)
        self.gpuhop.show_alerts()

    def go_to_alert(self, alert: Alert) -> None:
        """Select what an alert is about, as far as it is still there."""
        if self.state is None or self.state.node(alert.node) is None:
            words = f"{alert.node} is no node of this fleet"
            self.notify(clean(words), timeout=4, markup=False)
        elif alert.gpus:
            self.go_to(GpuPlace(alert.node, alert.gpus[0]))
        else:
            self.go_to_node(alert.node)

    def go_to(self, place: GpuPlace) -> None:
        raise NotImplementedError

    def go_to_node(self, name: str) -> None:
        raise NotImplementedError

    # Waiting

    def wants_to_wait(self) -> bool:
        """Whether the freest GPU was asked for twice at once while none is free; then it is waited
        for."""
        ranked = freest(self.state) if self.state is not None else []
        if any(self._is_free(place) for place in ranked):
            self._freest_at = 0.0
            return False
        now = self.clock()
        twice = 0 <= now - self._freest_at <= TWICE_SECONDS
        self._freest_at = 0.0 if twice else now
        if twice:
            from gpuhop_tui.fleet.alerts.engine import Wish

            self.wait_for(Wish())
        return twice

    def _is_free(self, place: GpuPlace) -> bool:
        node = self.state.node(place.node) if self.state is not None else None
        sample = node.live_sample if node is not None else None
        return sample is not None and any(
            gpu.index == place.index and is_free(gpu) for gpu in sample.gpus
        )

    def wait_for(self, wish: Wish) -> None:
        """Have it told when such a GPU is free."""
        if self._alerting is None:
            self.notify("The fleet is not open yet", timeout=3)
            return
        self._alerting.desk.wait_for(wish)
        key = shown_key(self.app, "alerts")
        words = f"Waiting for {wish}: you are told when there is one. {key} and then x ends it"
        self.notify(clean(words), timeout=5, markup=False)
        self.gpuhop.show_alerts()

    def stop_waiting(self) -> None:
        """Wait for no GPU any longer."""
        if self._alerting is not None:
            for wish in self._alerting.desk.wishes:
                self._alerting.desk.give_up(wish)
            self.gpuhop.show_alerts()

    def alert_commands(self) -> Iterator[Command]:
        """For the palette."""
        from gpuhop_tui.fleet.alerts.engine import Wish

        yield "Alerts", "What was told, and when", self.action_alerts
        yield "Silence alerts", "For a while; again: they are told", self.action_silence
        wait = partial(self.wait_for, Wish())
        yield "Wait for a free GPU", "You are told when there is one, anywhere", wait
        node, gpu = self.view.node, self.view.selected_gpu
        if node is not None:
            name = f"Wait for a free GPU on {clean(node.name)}"
            yield name, "You are told when there is one", partial(self.wait_for, Wish(node.name))
        if node is not None and gpu is not None:
            name = f"Wait until GPU {gpu.index} of {clean(node.name)} is free"
            wait = partial(self.wait_for, Wish(node.name, gpu.index))
            yield name, "You are told when it is", wait
        if self._alerting is not None and self._alerting.desk.wishes:
            yield "Wait for no GPU any longer", "", self.stop_waiting
