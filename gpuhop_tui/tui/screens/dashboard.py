"""The dashboard: the fleet at the left, the selected node at the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

from gpuhop_tui.fleet.state import BastionState, FleetSource, FleetState, NodeState
from gpuhop_tui.fleet.summary import GpuPlace, freest, is_free
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.head import bastion_head, node_head
from gpuhop_tui.tui.render.history import history
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean
from gpuhop_tui.tui.render.machine import machine
from gpuhop_tui.tui.render.processes import process_table
from gpuhop_tui.tui.render.trouble import log_lines, problem_lines
from gpuhop_tui.tui.widgets.filter_bar import FilterBar
from gpuhop_tui.tui.widgets.fleet_tree import FleetTree
from gpuhop_tui.tui.widgets.gpu_table import GpuTable
from gpuhop_tui.tui.widgets.header import FleetHeader
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.pane import Pane
from gpuhop_tui.tui.widgets.tab_bar import TabBar

LEAST_WIDTH, LEAST_HEIGHT = 80, 24


class DashboardScreen(Screen[None]):
    """Shows the states it is given by `show`. It asks the source for history only."""

    CSS_PATH = "dashboard.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("freest", "filter", "sort", "retry", "retry-all", "details", "clear"),
        *bindings("tab-processes", "tab-history", "tab-node", "tab-log"),
    ]
    AUTO_FOCUS = "#tree"

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.clock = clock
        self.state: FleetState | None = None
        self.source: FleetSource | None = None
        self._gpu_of: dict[str, int] = {}  # the GPU that was selected on each node
        self._visited: list[GpuPlace] = []  # by `freest`, since the user last moved by himself

    def compose(self) -> ComposeResult:
        yield FleetHeader(self.clock())
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield FilterBar()
                yield FleetTree()
            with Vertical(id="right"):
                yield Lines(id="head")
                yield Lines(id="problem", classes="-empty")
                yield GpuTable()
                yield TabBar()
                yield Pane()
                yield Lines(id="graph")
        yield KeyBar()
        yield Static(id="too-small", markup=False)

    def on_mount(self) -> None:
        self.head = self.query_one("#head", Lines)
        self.problem = self.query_one("#problem", Lines)
        self.graph = self.query_one("#graph", Lines)
        self.header = self.query_one(FleetHeader)
        self.fleet_tree = self.query_one(FleetTree)
        self.gpus = self.query_one(GpuTable)
        self.tabs = self.query_one(TabBar)
        self.pane = self.query_one(Pane)
        self.filter = self.query_one(FilterBar)
        self._fit(self.app.size)
        self.set_interval(1.0, self.tick)

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size)

    def _fit(self, size: Size) -> None:
        """Choose the layout for this size, by classes that dashboard.tcss knows."""
        width, height = size
        small = width < LEAST_WIDTH or height < LEAST_HEIGHT
        layout = {
            "-roomy": width >= 110,
            "-wide": width >= 160,
            "-short": height < 30,
            "-tall": height >= 36,
            "-too-small": small,
        }
        if any(self.has_class(name) != wanted for name, wanted in layout.items()):
            for name, wanted in layout.items():
                self.set_class(wanted, name, update=False)
            self.update_node_styles()
        if small:
            self.query_one("#too-small", Static).update(
                f"gpuhop needs {LEAST_WIDTH}×{LEAST_HEIGHT} characters.\n"
                f"This terminal has {width}×{height}: please make it bigger."
            )

    # Taking what is new

    def show(self, state: FleetState, source: FleetSource | None) -> None:
        """Show this state of the fleet."""
        before, self.state, self.source = self.state, state, source
        now = self.clock()
        self.header.show(state, now)
        selected = self.fleet_tree.selected
        self.fleet_tree.show(state, now)
        if selected != self.fleet_tree.selected or _of(before, selected) is not self.selected:
            self.show_selected()

    def tick(self) -> None:
        """A second has passed: the clock, countdowns and ages move on."""
        now = self.clock()
        self.header.show(self.state, now)
        self.fleet_tree.tick(now)
        self.show_selected()

    @property
    def selected(self) -> BastionState | NodeState | None:
        """The selected bastion or node as it is now."""
        return _of(self.state, self.fleet_tree.selected)

    @property
    def selected_gpu(self) -> Gpu | None:
        """The selected GPU as it is now."""
        node = self.selected
        if not isinstance(node, NodeState) or node.sample is None:
            return None
        return next((gpu for gpu in node.sample.gpus if gpu.index == self.gpus.selected), None)

    # The right side

    @on(TabBar.Chosen)
    def _chose_tab(self) -> None:
        self.pane.scroll_home(animate=False)
        self.show_selected()

    @on(Lines.Resized)
    def show_selected(self) -> None:
        """Lay out the selected node or bastion; what is the same as before is not drawn again."""
        selected = self.selected
        node = selected if isinstance(selected, NodeState) else None
        self._show_head(selected)
        self._show_problem(selected)
        self._show_gpus(node)
        self.pane.set_lines(self._pane_lines(selected))
        self._show_graph(node)

    def _show_head(self, selected: BastionState | NodeState | None) -> None:
        width, now = self.head.room, self.clock()
        lines: list[Line] = []
        if isinstance(selected, NodeState):
            lines = node_head(selected, width, now)
        elif isinstance(selected, BastionState) and self.state is not None:
            lines = bastion_head(selected, self.state, width, now)
        self.head.set_lines(lines)

    def _show_problem(self, selected: BastionState | NodeState | None) -> None:
        problem = None
        if isinstance(selected, NodeState):
            problem = selected.problem
        elif selected is not None:
            problem = selected.link.problem
        self.problem.set_class(problem is None, "-empty")
        if problem is None or selected is None:
            return
        self.problem.set_class(selected.link.state is not LinkState.BLOCKED, "-waits")
        width = self.problem.room or self.head.room - 3
        self.problem.set_lines(
            problem_lines(problem, selected.link, width, self.clock(), self._key_for("retry"))
        )

    def _show_gpus(self, node: NodeState | None) -> None:
        sample = node.sample if node else None
        empty = sample is None or not sample.gpus
        self.gpus.set_class(empty, "-empty")
        if node is None or sample is None or empty:
            return
        self.gpus.selected = self._gpu_of.get(node.name, self.gpus.selected)
        self.gpus.show(sample, node.stale)

    def _pane_lines(self, selected: BastionState | NodeState | None) -> list[Line]:
        if selected is None:
            return []
        width, height, now = self.pane.room, self.pane.size.height, self.clock()
        tab = self.tabs.active
        if tab == "log" or isinstance(selected, BastionState):
            return log_lines(selected.events, width, now)
        if selected.sample is None:
            why = (Span("No figures yet. What happened so far:", Tone.DIM),)
            return [why, (), *log_lines(selected.events, width, now)]
        if tab == "processes":
            return process_table(selected.sample, width, now, selected.stale)
        if tab == "node":
            return machine(selected.sample, width, now, selected.stale)
        if self.gpus.selected is None:
            return [(Span("There is no GPU to show the history of", Tone.DIM),)]
        return self._history(selected.name, width, height)

    def _show_graph(self, node: NodeState | None) -> None:
        """The history below the other tabs, where the screen is tall enough for both."""
        has_gpus = node is not None and node.sample is not None and bool(node.sample.gpus)
        self.graph.set_class(has_gpus and self.tabs.active != "history", "-shown")
        if node is not None and self.graph.display:
            width, height = self.graph.room, self.graph.size.height
            self.graph.set_lines(self._history(node.name, width, height))

    def _history(self, node: str, width: int, height: int) -> list[Line]:
        index = self.gpus.selected
        if index is None or self.source is None:
            return []
        points = self.source.history(node, index)
        return history(points, f"GPU {index}", width, height, self.clock())

    def _key_for(self, action: str) -> str:
        """The key that an action is bound to now, as it is shown."""
        for _, binding, _, _ in self.active_bindings.values():
            if binding.action == action:
                return self.app.get_key_display(binding)
        return action

    # Selection

    @on(FleetTree.Selected)
    def _selected_row(self) -> None:
        self._visited.clear()
        self._changed_selection()

    def _changed_selection(self) -> None:
        self.gpus.selected = None
        self.pane.scroll_home(animate=False)
        self.show_selected()

    @on(GpuTable.Selected)
    def _selected_gpu(self, message: GpuTable.Selected) -> None:
        self._visited.clear()
        self._remember_gpu(message.index)
        self.show_selected()

    def _remember_gpu(self, index: int) -> None:
        node = self.selected
        if isinstance(node, NodeState):
            self._gpu_of[node.name] = index

    def action_freest(self) -> None:
        """Go to the freest GPU; pressed again, to the next."""
        if self.state is None:
            return
        ranked = freest(self.state)
        if not ranked:
            self.notify("No node has live figures to choose from", severity="warning")
            return
        target = next((place for place in ranked if place not in self._visited), None)
        if target is None:
            self._visited.clear()
            target = ranked[0]
        self._visited.append(target)
        self.go_to(target)
        gpu = self.selected_gpu
        if gpu is not None and not is_free(gpu):
            self.notify("No other GPU is free; this one is used the least", timeout=3)

    def go_to(self, place: GpuPlace) -> None:
        """Select a node and one of its GPUs, ending a filter that hides it."""
        self._gpu_of[place.node] = place.index
        self.go_to_node(place.node)
        self.gpus.select(place.index)

    def go_to_node(self, name: str) -> None:
        """Select a node, ending a filter that hides it."""
        key = ("node", name)
        if self.fleet_tree.needle and all(row.key != key for row in self.fleet_tree.shown):
            self.end_filter()
        self.fleet_tree.select(key)
        self._changed_selection()

    # Filter and order

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter.add_class("-shown")
        self.filter.focus()

    @on(FilterBar.Changed)
    def _filter_changed(self, message: FilterBar.Changed) -> None:
        self.fleet_tree.order(needle=message.value)

    @on(FilterBar.Left)
    def _filter_left(self) -> None:
        if not self.filter.value:
            self.end_filter()
        self.fleet_tree.focus()

    @on(FilterBar.Cleared)
    def end_filter(self) -> None:
        """Show the whole fleet again."""
        self.filter.remove_class("-shown")
        self.filter.value = ""
        self.fleet_tree.order(needle="")
        self.fleet_tree.focus()

    def action_clear(self) -> None:
        """End the filter."""
        if self.fleet_tree.needle or self.filter.has_class("-shown"):
            self.end_filter()

    def action_sort(self) -> None:
        """Order the nodes in the next way."""
        self.fleet_tree.order(sort=self.fleet_tree.sort.next)
        self.notify(f"Ordered by {self.fleet_tree.sort.value}", timeout=2)

    # The rest

    def action_tab(self, name: str) -> None:
        """Show a tab."""
        self.tabs.active = name

    def action_retry(self) -> None:
        """Try the selected link again now."""
        selected = self.selected
        if selected is not None:
            self.retry(selected.name)

    def action_retry_all(self) -> None:
        """Try every link again now."""
        self.retry(None)

    def retry(self, name: str | None) -> None:
        """Try a bastion's or a node's link now; None: all of them."""
        if self.source is not None:
            self.source.retry(name)
            what = clean(name) if name else "every link"
            self.notify(f"Trying {what} again", timeout=2, markup=False)

    def action_details(self) -> None:
        """Show every figure of the selected GPU."""
        from gpuhop_tui.tui.screens.details import DetailsScreen

        if self.selected_gpu is None:
            self.notify("Select a node with GPUs first", timeout=3)
            return
        self.app.push_screen(DetailsScreen(self))


def _of(state: FleetState | None, key: tuple[str, str] | None) -> BastionState | NodeState | None:
    """The bastion or node of this kind and name."""
    if state is None or key is None:
        return None
    kind, name = key
    if kind == "node":
        return state.node(name)
    return next((bastion for bastion in state.bastions if bastion.name == name), None)
