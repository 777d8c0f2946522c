"""Lines of toned text: what every renderer makes and every widget draws.

A line is plain data, so that two of them can be compared and only what changed is drawn. Text that
came from a node is never markup, and never reaches the terminal with a control character in it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size


class Tone(StrEnum):
    """What a piece of text means; the theme decides on its colour."""

    PLAIN = "plain"
    STRONG = "strong"  # names, headings
    DIM = "dim"  # labels, units, what matters less
    OLD = "old"  # figures that are no longer live
    TRACK = "track"  # the empty part of a bar
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    INFO = "info"  # a way out, a mark such as "simulated"
    IDLE = "idle"  # use of a GPU, in four steps
    LOW = "low"
    MID = "mid"
    HIGH = "high"
    MEMORY = "memory"
    AREA = "area"  # below the line of a graph
    MEMORY_AREA = "memory-area"


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]
Align = Literal["left", "right"]

_SPACES = str.maketrans("\t\n\r\v\f\x85\u2028\u2029", " " * 8)
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str) -> str:
    """The text on one line, without control, format (bidi, zero-width) or unassigned characters."""
    if text.isascii() and text.isprintable():
        return text
    text = text.translate(_SPACES)
    return "".join(char for char in text if unicodedata.category(char) not in _HARMFUL)


def cut(text: str, width: int) -> str:
    """The text in at most `width` cells, an ellipsis marking what is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def fit(text: str, width: int, align: Align = "left") -> str:
    """The text in exactly `width` cells."""
    text = cut(text, width)
    space = " " * (width - cell_len(text))
    return space + text if align == "right" else text + space


def width_of(line: Iterable[Span]) -> int:
    """Cells that a line takes."""
    return sum(cell_len(span.text) for span in line)


def fit_line(line: Iterable[Span], width: int, align: Align = "left") -> Line:
    """The line in exactly `width` cells."""
    spans: list[Span] = []
    left = width
    for span in line:
        if left <= 0:
            break
        text = cut(span.text, left)
        spans.append(Span(text, span.tone))
        left -= cell_len(text)
        if text != span.text:
            break  # one ellipsis says that there is more
    if left > 0:
        space = Span(" " * left)
        spans.insert(0, space) if align == "right" else spans.append(space)
    return tuple(spans)


def spread(left: Iterable[Span], right: Iterable[Span], width: int) -> Line:
    """`left` at the left end, `right` at the right end, or left out where there is no room."""
    left, right = tuple(left), tuple(right)
    gap = width - width_of(left) - width_of(right)
    if gap < 1:
        return fit_line(left, width)
    return (*left, Span(" " * gap), *right)


def plain(line: Iterable[Span]) -> str:
    """The text of a line."""
    return "".join(span.text for span in line)


def join(parts: Iterable[Iterable[Span]], separator: Span) -> Line:
    """Parts with a separator between those that are not empty."""
    spans: list[Span] = []
    for part in map(tuple, parts):
        if part:
            spans += [separator, *part] if spans else part
    return tuple(spans)


def wrap(text: str, width: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    """The text in lines of at most `width` cells, broken at spaces where there are any."""
    width = max(1, width)
    lines: list[Line] = []
    current = ""
    for word in clean(text).split():
        while cell_len(word) > width:
            room = width if not current else width - cell_len(current) - 1
            if room < 1:
                lines.append((Span(current, tone),))
                current = ""
                continue
            head = set_cell_size(word, room).rstrip() or word[0]
            lines.append((Span(f"{current} {head}" if current else head, tone),))
            current, word = "", word[len(head) :]
        joined = f"{current} {word}" if current else word
        if cell_len(joined) > width:
            lines.append((Span(current, tone),))
            joined = word
        current = joined
    if current:
        lines.append((Span(current, tone),))
    return lines
