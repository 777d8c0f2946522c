"""From the start of the program until a whole screen is painted, beside an empty Textual app."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.rows import Row

ROUNDS = 9
LIMIT = 1.3
COLUMNS, LINES = 100, 30

EMPTY = "from textual.app import App; App().run()"
_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?<=>]*[ -/]*[@-~]|[\]P_^].*?(?:\x07|\x1b\\)|[@-Z\\-_])")


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        config = home / "config.toml"
        config.write_text('[[nodes]]\nname = "gpu-01"\nhost = "127.0.0.1"\nport = 9\n')
        config.chmod(0o600)
        programs = {
            "empty": [sys.executable, "-c", EMPTY],
            "ours": [sys.executable, "-m", "gpuhop_tui", "--config", str(config)],
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(ROUNDS + 1):  # the first warms the caches
            for name, command in programs.items():
                times[name].append(_seconds_to_paint(command, home))
        ours, empty = (min(times[name][1:]) for name in ("ours", "empty"))  # the least disturbed
    yield Row(
        "first paint, against an empty Textual app",
        f"{ours * 1000:.0f} ms",
        f"{empty * 1000:.0f} ms",
        ours / empty,
        LIMIT,
    )


def _seconds_to_paint(command: list[str], home: Path) -> float:
    environment = {
        **os.environ,
        "HOME": str(home),
        "TERM": "xterm-256color",
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
    }
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    try:
        return _wait_for_screen(terminal) - started
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def _wait_for_screen(terminal: int) -> float:
    """The moment at which as many cells were written as the screen has, in the alternate screen."""
    written = b""
    while True:
        written += os.read(terminal, 1 << 16)
        _, _, screen = written.partition(b"\x1b[?1049h")
        cells = _ESCAPES.sub(b"", screen).decode(errors="replace")
        if sum(char >= " " for char in cells) >= COLUMNS * LINES:
            return time.perf_counter()
