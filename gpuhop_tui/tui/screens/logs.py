"""One container's log, full screen. Nothing is changed on the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.css.query import NoMatches

from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.logs import LogFeed, log_foot, log_head
from gpuhop_tui.tui.screens.reading import ReadingScreen, SearchBar
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.log_pane import LogPane


class LogScreen(ReadingScreen):
    """Follows the log for as long as it is open."""

    CSS_PATH = "logs.tcss"
    HELP_FIRST = "In a tail or a log"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("tail-pause", "tail-search", "tail-next", "tail-previous", "log-times"),
        *bindings("tail-wrap", "tail-copy", "tail-leave"),
    ]

    def __init__(self, log: LogFeed, clock: Callable[[], float]) -> None:
        super().__init__()
        self.pane = LogPane(log, clock)
        self._clock = clock

    @property
    def reader(self) -> LogPane:
        return self.pane

    def compose(self) -> ComposeResult:
        yield Lines(id="log-head")
        yield self.pane
        yield Lines(id="log-foot")
        yield SearchBar()
        yield KeyBar()

    def on_mount(self) -> None:
        self.pane.focus()
        self.set_interval(1.0, self.lay_out)

    @on(LogPane.Moved)
    @on(Lines.Resized)
    def lay_out(self) -> None:
        """What stands above and below, as it is now."""
        pane, log = self.pane, self.pane.log_feed
        try:
            head, foot = self.query_one("#log-head", Lines), self.query_one("#log-foot", Lines)
        except NoMatches:
            return  # not there yet, or not any more
        head.set_lines([log_head(log, self._clock(), head.room)])
        foot.set_lines([log_foot(pane.pager, log, pane.is_loading, foot.room)])

    def action_times(self) -> None:
        self.pane.toggle_times()
