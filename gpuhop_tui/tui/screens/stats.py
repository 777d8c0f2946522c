"""What one container uses, live, as graphs. Nothing is changed on the node."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import ClassVar, Protocol

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from gpuhop_tui.containers.following import FollowView
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.usage_points import POINTS
from gpuhop_tui.fleet.container_gpus import GpuUse, gpu_use
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.stats import UsagePoints, graphs, stats, stats_foot, stats_head
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines


class UsageFeed(Protocol):
    """What is shown; `gpuhop_tui.containers.usage_points.ContainerUsage` is one."""

    container: Container
    view: FollowView

    @property
    def points(self) -> UsagePoints: ...

    def start(self) -> None: ...

    async def close(self) -> None: ...

    def changes(self) -> AsyncIterator[None]: ...


class StatsScreen(Screen[None]):
    """Measures for as long as it is open."""

    CSS_PATH = "stats.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("stats-leave")]

    def __init__(
        self, usage: UsageFeed, node: Callable[[], NodeState | None], clock: Callable[[], float]
    ) -> None:
        """`node` is the container's node as it is now."""
        super().__init__()
        self.usage = usage
        self._node = node
        self._clock = clock
        self._gpus: deque[tuple[float, GpuUse | None]] = deque(maxlen=POINTS)

    def compose(self) -> ComposeResult:
        yield Lines(id="stats-head")
        yield Lines(id="stats")
        yield Lines(id="stats-foot")
        yield KeyBar()

    def on_mount(self) -> None:
        self.usage.start()
        self.run_worker(self._follow(), name="stats", exit_on_error=False)
        self.set_interval(1.0, self.tick)
        self.tick()

    async def on_unmount(self) -> None:
        await self.usage.close()

    async def _follow(self) -> None:
        try:
            async for _ in self.usage.changes():
                self.lay_out()
        except Exception as error:
            self.log.error(error)
            self.notify(f"The graphs stopped: {error}", severity="error", markup=False)

    def tick(self) -> None:
        """A second has passed: look at the node's GPUs, and move on."""
        node = self._node()
        sample = node.live_sample if node is not None else None
        self._gpus.append((self._clock(), gpu_use(self.usage.container, sample)))
        self.lay_out()

    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Everything for the figures, the time and the room of now."""
        if not self.is_mounted:
            return
        usage, now = self.usage, self._clock()
        head, foot = self.query_one("#stats-head", Lines), self.query_one("#stats-foot", Lines)
        body = self.query_one("#stats", Lines)
        head.set_lines([stats_head(usage.container, usage.view, now, head.room)])
        foot.set_lines([stats_foot(usage.points, self._gpus, foot.room)])
        all_graphs = graphs(usage.points, self._gpus)
        body.set_lines(stats(all_graphs, body.room, body.size.height, now))

    def action_leave(self) -> None:
        self.dismiss()
