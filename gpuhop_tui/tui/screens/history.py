"""The past of a node's GPUs on the whole screen: zoom, pan, a cursor that reads, export."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.past_jobs import PastJob
from gpuhop_tui.fleet.state import FleetSource, NodeState
from gpuhop_tui.fleet.store.columns import Column
from gpuhop_tui.fleet.store.points import StoredPoint
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.gpus import short_name
from gpuhop_tui.tui.render.history_page import (
    GAP,
    LABEL,
    METRICS,
    Drawn,
    View,
    columns_of,
    grid,
    head,
    page,
    reading_line,
)
from gpuhop_tui.tui.render.history_window import Window
from gpuhop_tui.tui.render.history_words import all_jobs, job_line, span_of, why_no_figures
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, wrap
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines

LEAST_REFRESH, MOST_REFRESH = 2.0, 60.0  # seconds between two readings of the same window


class HistoryScreen(Screen[None]):
    """Follows the fleet. What was not read yet is read in the background."""

    CSS_PATH = "history.tcss"
    HELP_FIRST = "The history"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("history-zoom-in", "history-zoom-out", "history-all", "history-metric"),
        *bindings("history-newest", "history-jobs", "history-export", "history-leave"),
        Binding("left", "cursor(-1)", "earlier", show=False),
        Binding("right", "cursor(1)", "later", show=False),
        Binding("ctrl+left", "cursor(-10)", "much earlier", show=False),
        Binding("ctrl+right", "cursor(10)", "much later", show=False),
        Binding("shift+left,pageup", "pan(-1)", "earlier", show=False),
        Binding("shift+right,pagedown", "pan(1)", "later", show=False),
        Binding("up", "choose(-1)", "GPU before", show=False),
        Binding("down", "choose(1)", "next GPU", show=False),
        *(Binding(str(n), f"gpu({n})", f"GPU {n}", show=False) for n in range(10)),
    ]
    AUTO_FOCUS = ""

    def __init__(
        self,
        source: FleetSource,
        node: str,
        gpu: int | None,
        clock: Callable[[], float],
        job: Job | PastJob | None = None,
    ) -> None:
        """Begins with one GPU of a node, or with a job: its GPUs over its time."""
        super().__init__()
        self.source, self.node_name, self.clock = source, node, clock
        self.window = Window()
        self.gpu = gpu
        self.job: Job | PastJob | None = None
        self.shows_all = gpu is None
        self.metric = METRICS[0]
        self.points: dict[int, Sequence[StoredPoint]] = {}
        self._kept_gpus: tuple[int, ...] = ()  # of a node that has sent nothing yet
        self._wanted = asyncio.Event()
        self._read_at = 0.0
        self._read: tuple[object, ...] = ()  # what the points are of
        self._is_reading = True
        self._readings = 0
        self._added: dict[tuple[object, ...], Sequence[Column | None]] = {}
        self.graphs = _Graphs(id="history")
        if job is not None:
            self._take_job(job)

    def compose(self) -> ComposeResult:
        yield Lines(id="history-head")
        yield self.graphs
        yield Lines(id="history-note")
        yield Lines(id="history-foot")
        yield KeyBar()

    def on_mount(self) -> None:
        self.run_worker(self._keep_reading(), name="history", exit_on_error=False)
        self.set_interval(1.0, self.lay_out)
        self.lay_out()

    # What is shown

    @property
    def node(self) -> NodeState | None:
        return self.source.state.node(self.node_name)

    @property
    def gpus(self) -> dict[int, Gpu]:
        """The node's GPUs as they are now."""
        sample = self.node.sample if self.node is not None else None
        return {gpu.index: gpu for gpu in sample.gpus} if sample is not None else {}

    @property
    def indexes(self) -> list[int]:
        """The GPUs to choose from: those of the job, else of the node."""
        if self.job is not None and self.job.gpus:
            return list(self.job.gpus)
        return sorted(self.gpus) or list(self._kept_gpus)

    @property
    def shown(self) -> list[int]:
        """The GPUs that are drawn."""
        indexes = self.indexes
        if self.gpu not in indexes and indexes:
            self.gpu = indexes[0]
        return indexes if self.shows_all else [self.gpu] if self.gpu is not None else []

    @property
    def view(self) -> View:
        """The window in the room that there is."""
        count = len(self.shown) if self.shows_all else 1
        _, width = grid(count, self.graphs.room, self.graphs.size.height)
        return View(self.window, self.clock(), width)

    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Everything for the figures, the time and the room of now; reads what is missing."""
        if not self.is_mounted or not self.graphs.room:
            return
        view, room = self.view, self.graphs.room
        self._want(view)
        graphs = self._draw(view)
        shown = self.shown
        beside, _ = grid(len(graphs) if self.shows_all else 1, room, self.graphs.size.height)
        chosen = self.gpu if self.shows_all and len(shown) > 1 else None
        lines = page(graphs, view, beside, self.graphs.size.height, chosen)
        self.graphs.block = view.width + LABEL
        self.graphs.set_lines(lines or [self._nothing()])
        top, foot = self.query_one("#history-head", Lines), self.query_one("#history-foot", Lines)
        top.set_lines([head(*self._what(), view, self._is_reading, top.room)])
        why = ""
        if view.cursor is not None and shown:
            at = view.since + (view.cursor + 0.5) * view.column_seconds
            why = why_no_figures(self.node, self.points.get(shown[0], ()), at)
        foot.set_lines([reading_line(graphs, view, why, foot.room)])
        self._lay_note()

    def _draw(self, view: View) -> list[Drawn]:
        """What is the same as before is not added up again."""
        wanted = (
            [(self.metric, index) for index in self.shown]
            if self.shows_all
            else [(metric, index) for index in self.shown for metric in METRICS]
        )
        added: dict[tuple[object, ...], Sequence[Column | None]] = {}
        gpus, drawn = self.gpus, []
        for metric, index in wanted:
            key = (metric.name, index, self._readings, view.since, view.column_seconds, view.width)
            values = self._added.get(key)
            if values is None:
                values = columns_of(metric, self.points.get(index, ()), view)
            added[key] = values
            drawn.append(Drawn(metric, index, values, gpus.get(index)))
        self._added = added
        return drawn

    def _what(self) -> tuple[str, str]:
        """The title, and the name of the GPU or the job."""
        node = clean(self.node_name)
        shown = self.shown
        if self.job is not None:
            gpus = ", ".join(map(str, shown))
            return f"GPU {gpus} on {node}", f"job: {clean(self.job.name or '?')}"
        if self.shows_all:
            return f"{len(shown)} GPUs on {node}", ""
        gpu = self.gpus.get(self.gpu) if self.gpu is not None else None
        name = short_name(clean(gpu.name or "")) if gpu is not None else ""
        return f"GPU {'–' if self.gpu is None else self.gpu} on {node}", name

    def _nothing(self) -> Line:
        words = "reading…" if self._is_reading else "There is no GPU to show the history of"
        return (Span(words, Tone.DIM),)

    def _lay_note(self) -> None:
        """What is wrong with the file that keeps the past, while something is."""
        state = self.source.state
        note = self.query_one("#history-note", Lines)
        words = state.past_problem or state.past_notice
        note.set_class(bool(words), "-shown")
        if words:
            note.set_lines(wrap(words, max(20, note.room or self.graphs.room), Tone.WARN))

    # Reading

    def _want(self, view: View) -> None:
        key = (tuple(self.shown), self.window.seconds, self.window.end)
        old = min(max(view.column_seconds / 2, LEAST_REFRESH), MOST_REFRESH)
        if key != self._read or (self.window.end is None and view.now - self._read_at >= old):
            self._wanted.set()

    async def _keep_reading(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if not self.gpus:
                self._kept_gpus = tuple(await self.source.past_gpus(self.node_name))
            view, shown = self.view, self.shown
            key = (tuple(shown), self.window.seconds, self.window.end)
            self._is_reading = key != self._read
            for index in shown:
                self.points[index] = await self.source.past(
                    self.node_name, index, view.since, view.until
                )
                self._readings += 1
            self._read, self._read_at, self._is_reading = key, view.now, False
            self.lay_out()

    # Moving

    def action_zoom(self, step: int) -> None:
        self._go(self.window.zoomed(step, self.clock()))

    def action_pan(self, direction: int) -> None:
        self._go(self.window.panned(direction, self.clock()))

    def action_cursor(self, columns: int) -> None:
        view = self.view
        self._go(self.window.moved(columns, view.now, view.width))

    def action_newest(self) -> None:
        """Back to now."""
        self._go(self.window.at_newest())

    def _go(self, window: Window) -> None:
        self.window = window
        self.lay_out()

    def on__graphs_clicked(self, message: _Graphs.Clicked) -> None:
        view = self.view
        if 0 <= message.column < view.width:
            at = view.since + (message.column + 0.5) * view.column_seconds
            self._go(Window(self.window.seconds, self.window.end, min(at, view.now)))

    # What is looked at

    def action_all(self) -> None:
        """All GPUs with one figure, or one GPU with all of them."""
        self.shows_all = not self.shows_all
        self.lay_out()

    def action_metric(self) -> None:
        """Another figure of all GPUs."""
        place = METRICS.index(self.metric)
        self.metric = METRICS[(place + self.shows_all) % len(METRICS)]
        self.shows_all = True
        self.lay_out()

    def action_choose(self, step: int) -> None:
        """The GPU before or after."""
        indexes = self.indexes
        if indexes and self.shown:
            place = indexes.index(self.gpu) if self.gpu in indexes else 0
            self.gpu = indexes[(place + step) % len(indexes)]
            self.lay_out()

    def action_gpu(self, index: int) -> None:
        """One GPU, by its number."""
        if index in self.indexes:
            self.gpu, self.shows_all = index, False
            self.lay_out()
        else:
            self.notify(f"There is no GPU {index} here", timeout=2)

    # Jobs

    def _take_job(self, job: Job | PastJob | None) -> None:
        self.job = job
        if job is not None:
            now = self.clock()
            began, ended = span_of(job, now)
            self.window = self.window.around(began, ended, now)
            self.gpu = job.gpus[0] if job.gpus else self.gpu
            self.shows_all = len(job.gpus) > 1

    def action_jobs(self) -> None:
        """Choose a job of the node, of now or of the last days, or none again."""
        self.run_worker(self._choose_job(), group="jobs", exclusive=True, exit_on_error=False)

    async def _choose_job(self) -> None:
        from gpuhop_tui.tui.screens.choose import ChooseDialog

        node = self.node
        jobs = all_jobs(node, await self.source.past_jobs()) if node is not None else []
        if not jobs:
            words = f"No job was seen on {clean(self.node_name)} in the last 7 days"
            self.notify(words, timeout=4, markup=False)
            return
        now = self.clock()

        def line_of(job: Job | PastJob) -> Callable[[int], Line]:
            return lambda width: job_line(job, now, width)

        choices: list[Callable[[int], Line]] = [lambda width: (Span("all GPUs of the node"),)]
        choices += [line_of(job) for job in jobs]

        def chosen(number: int | None) -> None:
            if number is not None:
                self._take_job(jobs[number - 1] if number else None)
                self.lay_out()

        title = f"Jobs on {self.node_name} in the last 7 days"
        self.app.push_screen(ChooseDialog(title, choices, min(1, len(jobs))), chosen)

    # Leaving, with or without figures

    def action_export(self) -> None:
        """Write what is shown to a file."""
        from gpuhop_tui.tui.screens.history_export import ExportDialog

        view, shown = self.view, self.shown
        if not shown:
            self.notify("There is nothing to export", timeout=3)
            return
        export = ExportDialog(self.source, self.node_name, shown, view.since, view.until)

        def done(path: str | None) -> None:
            if path is not None:
                self.notify(f"Written: {clean(path)}", timeout=6, markup=False)

        self.app.push_screen(export, done)

    def action_leave(self) -> None:
        self.dismiss()


class _Graphs(Lines):
    """The graphs. A click reads a moment."""

    block = 1  # cells of one graph with its labels

    class Clicked(Message):
        """On a column of a graph."""

        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    def on_click(self, event: events.Click) -> None:
        if (place := event.get_content_offset(self)) is not None:
            self.post_message(self.Clicked(place.x % (self.block + GAP) - LABEL))
