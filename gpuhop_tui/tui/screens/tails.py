"""Live views of tmux panes, one to four side by side. Nothing is changed on the nodes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import Input

from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.sessions.tail import Tail
from gpuhop_tui.tui.clipboard import copy_by_system
from gpuhop_tui.tui.keymap import bindings
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line
from gpuhop_tui.tui.render.sessions import all_sessions, running
from gpuhop_tui.tui.render.tail_head import tail_foot, tail_head
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.screens.session_actions import SessionActions, choose_pane
from gpuhop_tui.tui.widgets.filter_bar import TypingBar
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.tail_pane import TailPane

if TYPE_CHECKING:
    from gpuhop_tui.fleet.state import FleetSource

MOST = 4
LEAST_WIDTH = 50  # cells of a tail that stands beside another


class SearchBar(TypingBar):
    """What is searched for, typed."""

    HINTS = (("enter", "enter", "search"), ("escape", "esc", "give up"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.end_search", "give up", show=False)
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="search upwards", compact=True, id="search")


class TailsScreen(Screen[None]):
    """The tails that were asked for. Leaving it ends them."""

    CSS_PATH = "tails.tcss"
    HELP_FIRST = "In a tail"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("tail-add", "tail-pause", "tail-search", "tail-next", "tail-previous"),
        *bindings("tail-wrap", "tail-copy", "tail-close", "tail-leave"),
    ]

    def __init__(self, dashboard: SessionActions, session: TmuxSession, pane: TmuxPane) -> None:
        super().__init__()
        self._dashboard = dashboard
        self._first = (session, pane)
        self._wanted: TailBox | None = None

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

    def action_leave(self) -> None:
        """End a search; else leave."""
        box = self.box
        if box is not None and box.pane.pager.needle:
            box.pane.pager.follow()
            box.pane.draw()
        else:
            self.dismiss()

    # What is done with one of them

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "match":
            box = self.box
            return box is not None and bool(box.pane.pager.matches)
        return True

    def action_pause(self) -> None:
        if box := self.box:
            box.pane.toggle_pause()

    def action_wrap(self) -> None:
        if box := self.box:
            box.pane.toggle_wrap()

    def action_copy(self) -> None:
        """Copy the selection, else the page: by the terminal (OSC 52) and by the system."""
        box = self.box
        text = self.get_selected_text() or (box.pane.page_text if box else "")
        if not text.strip():
            self.notify("There is nothing to copy", timeout=3)
            return
        self.app.copy_to_clipboard(text)
        self.clear_selection()
        self.run_worker(self._copy(text), exit_on_error=False)

    async def _copy(self, text: str) -> None:
        where = "the clipboard" if await copy_by_system(text) else "the terminal's clipboard"
        lines = plural(len(text.splitlines()), "line")
        self.notify(f"{lines} sent to {where}", timeout=3)

    def action_search(self) -> None:
        """Type what to search for."""
        self._wanted = self.box
        bar = self.query_one(SearchBar)
        bar.add_class("-shown")
        bar.value = ""
        bar.focus()

    @on(Input.Submitted)
    def _search(self, event: Input.Submitted) -> None:
        box = self._wanted
        self.action_end_search()
        if box is not None and event.value:
            if not box.pane.pager.search(event.value):
                self.notify(f"“{clean(event.value)}” is not there", timeout=3, markup=False)
            box.pane.draw()
            self.refresh_bindings()

    def action_end_search(self) -> None:
        self.query_one(SearchBar).remove_class("-shown")
        if self._wanted is not None:
            self._wanted.pane.focus()

    def action_match(self, direction: int) -> None:
        if box := self.box:
            box.pane.pager.step(direction)
            box.pane.draw()


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
