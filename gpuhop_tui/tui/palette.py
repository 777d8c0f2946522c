"""Colours that the themes do not have: four steps of use, from green to a deep orange.

Red is left for what is wrong: a GPU that is fully used is not.
"""

from __future__ import annotations

from textual.color import Color
from textual.theme import Theme


def use_colors(theme: Theme) -> dict[str, str]:
    """CSS variables for the steps of a GPU's use, mixed from a theme's own colours."""
    success = Color.parse(theme.success or "#4EBF71")
    warning = Color.parse(theme.warning or "#ffa62b")
    error = Color.parse(theme.error or "#ba3c5b")
    ground = Color.parse(theme.background or ("#121212" if theme.dark else "#e0e0e0"))
    return {
        "use-idle": success.blend(ground, 0.35).hex,
        "use-low": success.hex,
        "use-mid": success.blend(warning, 0.65).hex,
        "use-high": warning.blend(error, 0.4).hex,
    }
