"""The line that names the tabs below the GPU table."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.reactive import reactive

from gpuhop_tui.tui.render.line import Line, Span, Tone, cut, width_of
from gpuhop_tui.tui.widgets.lines import Lines

TABS = ("jobs", "containers", "sessions", "history", "node", "log")
_LEAST = 2  # cells of a name


class TabBar(Lines):
    """`── 1 jobs ── 2 containers ── 3 sessions ── 4 history ── 5 node ── 6 log ───`

    Where that is too wide, the lines go first, then the ends of the other names."""

    active: reactive[str] = reactive(TABS[0], init=False)

    class Chosen(Message):
        """Another tab is to be shown."""

    def __init__(self) -> None:
        super().__init__(id="tabs")
        self._places: list[tuple[int, int, str]] = []  # from cell, to cell, tab

    def watch_active(self) -> None:
        self.post_message(self.Chosen())

    @property
    def line_count(self) -> int:
        return 1

    def line_at(self, y: int) -> Line:
        wide = sum(len(tab) + 6 for tab in TABS) <= self.room
        names = {tab: tab for tab in TABS} if wide else self._shortened(self.room)
        spans = [Span("──", Tone.TRACK)] if wide else []
        self._places = []
        for number, tab in enumerate(TABS, 1):
            start = width_of(spans)
            active = tab == self.active
            spans += [
                Span(f" {number} " if wide else f"{number} ", Tone.INFO if active else Tone.DIM),
                Span(f"{names[tab]} ", Tone.STRONG if active else Tone.DIM),
            ]
            self._places.append((start, width_of(spans), tab))
            if wide:
                spans.append(Span("──", Tone.TRACK))
        rest = max(0, self.room - width_of(spans))
        return (*spans, Span("─" * rest, Tone.TRACK))

    def _shortened(self, room: int) -> dict[str, str]:
        """The names, those of other tabs cut, the longest first, until all fit."""
        lengths = {tab: len(tab) for tab in TABS}
        others = [tab for tab in TABS if tab != self.active]
        while sum(lengths.values()) + 3 * len(TABS) - 1 > room:
            longest = max(others, key=lambda tab: lengths[tab])
            if lengths[longest] <= _LEAST:
                break
            lengths[longest] -= 1
        return {tab: cut(tab, length) for tab, length in lengths.items()}

    def on_click(self, event: events.Click) -> None:
        for start, end, tab in self._places:
            if start <= event.x < end:
                self.active = tab
