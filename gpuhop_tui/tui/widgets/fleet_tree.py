"""The tree of bastions and nodes. The selection is a name, and stays through every change."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from gpuhop_tui.fleet.state import BastionState, FleetState, NodeState
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.render.line import Line, Span, Tone, cut
from gpuhop_tui.tui.render.tree import (
    Row,
    Sort,
    TreeLayout,
    bastion_line,
    node_line,
    tree_rows,
)
from gpuhop_tui.tui.widgets.lines import Choice

Key = tuple[str, str]  # kind and name of a row


class FleetTree(Choice):
    """One line a bastion and a node. Only rows whose state is another object are drawn again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "fold(True)", "fold", show=False),
        Binding("right", "fold(False)", "unfold", show=False),
        Binding("space", "fold", "fold", show=False),
    ]

    class Selected(Message):
        """Another bastion or node is selected."""

        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    def __init__(self) -> None:
        super().__init__(id="tree")
        self.selected: Key | None = None
        self.needle = ""
        self.sort = Sort.CONFIG
        self.folded: set[str] = set()
        self._state = FleetState()
        self._rows: tuple[Row, ...] = ()
        self._states: dict[Key, BastionState | NodeState] = {}
        self._layout = TreeLayout(0, 0, 0, False)
        self._now = 0.0
        self._opened = False

    # Taking what is new

    def show(self, state: FleetState, now: float) -> None:
        """Show this state."""
        if not self._opened:
            self._opened = True
            self.refresh()
        self._state, self._now = state, now
        before = self._states
        self._states = {("bastion", bastion.name): bastion for bastion in state.bastions}
        self._states |= {("node", node.name): node for node in state.nodes}
        if self.selected not in self._states:
            self.selected = self._first()
        if not self._lay_rows():
            self.redraw(
                y
                for y, row in enumerate(self._rows)
                if before.get(row.key) is not self._states[row.key]
            )

    def tick(self, now: float) -> None:
        """A second has passed: countdowns and ages move on."""
        self._now = now
        self.redraw(y for y, row in enumerate(self._rows) if self._ages(row))

    def order(self, *, needle: str | None = None, sort: Sort | None = None) -> None:
        """Filter or order anew; the selection stays where it was, or out of sight."""
        self.needle = self.needle if needle is None else needle
        self.sort = sort or self.sort
        if not self._lay_rows():
            self.redraw([0])  # where nothing matches, the line says what does not
        self.call_after_refresh(self.reveal)

    def select(self, key: Key) -> None:
        """Select a row by name, unfolding what hides it. No message follows."""
        self.selected = key
        state = self._states.get(key)
        if state is not None and self.folded & set(state.via):
            self.folded -= set(state.via)
            self._lay_rows()
        self._place_cursor()
        self.reveal()

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows that the filter lets through."""
        return self._rows

    def _first(self) -> Key | None:
        """What is selected at the start: the first node, else the first bastion."""
        if self._state.nodes:
            return "node", self._state.nodes[0].name
        return next(iter(self._states), None)

    def _ages(self, row: Row) -> bool:
        state = self._states[row.key]
        stale = isinstance(state, NodeState) and state.stale
        return stale or state.link.state is LinkState.WAITING

    def _lay_rows(self) -> bool:
        """Lay the rows out; whether anything but their content changed (then all is drawn)."""
        rows = tree_rows(self._state, self.needle, self.sort, self.folded)
        layout = TreeLayout.of(self._state, self.room)
        changed = rows != self._rows or layout != self._layout
        count_changed = max(1, len(rows)) != self.line_count
        self._rows, self._layout = rows, layout
        self._place_cursor()
        if count_changed:
            self.count_changed()
        if changed:
            self.refresh()
        return changed

    def _place_cursor(self) -> None:
        keys = [row.key for row in self._rows]
        self.cursor = keys.index(self.selected) if self.selected in keys else None

    def room_changed(self) -> None:
        self._lay_rows()
        self.call_after_refresh(self.reveal)

    # Lines

    @property
    def line_count(self) -> int:
        return len(self._rows) or 1

    def line_at(self, y: int) -> Line:
        if not self._rows:
            return (Span(cut(self._why_empty(), self.room), Tone.DIM),)
        row = self._rows[y]
        state = self._states[row.key]
        if isinstance(state, BastionState):
            folded = state.name in self.folded and not self.needle
            return bastion_line(state, row, self._layout, self._now, folded)
        return node_line(state, row, self._layout, self._now)

    def _why_empty(self) -> str:
        if not self._opened:
            return "opening…"
        if self.needle:
            return f"Nothing matches “{self.needle}”"
        return "The config names no node"

    def selectable(self, y: int) -> bool:
        return y < len(self._rows)

    # What the user does

    def chosen(self, y: int) -> None:
        key = self._rows[y].key
        if key != self.selected:
            self.selected = key
            self.post_message(self.Selected(key))

    def clicked(self, y: int, x: int) -> None:
        row = self._rows[y]
        if row.kind == "bastion" and x < 2 * row.depth + 2:
            self.action_fold()

    def action_fold(self, fold: bool | None = None) -> None:
        """Fold or unfold the selected bastion; on a node, go to its bastion."""
        if self.selected is None or self.selected not in self._states:
            return
        kind, name = self.selected
        if kind == "node":
            via = self._states[self.selected].via
            if fold and via and ("bastion", via[-1]) in self._states:
                self.select(("bastion", via[-1]))
                self.post_message(self.Selected(("bastion", via[-1])))
            return
        if fold is None:
            fold = name not in self.folded
        if fold:
            self.folded.add(name)
        else:
            self.folded.discard(name)
        self._lay_rows()
