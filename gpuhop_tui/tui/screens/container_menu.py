"""All that can be done to a container, or to several; and all that is known of the one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit, fit_line
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.rows import Row, Rows


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One thing to do: its key, what it is, and why it cannot be done now, if so."""

    key: str  # by Textual's name, or a character
    shown: str  # how it is shown
    words: str
    deed: str  # what `ContainerMenu` returns
    why_not: str = ""

    @property
    def title(self) -> str:
        """Its words as the beginning of a command's name."""
        return f"{self.words[:1].upper()}{self.words[1:]}".removesuffix("…")

    def line(self, width: int) -> Line:
        tone = Tone.DIM if self.why_not else Tone.PLAIN
        spans = [Span(fit(self.shown, 3), Tone.DIM if self.why_not else Tone.INFO)]
        spans.append(Span(self.words, tone))
        if self.why_not:
            spans.append(Span(f"  {self.why_not}", Tone.DIM))
        return fit_line(spans, width)


class ContainerMenu(Dialog[str]):
    """The result is the `deed` of an item."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "choose")]

    def __init__(
        self, title: str, items: Sequence[MenuItem], facts: Callable[[int], list[Line]]
    ) -> None:
        """`facts` makes the lines above the items, for a width in cells."""
        super().__init__()
        self._title, self._items, self._facts = clean(title), items, facts
        self.rows = _Items(classes="box")
        self.rows.selected = next((each.deed for each in items if not each.why_not), None)

    def compose(self) -> ComposeResult:
        self.rows.border_title = self._title.replace("[", r"\[")
        self.rows.border_subtitle = "a key or enter does it, escape leaves"
        yield self.rows

    def on_mount(self) -> None:
        self._lay_out()

    @on(Lines.Resized)
    def _lay_out(self) -> None:
        width = self.rows.room
        rows: list[Row] = [(None, line) for line in self._facts(width)]
        rows += [(each.deed, each.line(width)) for each in self._items]
        self.rows.show_rows(rows)
        self.rows.reveal()

    def on_key(self, event: events.Key) -> None:
        for item in self._items:
            if event.key != "enter" and item.key in (event.key, event.character):
                event.stop()
                self._take(item)
                return

    def action_choose(self) -> None:
        for item in self._items:
            if item.deed == self.rows.selected:
                self._take(item)

    def _take(self, item: MenuItem) -> None:
        if item.why_not:
            self.app.bell()
        else:
            self.dismiss(item.deed)


class _Items(Rows):
    """A click chooses."""

    def clicked(self, y: int, x: int) -> None:
        self.run_worker(self.screen.run_action("choose"), exit_on_error=False)
