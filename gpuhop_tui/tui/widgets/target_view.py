"""The right side: everything about the selected node or bastion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import on
from textual.app import App, ComposeResult
from textual.containers import Vertical

from gpuhop_tui.containers.model import Container, Image
from gpuhop_tui.fleet.explain import explain_gpu
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.state import BastionState, FleetSource, FleetState, NodeState
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.problem import Problem
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.keymap import shown_key
from gpuhop_tui.tui.render.containers import KeyNames as ContainerKeyNames
from gpuhop_tui.tui.render.explain import limit_line
from gpuhop_tui.tui.render.head import bastion_head, node_head
from gpuhop_tui.tui.render.history import history
from gpuhop_tui.tui.render.line import Line, Span, Tone
from gpuhop_tui.tui.render.machine import machine
from gpuhop_tui.tui.render.sessions import KeyNames
from gpuhop_tui.tui.render.trouble import log_lines, problem_lines
from gpuhop_tui.tui.widgets.container_list import ContainerList
from gpuhop_tui.tui.widgets.gpu_table import GpuTable
from gpuhop_tui.tui.widgets.job_list import JobList
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.pane import Pane
from gpuhop_tui.tui.widgets.session_list import SessionList
from gpuhop_tui.tui.widgets.tab_bar import TabBar

Target = BastionState | NodeState


class TargetView(Vertical):
    """Head, problem, GPUs, tabs. What is the same as before is not drawn again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(id="right")
        self.clock = clock
        self.target: Target | None = None
        self.fleet = FleetState()
        self.source: FleetSource | None = None
        self.head = Lines(id="head")
        self.problem = Lines(id="problem", classes="-empty")
        self.gpus = GpuTable()
        self.tabs = TabBar()
        self.jobs = JobList()
        self.pane = Pane()
        self.containers = ContainerList()
        self.sessions = SessionList()
        self.graph = Lines(id="graph")
        self._gpu_of: dict[str, int] = {}  # the GPU that was selected on each node

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.problem
        yield self.gpus
        yield self.tabs
        yield self.jobs
        yield self.pane
        yield self.containers
        yield self.sessions
        yield self.graph

    # What is shown

    def show(
        self, target: Target | None, fleet: FleetState | None, source: FleetSource | None
    ) -> None:
        """Show a node or bastion of a fleet."""
        if _name(target) != _name(self.target):
            self.gpus.selected = None
            self.pane.scroll_home(animate=False)
        self.target, self.fleet, self.source = target, fleet or FleetState(), source
        self.lay_out()

    @property
    def node(self) -> NodeState | None:
        return self.target if isinstance(self.target, NodeState) else None

    @property
    def selected_gpu(self) -> Gpu | None:
        """The selected GPU as it is now."""
        sample = self.node.sample if self.node else None
        gpus = sample.gpus if sample else ()
        return next((gpu for gpu in gpus if gpu.index == self.gpus.selected), None)

    @property
    def shows_jobs(self) -> bool:
        """Whether the jobs of a node are in view."""
        known = self.node is not None and self.node.sample is not None
        return known and self.tabs.active == "jobs"

    @property
    def selected_job(self) -> Job | None:
        """The selected job as it is now, while jobs are in view."""
        return self.jobs.job if self.shows_jobs else None

    @property
    def shows_sessions(self) -> bool:
        """Whether the sessions of a node are in view."""
        return self.node is not None and self.tabs.active == "sessions"

    @property
    def selected_session(self) -> TmuxSession | None:
        """The selected session as it is now, while sessions are in view."""
        return self.sessions.session if self.shows_sessions else None

    @property
    def shows_containers(self) -> bool:
        """Whether the containers (or images) of a node are in view."""
        return self.node is not None and self.tabs.active == "containers"

    @property
    def selected_container(self) -> Container | None:
        """The selected container as it is now, while containers are in view."""
        return self.containers.container if self.shows_containers else None

    @property
    def selected_image(self) -> Image | None:
        """The selected image as it is now, while images are in view."""
        return self.containers.image if self.shows_containers else None

    @property
    def lower(self) -> Pane | JobList | ContainerList | SessionList:
        """What is below the tabs."""
        if self.shows_jobs:
            return self.jobs
        if self.shows_containers:
            return self.containers
        return self.sessions if self.shows_sessions else self.pane

    def select_gpu(self, index: int) -> None:
        """Select a GPU of the node, and remember it."""
        if self.node is not None:
            self._gpu_of[self.node.name] = index
            self.gpus.select(index)
            self.lay_out()

    @on(GpuTable.Selected)
    def _selected(self, message: GpuTable.Selected) -> None:
        self.select_gpu(message.index)

    @on(TabBar.Chosen)
    def _chose_tab(self) -> None:
        self.pane.scroll_home(animate=False)

    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Lay all of it out for the figures, the time and the room of now."""
        self._lay_head()
        self._lay_problem()
        self._lay_gpus()
        self._lay_pane()
        self._lay_graph()

    # The parts

    def _lay_head(self) -> None:
        width, now = self.head.room, self.clock()
        lines: list[Line] = []
        if isinstance(self.target, NodeState):
            lines = node_head(self.target, width, now)
        elif isinstance(self.target, BastionState):
            lines = bastion_head(self.target, self.fleet, width, now)
        self.head.set_lines(lines)

    def _lay_problem(self) -> None:
        problem = _problem(self.target)
        self.problem.set_class(problem is None, "-empty")
        if problem is None or self.target is None:
            return
        link = self.target.link
        self.problem.set_class(link.state is not LinkState.BLOCKED, "-waits")
        width = self.problem.room or self.head.room - 3
        retry = shown_key(self.app, "retry")
        self.problem.set_lines(problem_lines(problem, link, width, self.clock(), retry))

    def _lay_gpus(self) -> None:
        node = self.node
        if node is None or node.sample is None or not node.sample.gpus:
            self.gpus.add_class("-empty")
            return
        self.gpus.remove_class("-empty")
        self.gpus.selected = self._gpu_of.get(node.name, self.gpus.selected)
        self.gpus.show(node.sample, node.stale, self._notes(node))

    def _notes(self, node: NodeState) -> list[Line]:
        """What limits the selected GPU, where there is room to say it."""
        gpu = self.selected_gpu
        if gpu is None or not self.screen.has_class("-tall"):
            return []
        line = limit_line(gpu.index, explain_gpu(node, gpu, self.clock()), self.gpus.room)
        return [] if line is None else [line]

    def _lay_pane(self) -> None:
        focused = self.screen.focused
        lowers = (self.jobs, self.pane, self.containers, self.sessions)
        for each in lowers:
            each.set_class(each is not self.lower, "-absent")
        if focused in lowers and focused is not self.lower:
            self.screen.set_focus(self.lower)
        if self.node is not None and self.shows_jobs:
            self.jobs.show(self.node, self.clock())
        elif self.node is not None and self.shows_containers:
            self.containers.show(self.node, self.clock(), _container_keys(self.app))
        elif self.node is not None and self.shows_sessions:
            names = KeyNames(*(shown_key(self.app, id) for id in ("new-session", "hop", "stop")))
            self.sessions.show(self.node, self.clock(), names)
        else:
            lines = self._pane_lines(self.pane.room, self.clock())
            self.pane.show_rows([(None, line) for line in lines])

    def _pane_lines(self, width: int, now: float) -> list[Line]:
        target, tab = self.target, self.tabs.active
        if target is None:
            return []
        if tab == "log" or isinstance(target, BastionState):
            return log_lines(target.events, width, now)
        if target.sample is None:
            why = (Span("No figures yet. What happened so far:", Tone.DIM),)
            return [why, (), *log_lines(target.events, width, now)]
        if tab == "node":
            return machine(target.sample, width, now, target.stale)
        if not target.sample.gpus:
            return [(Span("There is no GPU to show the history of", Tone.DIM),)]
        key = shown_key(self.app, "history")
        more = (Span(f"{key} ", Tone.INFO), Span("all figures, 5 min to 7 days", Tone.DIM))
        return [*self._history(target, width, self.pane.size.height - 1), more]

    def _lay_graph(self) -> None:
        """The history below the other tabs, where the screen is tall enough for both."""
        node = self.node
        wanted = node is not None and node.sample is not None and bool(node.sample.gpus)
        self.graph.set_class(wanted and self.tabs.active != "history", "-shown")
        if node is not None and self.graph.display:
            self.graph.set_lines(self._history(node, self.graph.room, self.graph.size.height))

    def _history(self, node: NodeState, width: int, height: int) -> list[Line]:
        index = self.gpus.selected
        if index is None or self.source is None:
            return []
        points = self.source.history(node.name, index)
        return history(points, f"GPU {index}", width, height, self.clock())


def _container_keys(app: App[Any]) -> ContainerKeyNames:
    return ContainerKeyNames(shown_key(app, "new-container"), shown_key(app, "images"))


def _name(target: Target | None) -> tuple[type, str] | None:
    return None if target is None else (type(target), target.name)


def _problem(target: Target | None) -> Problem | None:
    if isinstance(target, NodeState):
        return target.problem
    return target.link.problem if target else None
