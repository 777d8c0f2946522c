"""Lines of a pane as they are drawn: cut or wrapped at a width, with what is searched for marked.

Whatever a program on a node printed, only printable characters of it are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style as RichStyle

from gpuhop_tui.sessions.tail_screen import PLAIN_STYLE, Colour, Line, Run, Style
from gpuhop_tui.tui.render.units import duration

MATCH = Style(foreground=16, background=(245, 205, 90))
THIS_MATCH = Style(foreground=16, background=(255, 140, 50), bold=True)
SELECTED = Style(foreground=(255, 255, 255), background=(38, 79, 120))


def safe(text: str) -> str:
    """The text without control, bidi and zero-width characters."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " if char.isspace() else "" for char in text)


def plain(line: Line) -> str:
    """The text of a line."""
    return safe("".join(run.text for run in line))


def wrapped(line: Line, width: int) -> list[Line]:
    """The line in rows of at most `width` cells: one at least."""
    rows: list[list[Run]] = [[]]
    room = width = max(1, width)
    for run in line:
        text = safe(run.text)
        while text:
            head = _head(text, room)
            if not head and room == width:
                head = text[0]  # a character wider than all the room there is
            if head:
                rows[-1].append(Run(head, run.style))
                text, room = text[len(head) :], room - cell_len(head)
            if text:
                rows.append([])
                room = width
    return [tuple(row) for row in rows]


def window(line: Line, start: int, width: int) -> Line:
    """The cells of a line from `start` on, `width` of them at most."""
    runs: list[Run] = []
    at = 0
    for run in line:
        text = safe(run.text)
        if at < start:
            skipped = _head(text, start - at)
            at += cell_len(skipped)
            text = text[len(skipped) :]
            if not text:
                continue
        head = _head(text, start + width - max(at, start))
        if head:
            runs.append(Run(head, run.style))
        if head != text:
            break
        at += cell_len(head)
    return tuple(runs)


def _head(text: str, width: int) -> str:
    """As much of the beginning as fits into `width` cells."""
    if text.isascii():
        return text[: max(0, width)]
    used = 0
    for number, char in enumerate(text):
        used += cell_len(char)
        if used > width:
            return text[:number]
    return text


def marked(line: Line, needle: str, style: Style) -> Line:
    """The line with every place that holds `needle` (in lower case) in another style."""
    text = plain(line).lower()
    spans, at = [], text.find(needle)
    while at >= 0:
        spans.append((at, at + len(needle)))
        at = text.find(needle, at + len(needle))
    return painted(line, spans, style)


def painted(line: Line, spans: Sequence[tuple[int, int]], style: Style) -> Line:
    """The line with the characters of these spans, which are in order, in another style."""
    runs: list[Run] = []
    at = 0
    for run in line:
        text = safe(run.text)
        cuts = {0, len(text)}
        for span in spans:
            cuts |= {edge - at for edge in span if 0 < edge - at < len(text)}
        edges = sorted(cuts)
        for start, end in pairwise(edges):
            inside = any(first <= at + start < last for first, last in spans)
            runs.append(Run(text[start:end], style if inside else run.style))
        at += len(text)
    return tuple(runs)


def faded(line: Line) -> Line:
    """The line as it is when it is no longer live."""
    return tuple(Run(run.text, replace(run.style, dim=True)) for run in line)


@lru_cache(maxsize=2048)
def rich_style(style: Style) -> RichStyle:
    """The style for the screen. Nothing blinks, and nothing is hidden."""
    if style == PLAIN_STYLE:
        return RichStyle.null()
    return RichStyle(
        color=_color(style.foreground),
        bgcolor=_color(style.background),
        bold=style.bold or None,
        dim=style.dim or None,
        italic=style.italic or None,
        underline=style.underline or None,
        reverse=style.reverse or None,
        strike=style.strike or None,
    )


def _color(colour: Colour) -> Color | None:
    if colour is None:
        return None
    return Color.from_ansi(colour) if isinstance(colour, int) else Color.from_rgb(*colour)


def stale_words(seconds: float, why: str) -> str:
    """How old a view is that has lost its link."""
    return f"stale for {duration(seconds)}" + (f": {why}" if why else "")
