"""What a terminal's screen is made of: pens (SGR attributes) and rows of cells.

Sources: ECMA-48, section 8.3.117 (SGR); XTerm Control Sequences.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import NamedTuple

_OFF = {22: (1, 2), 23: (3,), 24: (4, 21), 25: (5, 6), 27: (7,), 28: (8,), 29: (9,), 55: (53,)}
_FLAGS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 21, 53})


class Pen(NamedTuple):
    """How a character is drawn. Colours are kept as the SGR parameters that set them."""

    flags: frozenset[str] = frozenset()  # SGR parameters, such as "1" or "4:3"
    fg: str = ""
    bg: str = ""
    underline: str = ""

    def sgr(self, *, dim: bool = False) -> str:
        """The sequence that sets exactly this pen, whatever was set before."""
        flags = (self.flags - {"1"}) | {"2"} if dim else self.flags
        parts = ["0", *sorted(flags), self.fg, self.bg, self.underline]
        return f"\x1b[{';'.join(part for part in parts if part)}m"

    @property
    def erasing(self) -> Pen:
        """The pen of a cell that is erased: its background only (bce of terminfo(5))."""
        return PLAIN if not self.bg else Pen(bg=self.bg)


PLAIN = Pen()


@functools.lru_cache(maxsize=4096)
def with_sgr(pen: Pen, parameters: str) -> Pen:
    """`pen` after `CSI parameters m`."""
    flags, fg, bg, underline = set(pen.flags), pen.fg, pen.bg, pen.underline
    words = parameters.split(";")
    while words:
        word = words.pop(0)
        number = _number(word)
        if number == 0:
            flags, fg, bg, underline = set(), "", "", ""
        elif number in (38, 48, 58):
            colour = word if ":" in word else _extended_colour(word, words)
            if number == 38:
                fg = colour
            elif number == 48:
                bg = colour
            else:
                underline = colour
        elif word == "4:0":
            flags = {flag for flag in flags if _number(flag) != 4}
        elif number in _FLAGS:
            flags = {flag for flag in flags if _number(flag) != number} | {word}
        elif number in _OFF:
            flags = {flag for flag in flags if _number(flag) not in _OFF[number]}
        elif number == 39:
            fg = ""
        elif number == 49:
            bg = ""
        elif number == 59:
            underline = ""
        elif 30 <= number <= 37 or 90 <= number <= 97:
            fg = word
        elif 40 <= number <= 47 or 100 <= number <= 107:
            bg = word
    return Pen(frozenset(flags), fg, bg, underline)


def _extended_colour(word: str, rest: list[str]) -> str:
    """`38;5;N` or `38;2;R;G;B`, taken off `rest`."""
    count = {"5": 2, "2": 4}.get(rest[0] if rest else "", 1)
    taken = [rest.pop(0) for _ in range(min(count, len(rest)))]
    return ";".join([word, *(part or "0" for part in taken)]) if len(taken) == count > 1 else ""


def _number(word: str) -> int:
    """The number before the colon; an empty word is 0, and what is no number is no attribute."""
    head = word.partition(":")[0]
    return int(head) if head.isdigit() else (0 if not head else -1)


class Row:
    """One line of cells. The right half of a wide character is the empty string."""

    __slots__ = ("chars", "pens")

    def __init__(self, columns: int, pen: Pen = PLAIN) -> None:
        self.chars = [" "] * columns
        self.pens = [pen] * columns

    def blank(self, start: int, end: int, pen: Pen) -> None:
        """Erase the cells `start` to `end`, the last not included."""
        self.unpair(start)
        self.unpair(end)
        count = max(0, end - start)
        self.chars[start:end] = [" "] * count
        self.pens[start:end] = [pen] * count

    def unpair(self, x: int) -> None:
        """A wide character that is cut between `x` - 1 and `x` is none any more."""
        if 0 < x < len(self.chars) and self.chars[x] == "":
            self.chars[x - 1] = self.chars[x] = " "

    def insert(self, x: int, count: int, pen: Pen) -> None:
        """Shift the cells from `x` on to the right; what falls off is gone."""
        columns = len(self.chars)
        count = min(count, columns - x)
        self.unpair(x)
        self.unpair(columns - count)
        self.chars[x:] = [" "] * count + self.chars[x : columns - count]
        self.pens[x:] = [pen] * count + self.pens[x : columns - count]

    def delete(self, x: int, count: int, pen: Pen) -> None:
        """Shift the cells right of `x` + `count` to the left."""
        columns = len(self.chars)
        count = min(count, columns - x)
        self.unpair(x)
        self.unpair(x + count)
        self.chars[x:] = self.chars[x + count :] + [" "] * count
        self.pens[x:] = self.pens[x + count :] + [pen] * count

    def resize(self, columns: int) -> None:
        missing = columns - len(self.chars)
        if missing >= 0:
            self.chars += [" "] * missing
            self.pens += [PLAIN] * missing
        else:
            self.unpair(columns)
            del self.chars[columns:], self.pens[columns:]

    @property
    def text(self) -> str:
        return "".join(self.chars)

    def rendered(self, *, dim: bool = False) -> str:
        """The row from its first column on, ready to be written: text, pens, erased rest."""
        end = len(self.chars)
        last = self.pens[-1] if self.pens else PLAIN
        if last == last.erasing:
            while end and self.chars[end - 1] == " " and self.pens[end - 1] == last:
                end -= 1
        parts, pen = ["\x1b[0m"], PLAIN
        for char, its in zip(self.chars[:end], self.pens[:end], strict=True):
            if (its is not pen and its != pen) or (dim and len(parts) == 1):
                pen = its
                parts.append(pen.sgr(dim=dim))
            parts.append(char)
        if end < len(self.chars):
            parts.append(last.sgr() + "\x1b[K")
        return "".join(parts)


_ZERO_WIDTH = ("Mn", "Me", "Cf")


@functools.lru_cache(maxsize=8192)
def char_width(char: str) -> int:
    """Columns that a character takes: 0, 1 or 2 (UAX #11)."""
    if unicodedata.category(char) in _ZERO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def text_width(text: str) -> int:
    return len(text) if text.isascii() else sum(map(char_width, text))


def clipped(text: str, columns: int) -> str:
    """`text` in at most `columns` columns, with an ellipsis where it is cut."""
    if text_width(text) <= columns:
        return text
    kept, width = "", 0
    for char in text:
        width += char_width(char)
        if width > columns - 1:
            break
        kept += char
    return kept + "…" if columns > 0 else ""
