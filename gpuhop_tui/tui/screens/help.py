"""The keys by group, and what the glyphs mean."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from gpuhop_tui.tui.keymap import KEYS, Key, shown_keys
from gpuhop_tui.tui.render.bars import tone_of
from gpuhop_tui.tui.render.line import Line, Span, Tone, fit, wrap
from gpuhop_tui.tui.render.states import GLYPHS, MEANINGS, NO_FIGURES
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Lines

_KEY = 12


class HelpScreen(Dialog[None]):
    """Shows the keys as they are bound now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,q,enter", "cancel", "close", show=False),
    ]

    def __init__(self, first: str = "") -> None:
        """`first`: the group of keys to begin with."""
        super().__init__()
        self._first = first

    def compose(self) -> ComposeResult:
        page = _Page(classes="box")
        page.border_title = "Help"
        page.border_subtitle = "escape closes"
        yield page

    def on_mount(self) -> None:
        self.lay_out()

    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Lay the page out for its width."""
        page = self.query_one(_Page)
        width = page.room or 69
        entries = [*self._keys(), *_MOVING, *_legend()]
        page.set_lines([line for each in entries for line in each.lines(width)])

    def _keys(self) -> list[_Entry]:
        entries: list[_Entry] = []
        for group, keys in groupby(sorted(KEYS, key=self._order), key=lambda key: key.group):
            entries += [_Entry(group)]
            entries += [_Entry(" ".join(shown_keys(self.app, key)), key.help) for key in keys]
            entries += [_Entry()]
        return entries

    def _order(self, key: Key) -> int:
        """Groups in their order, but first that of the screen below."""
        if key.group == self._first:
            return -1
        return next(number for number, other in enumerate(KEYS) if other.group == key.group)


class _Entry(NamedTuple):
    """A heading, where there are no words; or something and what it means."""

    left: str = ""
    words: str = ""
    tone: Tone = Tone.INFO

    def lines(self, width: int) -> list[Line]:
        if not self.words:
            return [(Span(self.left, Tone.STRONG),) if self.left else ()]
        lines = wrap(self.words, width - _KEY - 2)
        lefts = [self.left, *([""] * (len(lines) - 1))]
        return [
            (Span("  "), Span(fit(left, _KEY), self.tone), *line)
            for left, line in zip(lefts, lines, strict=True)
        ]


_MOVING = (
    _Entry("Move"),
    _Entry("↑ ↓  j k", "Up and down; page up, page down, home, end"),
    _Entry("← →  space", "Fold and unfold a bastion"),
    _Entry("tab", "From the fleet to the GPUs to the pane below"),
    _Entry("mouse", "Click on whatever you want; the wheel scrolls"),
    _Entry(),
)


class _Page(Lines, can_focus=True):
    """The page; it scrolls where the screen is small."""


def _legend() -> list[_Entry]:
    entries = [_Entry("Links")]
    entries += [
        _Entry(GLYPHS[state].text, words, GLYPHS[state].tone) for state, words in MEANINGS.items()
    ]
    entries += [_Entry(NO_FIGURES.text, "up, but its figures are old or missing", NO_FIGURES.tone)]
    entries += [_Entry(), _Entry("GPUs")]
    steps = ((0, "▁", "idle"), (20, "▂▃", "below 40 %"), (60, "▄▅▆", "below 80 %"))
    for percent, glyphs, words in (*steps, (100, "▇█", "80 % and more")):
        entries.append(_Entry(glyphs, words, tone_of(percent)))
    entries += [
        _Entry("×", "lost: the driver no longer answers for it", Tone.BAD),
        _Entry("?", "its use is not known", Tone.DIM),
        _Entry("–", "a figure that is missing; d says why", Tone.DIM),
        _Entry("sim", "simulated: no real GPU stands behind the figures"),
        _Entry("free", "a live GPU without a process, below 5 % of memory and use", Tone.GOOD),
        _Entry("MIG", "the height is the share of instances in use", Tone.DIM),
    ]
    return entries
