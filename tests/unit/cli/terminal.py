"""A program in a terminal of its own, as a person has it: what it shows, and keys for it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path

import pyte


class Terminal:
    """Runs `argv` with a pty as its controlling terminal. `raw` is all that it ever wrote."""

    def __init__(
        self, argv: list[str], environment: Mapping[str, str], size: tuple[int, int] = (100, 30)
    ) -> None:
        self._end, terminal = os.openpty()
        columns, rows = size
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.raw = ""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.process = subprocess.Popen(
            argv,
            env={"TERM": "xterm-256color", **environment},
            cwd=Path(__file__).parents[3],
            preexec_fn=lambda: os.login_tty(terminal),
        )
        os.close(terminal)

    @property
    def text(self) -> str:
        """The screen as it is."""
        return "\n".join(self._screen.display)

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def until_shown(self, text: str, seconds: float = 40.0) -> None:
        """Reads on until the screen shows `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{self.text}"
            assert self._read(0.2) or self.process.poll() is None, self.text

    def wait(self, seconds: float = 40.0) -> int:
        """Reads to the end, and returns the exit status."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            self._read(0.05)
        while self._read(0.0):
            pass
        return self.process.wait()

    def hang_up(self) -> None:
        """Close the terminal, as closing its window does."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1

    def close(self) -> None:
        """End all, whatever state it is in."""
        self.hang_up()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self, seconds: float) -> bool:
        readable, _, _ = select.select([self._end], [], [], seconds)
        if not readable:
            return False
        try:
            data = os.read(self._end, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            return False
        self.raw += data.decode(errors="replace")
        self._stream.feed(data)
        return bool(data)
