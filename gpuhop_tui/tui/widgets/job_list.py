"""The selected node's jobs."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.tui.render.jobs import node_job_rows
from gpuhop_tui.tui.widgets.rows import Rows


class JobList(Rows):
    """A line a job. The selection is remembered for each node."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.hop_job", "hop", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="jobs", classes="-absent")
        self._jobs: tuple[Job, ...] = ()
        self._node = ""
        self._selected_on: dict[str, object] = {}

    def show(self, node: NodeState, now: float) -> None:
        """Show the jobs of a node."""
        if node.name != self._node:
            self._node = node.name
            self.selected = self._selected_on.get(node.name)
            self.scroll_home(animate=False)
        self._jobs = node.jobs
        self.show_rows(node_job_rows(node, self.room, now))
        if self.selected is not None:
            self._selected_on[node.name] = self.selected

    @property
    def job(self) -> Job | None:
        """The selected job as it is now."""
        return next((job for job in self._jobs if job.key == self.selected), None)
