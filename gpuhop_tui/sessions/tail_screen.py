"""A pane's screen with its scrollback, and its lines as plain data: text in runs of one style."""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from gpuhop_tui.sessions.screen import Screen
from gpuhop_tui.sessions.screen_cells import Pen, Row

SCROLLBACK_LINES = 5000

Colour = int | tuple[int, int, int] | None
"""A number of the palette (0 to 255); red, green, blue (0 to 255 each); or the terminal's own."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a run is drawn."""

    foreground: Colour = None
    background: Colour = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    blink: bool = False
    reverse: bool = False
    conceal: bool = False
    strike: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one style. It holds no control characters."""

    text: str
    style: Style


Line = tuple[Run, ...]

PLAIN_STYLE = Style()


@functools.lru_cache(maxsize=4096)
def style_of(pen: Pen) -> Style:
    """The style that a pen draws with."""
    flags = {flag.partition(":")[0] for flag in pen.flags}
    return Style(
        foreground=_colour(pen.fg),
        background=_colour(pen.bg),
        bold="1" in flags,
        dim="2" in flags,
        italic="3" in flags,
        underline=bool(flags & {"4", "21"}),
        blink=bool(flags & {"5", "6"}),
        reverse="7" in flags,
        conceal="8" in flags,
        strike="9" in flags,
    )


def _colour(parameters: str) -> Colour:
    """Of "31", "97", "48;5;208", "38;2;R;G;B" or "38:2::R:G:B"."""
    words = [int(word) if word.isdigit() else 0 for word in re.split("[;:]", parameters)]
    if len(words) == 1:
        base, shift = words[0] % 10, 8 if words[0] >= 90 else 0
        return base + shift if parameters else None
    if words[1] == 5 and len(words) == 3:
        return min(words[2], 255)
    if words[1] == 2 and len(words) >= 5:
        red, green, blue = (min(word, 255) for word in words[-3:])
        return red, green, blue
    return None


def line_of(chars: Sequence[str], pens: Sequence[Pen]) -> Line:
    """A row of cells as runs, without the blank cells at its end that show nothing."""
    runs = []
    at = 0
    for pen, cells in groupby(pens):
        count = sum(1 for _ in cells)
        runs.append(Run("".join(chars[at : at + count]), style_of(pen)))
        at += count
    if runs and runs[-1].style == PLAIN_STYLE:
        text = runs[-1].text.rstrip(" ")
        runs[-1:] = [Run(text, PLAIN_STYLE)] if text else []
    return tuple(runs)


class PaneScreen(Screen):
    """A `Screen` that keeps the lines that leave it at the top, the newest `limit` of them."""

    def __init__(self, columns: int, rows: int, limit: int = SCROLLBACK_LINES) -> None:
        self._history: deque[Line] = deque(maxlen=limit)
        self._deleting = False
        self.gone = 0  # lines that left the screen, kept or not
        super().__init__(columns, rows)

    @property
    def kept(self) -> int:
        """How many lines of scrollback there are."""
        return len(self._history)

    def history(self, start: int, stop: int) -> list[Line]:
        """Lines of scrollback, 0 being the oldest that is kept."""
        return list(islice(self._history, max(0, start), max(0, stop)))

    def line(self, y: int) -> Line:
        """A row of the screen, from the top."""
        row = self.rows[y]
        return line_of(row.chars, row.pens)

    def adopt(self, other: PaneScreen) -> None:
        """Has the scrollback of another screen in place of its own."""
        self._history = other._history
        self.gone = other.gone

    def keep(self, line: Line) -> None:
        """Puts a line below the scrollback."""
        self._history.append(line)
        self.gone += 1

    def shows_the_same(self, other: PaneScreen) -> bool:
        """Whether both show the same cells and cursor."""
        return (
            (self.columns, self.height) == (other.columns, other.height)
            and (self.x, self.y, self.wrapping) == (other.x, other.y, other.wrapping)
            and self.mode(25) == other.mode(25)
            and all(self.line(y) == other.line(y) for y in range(self.height))
        )

    # Which lines become scrollback, and when, is as tmux has it (grid-view.c).

    def _csi(self, parameters: str, final: str) -> None:
        self._deleting = final == "M"
        super()._csi(parameters, final)
        self._deleting = False

    def _scroll_up(self, top: int, count: int) -> None:
        if not self._deleting:
            self._keep_rows(self.rows[top : min(top + count, self.bottom + 1)])
        super()._scroll_up(top, count)

    def _erase_display(self, how: int) -> None:
        if how == 2 or (how == 0 and (self.x, self.y) == (0, 0)):
            used = max((y + 1 for y, row in enumerate(self.rows) if row.text.strip()), default=0)
            self._keep_rows(self.rows[:used])
        elif how == 3:
            self._history.clear()
        super()._erase_display(how)

    def _keep_rows(self, rows: Iterable[Row]) -> None:
        if not self.is_alternate:
            for row in rows:
                self.keep(line_of(row.chars, row.pens))
