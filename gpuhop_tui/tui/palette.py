"""What each tone looks like in a theme.

Styles are mixed here and not by CSS component classes: every widget has all tones, and Textual
would match the style sheet against each of them, which doubles the time to the first paint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

from gpuhop_tui.tui.render.line import Tone


class Ink(NamedTuple):
    """A theme's colour, how much of it is seen over the background, and its weight."""

    variable: str
    opacity: float = 1.0
    bold: bool = False


INKS: dict[Tone, Ink] = {
    Tone.PLAIN: Ink("foreground"),
    Tone.STRONG: Ink("foreground", bold=True),
    Tone.DIM: Ink("foreground", 0.55),
    Tone.OLD: Ink("foreground", 0.38),
    Tone.TRACK: Ink("foreground", 0.15),
    Tone.GOOD: Ink("text-success", bold=True),
    Tone.WARN: Ink("text-warning"),
    Tone.BAD: Ink("text-error", bold=True),
    Tone.INFO: Ink("text-primary"),
    Tone.IDLE: Ink("success", 0.65),
    Tone.LOW: Ink("success"),
    Tone.MID: Ink("use-mid"),
    Tone.HIGH: Ink("use-high"),
    Tone.MEMORY: Ink("primary-lighten-1"),
    Tone.AREA: Ink("success", 0.18),
    Tone.MEMORY_AREA: Ink("primary", 0.28),
}


def use_colors(theme: Theme) -> dict[str, str]:
    """CSS variables that the themes do not have: high use, from their own green, amber and red.

    Red alone is left for what is wrong: a GPU that is fully used is not.
    """
    success = Color.parse(theme.success or "#4EBF71")
    warning = Color.parse(theme.warning or "#ffa62b")
    error = Color.parse(theme.error or "#ba3c5b")
    return {
        "use-mid": success.blend(warning, 0.65).hex,
        "use-high": warning.blend(error, 0.4).hex,
    }


def tone_style(tone: Tone, variables: Mapping[str, str], background: Color) -> Style:
    """The style of a tone with a theme's variables, over an opaque background."""
    ink = INKS[tone]
    color = Color.parse(variables[ink.variable])
    if ink.opacity < 1:
        color = background.blend(color, ink.opacity)
    return Style(color=color.rich_color, bold=ink.bold or None)
