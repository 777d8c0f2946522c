"""The keys by group, and what the glyphs mean."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from gpuhop_tui.tui.keymap import KEYS, Key, shown_keys
from gpuhop_tui.tui.render.bars import tone_of
from gpuhop_tui.tui.render.line import Line, Span, Tone, fit
from gpuhop_tui.tui.render.states import GLYPHS, MEANINGS, NO_FIGURES
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Lines

_KEY = 12


class HelpScreen(Dialog[None]):
    """Shows the keys as they are bound now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,q,enter", "cancel", "close", show=False),
    ]

    def compose(self) -> ComposeResult:
        page = _Page(classes="box")
        page.border_title = "Help"
        page.border_subtitle = "escape closes"
        yield page

    def on_mount(self) -> None:
        self.query_one(_Page).set_lines([*self._key_lines(), *_legend()])

    def _key_lines(self) -> list[Line]:
        lines: list[Line] = []
        for group, keys in groupby(sorted(KEYS, key=_group_order), key=lambda key: key.group):
            lines += [(Span(group, Tone.STRONG),)]
            lines += [_entry(" ".join(shown_keys(self.app, key)), key.help) for key in keys]
            lines += [()]
        lines += [
            (Span("Move", Tone.STRONG),),
            _entry("↑ ↓  j k", "Up and down; page up, page down, home, end"),
            _entry("← →  space", "Fold and unfold a bastion"),
            _entry("tab", "From the fleet to the GPUs to the pane below"),
            _entry("mouse", "Click on whatever you want"),
            (),
        ]
        return lines


class _Page(Lines, can_focus=True):
    """The page; it scrolls where the screen is small."""


def _group_order(key: Key) -> int:
    return next(number for number, other in enumerate(KEYS) if other.group == key.group)


def _entry(left: str, right: str, tone: Tone = Tone.INFO) -> Line:
    return (Span("  "), Span(fit(left, _KEY), tone), Span(right))


def _legend() -> list[Line]:
    lines: list[Line] = [(Span("Links", Tone.STRONG),)]
    lines += [
        _entry(GLYPHS[state].text, words, GLYPHS[state].tone) for state, words in MEANINGS.items()
    ]
    lines += [_entry(NO_FIGURES.text, "up, but its figures are old or missing", NO_FIGURES.tone)]
    lines += [(), (Span("GPUs", Tone.STRONG),)]
    steps = ((0, "▁", "idle"), (20, "▂▃", "below 40 %"), (60, "▄▅▆", "below 80 %"))
    for percent, glyphs, words in (*steps, (100, "▇█", "80 % and more")):
        lines.append(_entry(glyphs, words, tone_of(percent)))
    lines += [
        _entry("×", "lost: the driver no longer answers for it", Tone.BAD),
        _entry("?", "its use is not known", Tone.DIM),
        _entry("–", "a figure that is missing; d says why", Tone.DIM),
        _entry("sim", "simulated: no real GPU stands behind the figures"),
        (),
        (Span("Free is a live GPU without a process, below 5 % of memory and use.", Tone.DIM),),
        (Span("Under MIG the height is the share of instances in use.", Tone.DIM),),
    ]
    return lines
