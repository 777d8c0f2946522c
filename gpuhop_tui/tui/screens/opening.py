"""What is on screen first: as little as can be, so that it is there at once."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static


class OpeningScreen(Screen[None]):
    """The first frame, until the dashboard is imported and laid over it.

    It is the app's default screen, and Textual does not read a default screen's CSS_PATH: its few
    rules are here.
    """

    DEFAULT_CSS = """
    OpeningScreen {
        #opening { dock: top; height: 1; background: $panel; }
        #leave { dock: bottom; height: 1; background: $panel; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Static(" [b]gpuhop[/b]   [dim]opening the fleet…[/dim]", id="opening")
        yield Static(" [$text-primary]q[/] [dim]quit[/dim]", id="leave")
