"""Text for a terminal: nothing that came from a server may steer it, and colour is optional."""

from __future__ import annotations

import os
import textwrap
import unicodedata
from typing import TextIO

from rich.cells import cell_len, set_cell_size

_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def clean(text: str) -> str:
    """`text` on one line, with every control and format character shown as `?`."""
    return "".join(
        " " if char in "\t\n\r" else "?" if unicodedata.category(char).startswith("C") else char
        for char in text
    )


def wants_colour(stream: TextIO) -> bool:
    """Whether colours are welcome: on a terminal, unless NO_COLOR (no-color.org) is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, *, wanted: bool) -> str:
    """`text` in a named colour, or as it is."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if wanted else text


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` columns, cut with an ellipsis where it is longer."""
    if cell_len(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    return set_cell_size(text, width)


def wrap(text: str, width: int, indent: str) -> list[str]:
    """`text` as indented lines of at most `width` columns."""
    text = clean(text)
    room = width if cell_len(text) == len(text) else width // 2  # some characters are two wide
    return textwrap.wrap(text, room, initial_indent=indent, subsequent_indent=indent)
