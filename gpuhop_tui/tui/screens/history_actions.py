"""What the dashboard does about the past: shows it, and says where it is not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.screen import Screen

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.state import FleetSource, FleetState
from gpuhop_tui.tui.render.line import clean

if TYPE_CHECKING:
    from gpuhop_tui.tui.widgets.target_view import TargetView


class HistoryActions(Screen[None]):
    """The part of the dashboard that leads to the history."""

    view: TargetView
    state: FleetState | None
    source: FleetSource | None
    clock: Callable[[], float]
    _told_of_past = ("", "")

    def action_history(self) -> None:
        """Show the history of the selected GPU; in the list of jobs, that of the selected job."""
        node, job = self.view.node, self.view.selected_job
        if node is None:
            self.notify("Select a node first", timeout=3)
        elif job is not None and self.focused is self.view.lower:
            self.show_history(node.name, job=job)
        else:
            self.show_history(node.name)

    def show_history(self, node: str, *, job: Job | None = None) -> None:
        """Show the history of a node's GPUs: of the selected one first, or those of a job."""
        from gpuhop_tui.tui.screens.history import HistoryScreen

        if self.source is None:
            self.notify("The fleet is not open yet", timeout=3)
            return
        here = self.view.node is not None and self.view.node.name == node
        gpu = self.view.gpus.selected if here else None
        self.app.push_screen(HistoryScreen(self.source, node, gpu, self.clock, job))

    def tell_of_past(self, state: FleetState) -> None:
        """Say once that the past is not kept, or what became of its file."""
        told = (state.past_problem, state.past_notice)
        if told == self._told_of_past:
            return
        before, self._told_of_past = self._told_of_past, told
        for words, old in zip(told, before, strict=True):
            if words and words != old:
                self.notify(clean(words), severity="warning", timeout=10, markup=False)
