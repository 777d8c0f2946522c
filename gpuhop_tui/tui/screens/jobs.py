"""Every job of the fleet, live: whose, where, how far; and what can be done about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from gpuhop_tui.fleet.jobs.filter import Filter, FilterError, parse
from gpuhop_tui.fleet.jobs.groups import Grouping, grouped, wanted_jobs
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.jobs import fleet_job_rows, job_details, jobs_title, no_jobs_lines
from gpuhop_tui.tui.render.line import Line, Span, Tone
from gpuhop_tui.tui.screens.job_actions import JobActions, wants_containers, wants_sessions
from gpuhop_tui.tui.widgets.filter_bar import TypingBar
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from gpuhop_tui.fleet.state import FleetState

MOST_DETAILS = 7  # lines


class JobFilterBar(TypingBar):
    """The filter, typed. It works while it is typed; enter keeps it, escape ends it."""

    HINTS = (("enter", "enter", "keep the filter"), ("escape", "esc", "end the filter"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.end_filter", "end the filter", show=False),
        Binding("down", "screen.keep_filter", "to the jobs", show=False),
    ]

    def __init__(self) -> None:
        hint = "user:NAME  mem>20g  state:stalled  gpu:0  node:NAME  text"
        super().__init__(placeholder=hint, compact=True, id="job-filter")
        self.display = False


class JobsScreen(Screen[None]):
    """Follows the fleet's state; the dashboard below does what is asked of a job."""

    CSS_PATH = "jobs.tcss"
    HELP_FIRST = "Jobs"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("job-hop", "job-tail", "job-end", "job-mine", "job-group", "job-filter"),
        *bindings("job-go", "job-history", "job-leave"),
        Binding("J,q", "leave", show=False),
    ]
    AUTO_FOCUS = "#all-jobs"

    def __init__(self, dashboard: JobActions) -> None:
        super().__init__()
        self._dashboard = dashboard
        self.only_mine = False
        self.grouping = Grouping.NODE
        self.asked = Filter()
        self._problem = ""
        self._jobs: dict[object, Job] = {}
        self._able = False
        self._watched: set[tuple[str, str]] = set()  # what, node

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        yield JobFilterBar()
        yield Lines(id="filter-problem")
        yield _Jobs(id="all-jobs")
        yield Lines(id="job")
        yield KeyBar()

    def on_mount(self) -> None:
        self._dashboard.watch_sessions()  # it is covered now: what it watched is ours to watch
        self._dashboard.watch_containers()
        self.lay_out()
        self.set_interval(0.5, self.lay_out)

    def on_unmount(self) -> None:
        for what, node in self._watched:
            self._watch(what, node, False)

    @property
    def _state(self) -> FleetState | None:
        return self._dashboard.source.state if self._dashboard.source is not None else None

    @property
    def job(self) -> Job | None:
        """The selected job as it is now."""
        return self._jobs.get(self.query_one("#all-jobs", Rows).selected)

    # Last lines and names are there while somebody looks

    def _watch_places(self, state: FleetState) -> None:
        wanted = {("sessions", node.name) for node in state.nodes if wants_sessions(node)}
        wanted |= {("containers", node.name) for node in state.nodes if wants_containers(node)}
        if self._dashboard.hopper.is_away:
            wanted = set()
        for what, node in wanted ^ self._watched:
            self._watch(what, node, (what, node) in wanted)
        self._watched = wanted

    def _watch(self, what: str, node: str, on: bool) -> None:
        source = self._dashboard.source
        if source is None:
            return
        actor = source.sessions(node) if what == "sessions" else source.containers(node)
        if actor is not None:
            actor.watch(on)

    # What is shown

    @on(Rows.Selected)
    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Lay it out as it is now."""
        state, now = self._state, self._dashboard.clock()
        rows, title = self.query_one("#all-jobs", Rows), self.query_one("#title", Lines)
        if state is None:
            return
        self._watch_places(state)
        jobs = list(wanted_jobs(state.nodes, self.only_mine, self.asked))
        self._jobs = {job.key: job for job in jobs}
        everything = [job for node in state.nodes for job in node.jobs]
        stale = frozenset(node.name for node in state.nodes if node.stale)
        title.set_lines([jobs_title(jobs, everything, self.only_mine, self.grouping, title.room)])
        if jobs:
            groups = grouped(jobs, self.grouping)
            rows.show_rows(fleet_job_rows(groups, self.grouping, stale, rows.room, now))
        else:
            lines = no_jobs_lines(state.nodes, bool(everything), rows.room)
            rows.show_rows([(None, line) for line in lines])
        self._lay_details(now)
        if (self.job is not None) != self._able:
            self._able = self.job is not None
            self.refresh_bindings()

    def _lay_details(self, now: float) -> None:
        pane, job = self.query_one("#job", Lines), self.job
        lines: list[Line] = [] if job is None else job_details(job, pane.room, now)
        pane.set_class(job is None, "-empty")
        pane.set_lines(lines[:MOST_DETAILS])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("hop_job", "tail_job", "end_job", "go_to_node", "history"):
            return self.job is not None
        return True

    # Acting

    def action_hop_job(self) -> None:
        if self.job is not None:
            self._dashboard.hop_to_job(self.job)

    def action_tail_job(self) -> None:
        if self.job is not None:
            self._dashboard.tail_job(self.job)

    def action_end_job(self) -> None:
        if self.job is not None:
            self._dashboard.end_job(self.job)
            self.lay_out()

    def action_go_to_node(self) -> None:
        """Leave, and select the job's node."""
        if self.job is not None:
            self._dashboard.go_to_node(self.job.node)
            self.dismiss()

    def action_mine(self) -> None:
        self.only_mine = not self.only_mine
        self.lay_out()

    def action_group(self) -> None:
        self.grouping = self.grouping.next
        self.lay_out()

    # Filtering

    @property
    def _bar(self) -> JobFilterBar:
        return self.query_one(JobFilterBar)

    def action_filter(self) -> None:
        """Type a filter."""
        self._bar.display = True
        self.set_focus(self._bar)  # at once: keys that follow are the filter's

    @on(Input.Changed)
    def _filter_changed(self, message: Input.Changed) -> None:
        try:
            self.asked, self._problem = parse(message.value, self._dashboard.clock()), ""
        except FilterError as error:
            self.asked, self._problem = error.others, str(error)
        shown = self.query_one("#filter-problem", Lines)
        shown.set_class(not self._problem, "-empty")
        shown.set_lines([(Span(self._problem, Tone.WARN),)] if self._problem else [])
        self.lay_out()

    @on(Input.Submitted)
    def action_keep_filter(self) -> None:
        if not self._bar.value:
            self.action_end_filter()
        self.set_focus(self.query_one("#all-jobs"))

    def action_end_filter(self) -> None:
        """Show all of them again."""
        self._bar.value = ""
        self._bar.display = False
        self.set_focus(self.query_one("#all-jobs"))

    def action_history(self) -> None:
        """Show the job's GPUs over its time."""
        from gpuhop_tui.tui.screens.history import HistoryScreen

        job, source = self.job, self._dashboard.source
        if job is not None and source is not None:
            self.app.push_screen(HistoryScreen(source, job.node, None, self._dashboard.clock, job))

    def action_leave(self) -> None:
        """End the filter; else return to the fleet."""
        if self._bar.value:
            self.action_end_filter()
        else:
            self.dismiss()


class _Jobs(Rows):
    """Takes the filter's key itself: a key goes up to the app before it does anything, and what was
    typed right after it would have gone the same way by then."""

    def on_key(self, event: events.Key) -> None:
        focused = self.screen.focused
        if focused is not None and focused is not self:
            event.stop()
            focused.post_message(events.Key(event.key, event.character))
            return
        bound = self.screen.active_bindings.get(event.key)
        if bound is not None and bound.binding.id == "job-filter":
            event.stop()
            assert isinstance(self.screen, JobsScreen)
            self.screen.action_filter()
