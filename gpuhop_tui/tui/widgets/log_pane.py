"""A container's log on the screen."""

from __future__ import annotations

from collections.abc import Callable

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.following import FollowState
from gpuhop_tui.containers.log_follow import Entry
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.logs import STDERR, LogFeed, LogLines
from gpuhop_tui.tui.render.pager import LinePager
from gpuhop_tui.tui.widgets.line_pane import LinePane


class LogPane(LinePane):
    """Follows a log and draws its page; scrolled to the top, it has earlier lines read."""

    pager: LinePager[Entry]

    def __init__(self, log: LogFeed, clock: Callable[[], float]) -> None:
        super().__init__()
        self.log_feed = log
        self.source = LogLines(log, clock)
        self.pager = LinePager(self.source, wrap=True)
        self.indent = 0 if log.container.tty else len(STDERR)
        self.is_loading = False

    def on_mount(self) -> None:
        self.log_feed.start()
        self.run_worker(self._follow(), name="log", exit_on_error=False)

    async def on_unmount(self) -> None:
        await self.log_feed.close()

    async def _follow(self) -> None:
        try:
            async for _ in self.log_feed.changes():
                self.draw()
        except Exception as error:
            self.log.error(error)
            self.notify(f"The log stopped: {error}", severity="error", markup=False)

    @property
    def is_faded(self) -> bool:
        return self.log_feed.view.state in (FollowState.AWAY, FollowState.REMOVED)

    def toggle_times(self) -> None:
        """The time before each line, or not."""
        self.source.with_times = not self.source.with_times
        self.pager.settle()
        self.draw()

    # The past

    def action_scroll_rows(self, rows: int) -> None:
        super().action_scroll_rows(rows)
        if rows < 0:
            self._reach_back()

    def action_scroll_far(self, end: int) -> None:
        super().action_scroll_far(end)
        if end < 0:
            self._reach_back()

    def _reach_back(self) -> None:
        """Have earlier lines read, where the first is in view."""
        log = self.log_feed
        if self.is_loading or not self.pager.at_oldest or log.view.whole or log.is_full:
            return
        self.is_loading = True
        self.run_worker(self._read_earlier(), name="earlier lines", exit_on_error=False)

    async def _read_earlier(self) -> None:
        first = next(iter(self.log_feed.entries), None)
        self.draw()
        try:
            found = await self.log_feed.earlier()
            if found and self.pager.begins_with(first):
                self.pager.prepend(found)
        except ProblemError as error:
            self._say(error.problem.message, error.problem.advice)
        except ContainerError as error:
            self._say(error.message, error.advice)
        finally:
            self.is_loading = False
            self.draw()

    def _say(self, message: str, advice: str) -> None:
        self.notify(clean(f"No earlier lines: {message}. {advice}"), severity="warning",
                    markup=False)  # fmt: skip
