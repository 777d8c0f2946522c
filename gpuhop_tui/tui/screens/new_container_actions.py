"""What the dashboard does about new containers and work in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.screen import Screen

if TYPE_CHECKING:
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.widgets.header import FleetHeader
    from gpuhop_tui.tui.widgets.target_view import TargetView


class NewContainerActions(Screen[None]):
    """The part of the dashboard that begins work in the background and shows it."""

    header: FleetHeader
    view: TargetView
    _had_work = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        if action == "new_container":
            return self.view.node is not None
        if action == "work":
            return bool(self._app.work.jobs)
        return super().check_action(action, parameters)

    @property
    def _app(self) -> GpuhopApp:
        from gpuhop_tui.tui.app import GpuhopApp

        assert isinstance(self.app, GpuhopApp)
        return self.app

    def show_work(self) -> None:
        """A job began, is further, or ended."""
        jobs = self._app.work.jobs
        self.header.show_work(jobs)
        if bool(jobs) != self._had_work:
            self._had_work = bool(jobs)
            self.refresh_bindings()
