"""Live views of tmux panes, one to four side by side. Nothing is changed on the nodes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Vertical
from textual.css.query import NoMatches

from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.sessions.tail import Tail
from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line
from gpuhop_tui.tui.render.sessions import all_sessions, running
from gpuhop_tui.tui.render.tail_head import tail_foot, tail_head
from gpuhop_tui.tui.screens.reading import ReadingScreen, SearchBar
from gpuhop_tui.tui.screens.session_actions import SessionActions, choose_pane
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.tail_pane import TailPane

if TYPE_CHECKING:
    from gpuhop_tui.fleet.state import FleetSource

MOST = 4
LEAST_WIDTH = 50  # cells of a tail that stands beside another


class TailsScreen(ReadingScreen):
    """The tails that were asked for. Leaving it ends them."""

    CSS_PATH = "tails.tcss"
    HELP_FIRST = "In a tail or a log"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("tail-add", "tail-pause", "tail-search", "tail-next", "tail-previous"),
        *bindings("tail-wrap", "tail-copy", "tail-close", "tail-leave"),
    ]

    def __init__(self, dashboard: SessionActions, session: TmuxSession, pane: TmuxPane) -> None:
        super().__init__()
        self._dashboard = dashboard
        self._first = (session, pane)

    def compose(self) -> ComposeResult:
        yield Grid(id="tails")
        yield SearchBar()
        yield KeyBar()

    async def on_mount(self) -> None:
        self.add(*self._first)
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        for box in self.boxes:
            box.lay_out()

    @property
    def boxes(self) -> list[TailBox]:
        return list(self.query(TailBox))

    @property
    def box(self) -> TailBox | None:
        """The tail that keys are for."""
        focused = self.focused
        if isinstance(focused, TailPane) and isinstance(focused.parent, TailBox):
            return focused.parent
        return next(iter(self.boxes), None)

    @property
    def reader(self) -> TailPane | None:
        box = self.box
        return box.pane if box is not None else None

    # Which tails

    @property
    def _source(self) -> FleetSource | None:
        return self._dashboard.source

    def add(self, session: TmuxSession, pane: TmuxPane) -> None:
        """Show one more, and have the keys go to it."""
        for box in self.boxes:
            if (box.pane.tail.session.key, box.pane.tail.pane.id) == (session.key, pane.id):
                box.pane.focus()
                return
        actor = self._source.sessions(session.node) if self._source else None
        if actor is None or len(self.boxes) >= MOST:
            return
        box = TailBox(actor.tail(session, pane), self._dashboard)
        self.query_one("#tails", Grid).mount(box)
        self.call_after_refresh(self._arrange)
        self.call_after_refresh(box.pane.focus)

    def _arrange(self) -> None:
        """As many side by side as have room."""
        count = len(self.boxes)
        columns = max(1, min(count, self.size.width // LEAST_WIDTH))
        grid = self.query_one("#tails", Grid)
        grid.styles.grid_size_columns = columns
        grid.styles.grid_size_rows = max(1, -(-count // columns))
        self.refresh_bindings()

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()

    def action_add(self) -> None:
        """Choose another session to watch beside these."""
        from gpuhop_tui.tui.screens.choose import ChooseDialog

        if len(self.boxes) >= MOST:
            self.notify(f"{MOST} tails are the most", timeout=3)
            return
        state = self._dashboard.state
        shown = {(box.pane.tail.session.key, box.pane.tail.pane.id) for box in self.boxes}
        sessions = [
            session
            for session in (all_sessions(state.nodes) if state else ())
            if any((session.key, pane.id) not in shown for pane in session.panes)
        ]
        if not sessions:
            self.notify("No other session was seen on any node", timeout=3)
            return
        makers = [partial(_session_line, session) for session in sessions]

        def chosen(number: int | None) -> None:
            if number is not None:
                session = sessions[number]
                choose_pane(self, session, partial(self.add, session))

        self.app.push_screen(ChooseDialog("Watch another session", makers), chosen)

    async def action_close(self) -> None:
        """End one tail; with the last one all is left."""
        box = self.box
        if len(self.boxes) <= 1 or box is None:
            self.dismiss()
            return
        await box.remove()
        self._arrange()
        self.boxes[0].pane.focus()


class TailBox(Vertical):
    """A tail with its head and foot."""

    def __init__(self, tail: Tail, dashboard: SessionActions) -> None:
        super().__init__()
        self.pane = TailPane(tail, dashboard.clock)
        self._clock = dashboard.clock

    def compose(self) -> ComposeResult:
        yield Lines(classes="head")
        yield self.pane
        yield Lines(classes="foot")

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _mark(self) -> None:
        """Mark the tail that keys are for."""
        self.query_one(".head").set_class(self.pane.has_focus, "-focused")

    @on(TailPane.Moved)
    @on(Lines.Resized)
    def lay_out(self) -> None:
        """What stands above and below it, as it is now."""
        pane = self.pane
        age = 0.0 if pane.stale_since is None else self._clock() - pane.stale_since
        try:
            head, foot = self.query_one(".head", Lines), self.query_one(".foot", Lines)
        except NoMatches:
            return  # not there yet, or not any more
        head.set_lines([tail_head(pane.tail.session, pane.tail.pane, pane.view, age, head.room)])
        foot.set_lines([tail_foot(pane.pager, pane.view, foot.room)])


def _session_line(session: TmuxSession, width: int) -> Line:
    name = Span(clean(session.name), Tone.STRONG)
    where = Span(f" on {clean(session.node)}  ")
    return fit_line([name, where, *running(session.active_pane)], width)
