"""The dashboard in a real terminal: a tmux of its own on the laptop, keys in, screen out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from tests.lab.waiting import wait_until
from tests.lab.world import World

_SERVERS = count()


class Terminal:
    """One terminal that runs `command`. Ended by `close`."""

    def __init__(self, world: World, width: int, height: int, command: str) -> None:
        self._laptop = world.laptop
        self._server = f"dashboard-{os.getpid()}-{next(_SERVERS)}"
        size = ("-x", str(width), "-y", str(height))
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "user", *size, command)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "user")

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: "Enter", "C-p", "f"."""
        self._tmux("send-keys", "-t", "user", *keys)

    def kill(self) -> None:
        """SIGKILL to the program, as when a machine runs out of memory."""
        pid = self._tmux("display-message", "-p", "-t", "user", "#{pane_pid}").strip()
        self._laptop.run(["kill", "-KILL", pid])

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-t", "user", "-x", str(width), "-y", str(height))

    def shows(self, *patterns: str, timeout: float = 20.0) -> str:
        """Waits until every pattern is on the screen, and returns the screen."""
        seen = ""

        def there() -> bool:
            nonlocal seen
            seen = self.screen()
            return all(re.search(pattern, seen) for pattern in patterns)

        try:
            wait_until(there, "the screen", timeout)
        except TimeoutError:
            raise AssertionError(f"not {patterns} within {timeout:g} s, but:\n{seen}") from None
        return seen

    def close(self) -> None:
        self._laptop.run(["tmux", "-L", self._server, "kill-server"], check=False)

    def _tmux(self, *arguments: str) -> str:
        return self._laptop.run(["tmux", "-u", "-L", self._server, *arguments]).stdout


@contextmanager
def dashboard(
    world: World, width: int = 120, height: int = 40, command: str = "gpuhop-tui"
) -> Iterator[Terminal]:
    """The running dashboard of the laptop's config."""
    terminal = Terminal(world, width, height, command)
    try:
        yield terminal
    finally:
        terminal.close()
