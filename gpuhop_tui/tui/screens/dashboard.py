"""The dashboard: the fleet at the left, the selected node at the right."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.widgets import Static

from gpuhop_tui.fleet.reservations import others_reservation
from gpuhop_tui.fleet.state import BastionState, FleetSource, FleetState, NodeState
from gpuhop_tui.fleet.summary import GpuPlace, freest, is_free
from gpuhop_tui.tui.keymap import bindings, shown_key
from gpuhop_tui.tui.render.keys import keys_offer
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.reservations import reservation_words
from gpuhop_tui.tui.screens.alert_actions import AlertActions
from gpuhop_tui.tui.screens.container_views import ContainerViews
from gpuhop_tui.tui.screens.door_actions import DoorActions
from gpuhop_tui.tui.screens.history_actions import HistoryActions
from gpuhop_tui.tui.screens.job_actions import JobActions
from gpuhop_tui.tui.screens.new_container_actions import NewContainerActions
from gpuhop_tui.tui.screens.reserve_actions import ReserveActions
from gpuhop_tui.tui.widgets.filter_bar import FilterBar
from gpuhop_tui.tui.widgets.fleet_tree import FleetTree
from gpuhop_tui.tui.widgets.gpu_table import GpuTable
from gpuhop_tui.tui.widgets.header import FleetHeader
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.tab_bar import TabBar
from gpuhop_tui.tui.widgets.target_view import TargetView

LEAST_WIDTH, LEAST_HEIGHT = 80, 24


class DashboardScreen(
    NewContainerActions,
    ContainerViews,
    DoorActions,
    JobActions,
    AlertActions,
    HistoryActions,
    ReserveActions,
):
    """Shows the states it is given by `show`."""

    CSS_PATH = "dashboard.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("back", "hop", "attach", "tail", "new-session", "stop"),
        *bindings("freest", "filter", "sort", "retry", "retry-all", "details", "doctor", "clear"),
        *bindings("alerts", "silence", "reserve"),
        *bindings("keys", "guard", "jobs", "history"),
        *bindings("new-container", "work", "container-menu", "mark", "images", "hop-as"),
        *bindings("logs", "stats", "copy-in", "copy-out"),
        *bindings("ports", "vscode"),
        *bindings("tab-processes", "tab-containers", "tab-sessions"),
        *bindings("tab-history", "tab-node", "tab-log"),
    ]
    AUTO_FOCUS = "#tree"

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.clock = clock
        self.state: FleetState | None = None
        self.source: FleetSource | None = None
        self.header = FleetHeader(clock())
        self.filter = FilterBar()
        self.fleet_tree = FleetTree()
        self.view = TargetView(clock)
        self._able: tuple[object, ...] = ()  # the tab, and which kinds of things are selected
        self._keys_offered = False
        self.freed: GpuPlace | None = None  # that was waited for
        self._visited: list[GpuPlace] = []  # by `freest`, since the user last moved by himself

    def compose(self) -> ComposeResult:
        yield self.header
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield self.filter
                yield self.fleet_tree
            yield self.view
        yield self.offer
        yield KeyBar()
        yield Static(id="too-small", markup=False)

    def on_mount(self) -> None:
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
        before, self.state, self.source = self.view.target, state, source
        now = self.clock()
        self.header.show(state, now)
        self.fleet_tree.show(state, now)
        if self.selected is not before:
            self.show_selected()
        if before is None:
            self.show_offer()
        self._offer_keys(state.agent)
        self.tell_of_past(state)

    def show_selected(self) -> None:
        """Show what is selected, at the right."""
        self.view.show(self.selected, self.state, self.source)
        self.watch_sessions()
        self.watch_containers()
        view = self.view
        lists = (view.selected_session, view.selected_container, view.selected_image)
        found = (view.node, view.selected_job, *lists)
        able = (view.tabs.active, *(each is not None for each in found))
        if able != self._able:
            self._able = able
            self.refresh_bindings()

    @on(TabBar.Chosen)
    def _chose_tab(self) -> None:
        self.show_selected()

    def tick(self) -> None:
        """A second has passed: the clock, countdowns and ages move on."""
        now = self.clock()
        self.header.show(self.state, now)
        self.gpuhop.show_alerts()
        self.fleet_tree.tick(now)
        self.show_selected()
        if self.offer.display:
            self.show_offer()

    @property
    def selected(self) -> BastionState | NodeState | None:
        """The selected bastion or node as it is now."""
        if self.state is None or self.fleet_tree.selected is None:
            return None
        kind, name = self.fleet_tree.selected
        if kind == "node":
            return self.state.node(name)
        return next((bastion for bastion in self.state.bastions if bastion.name == name), None)

    # Selection

    @on(FleetTree.Selected)
    @on(GpuTable.Selected)
    def _moved(self) -> None:
        """The user went somewhere by himself."""
        self._visited.clear()
        self.show_selected()

    def action_freest(self) -> None:
        """Go to the freest GPU; pressed again, to the next."""
        if self.state is None or self.wants_to_wait():
            return
        ranked = freest(self.state)
        if not ranked:
            self.notify("No node has live figures to choose from", severity="warning")
            return
        if self.freed is not None and self.freed in ranked:  # that was waited for
            ranked.insert(0, self.freed)
        self.freed = None
        target = next((place for place in ranked if place not in self._visited), None)
        if target is None:
            self._visited.clear()
            target = ranked[0]
        self._visited.append(target)
        self.go_to(target)
        gpu = self.view.selected_gpu
        node = self.view.node
        other = others_reservation(node, gpu) if node is not None and gpu is not None else None
        if other is not None:
            words = reservation_words(other, self.clock())
            self.notify(f"Asked for by {words}", timeout=6, markup=False)
        elif gpu is not None and not is_free(gpu):
            key = shown_key(self.app, "freest")
            words = f"No other GPU is free; this one is used the least. {key} again waits for one"
            self.notify(words, timeout=3)

    def go_to(self, place: GpuPlace) -> None:
        """Select a node and one of its GPUs, ending a filter that hides it."""
        self.go_to_node(place.node)
        self.view.select_gpu(place.index)

    def go_to_node(self, name: str) -> None:
        """Select a node, ending a filter that hides it."""
        key = ("node", name)
        if self.fleet_tree.needle and all(row.key != key for row in self.fleet_tree.shown):
            self.end_filter()
        self.fleet_tree.select(key)
        self.show_selected()

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
        """End the filter; else what is marked; else forget the offer; else return to the tree."""
        if self.fleet_tree.needle or self.filter.has_class("-shown"):
            self.end_filter()
        elif not self.clear_containers() and not self.refuse_offer():
            self.fleet_tree.focus()

    def action_sort(self) -> None:
        """Order the nodes in the next way."""
        self.fleet_tree.order(sort=self.fleet_tree.sort.next)
        self.notify(f"Ordered by {self.fleet_tree.sort.value}", timeout=2)

    # The rest

    def action_tab(self, name: str) -> None:
        """Show a tab; where it is shown already, go into it."""
        if self.view.tabs.active == name:
            self.set_focus(self.view.lower)
        self.view.tabs.active = name

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

    def action_doctor(self) -> None:
        """Check everything between here and the GPUs."""
        from gpuhop_tui.tui.app import GpuhopApp
        from gpuhop_tui.tui.screens.doctor import DoctorScreen

        if self.source is None or not isinstance(self.app, GpuhopApp):
            self.notify("The fleet is not open yet", timeout=3)
            return
        app = self.app
        app.push_screen(DoctorScreen(self.source, app.config_path, app.templates))

    def action_keys(self) -> None:
        """Look at the agent's keys, and act upon them."""
        from gpuhop_tui.tui.screens.keys import KeysScreen

        if self.source is None:
            self.notify("The fleet is not open yet", timeout=3)
            return
        retry = partial(self.source.retry, None)
        self.app.push_screen(KeysScreen(self.source.keychain, self.clock, retry))

    def _offer_keys(self, agent: str) -> None:
        """Say once, where it is so, that there is no agent or none with keys, and what helps."""
        if self._keys_offered or not agent:
            return
        self._keys_offered = True
        if words := keys_offer(agent, shown_key(self.app, "keys")):
            self.notify(words, severity="warning", timeout=8, markup=False)

    def action_guard(self) -> None:
        """Show who the agent is lent to, and what was signed."""
        from gpuhop_tui.tui.screens.guard import GuardScreen

        self.app.push_screen(GuardScreen(self.gpuhop))

    def action_details(self) -> None:
        """Show every figure of the selected GPU."""
        from gpuhop_tui.tui.screens.details import DetailsScreen

        if self.view.selected_gpu is None:
            self.notify("Select a node with GPUs first", timeout=3)
            return
        self.app.push_screen(DetailsScreen(self.view))
