"""The user's terminal, taken over byte for byte and always given back as it was.

It is driven by the event loop and never blocks it: what the terminal does not take is buffered,
and whoever writes is told to pause. A file description of its own is opened, so that making it
non-blocking changes nothing for other programs on the same terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import termios
import time
from collections import deque
from collections.abc import Callable
from typing import Any

READ_SIZE = 65536
HIGH_WATER = 256 * 1024  # bytes not yet taken by the terminal at which the writer is to pause
LOW_WATER = 32 * 1024
LAST_WORDS_SECONDS = 0.5  # how long a jammed terminal is waited for at the end

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _, _, _CC = range(7)


class Terminal:
    """One terminal device. Made in the mode it is found in; `raw` and `cooked` switch it.

    on_input(bytes): what was typed; empty when the terminal is gone.
    on_backlog(bool): True when the writer has to pause, False when it may go on.
    """

    def __init__(
        self,
        fd: int | None = None,
        *,
        on_input: Callable[[bytes], None] = lambda _data: None,
        on_backlog: Callable[[bool], None] = lambda _full: None,
    ) -> None:
        """`fd`: any descriptor of the terminal; None: that of the standard streams, else the
        controlling terminal. Raises OSError where there is none."""
        self.on_input = on_input
        self.on_backlog = on_backlog
        self._fd = os.open(_device(fd), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._before = termios.tcgetattr(self._fd)
        except termios.error as error:
            os.close(self._fd)
            raise OSError(*error.args) from None
        self._raw = False
        self._reading = False
        self._wanted = True  # whether input is wanted while raw
        self._writing = False
        self._full = False
        self._out: deque[memoryview] = deque()
        self._backlog = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; 80 by 24 where the terminal does not say."""
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            columns = rows = 0
        return columns or 80, rows or 24

    @property
    def backlog(self) -> int:
        """Bytes that the terminal has not taken yet."""
        return self._backlog

    def is_in_foreground(self) -> bool:
        """Whether this process may set the terminal's modes without being stopped for it."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True  # not the controlling terminal: there is no job control on it

    async def drained(self) -> None:
        """Returns once the terminal has taken everything."""
        await self._empty.wait()

    # Modes

    def raw(self) -> None:
        """Every byte as it is typed, none echoed, none taken for a signal (cfmakeraw(3))."""
        mode = [*self._before[:_CC], list(self._before[_CC])]
        mode[_IFLAG] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
            | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        mode[_OFLAG] &= ~termios.OPOST
        mode[_CFLAG] = mode[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[_LFLAG] &= ~(
            termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
        )
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        self._set(mode)
        self._raw = True
        self._watch_input()

    def cooked(self) -> None:
        """As it was found. Input is left to others meanwhile."""
        self._raw = False
        self._watch_input()
        self._set(self._before)

    def pause_input(self, paused: bool) -> None:
        """Leaves what is typed in the terminal, or takes it again."""
        self._wanted = not paused
        self._watch_input()

    def close(self, last_words: bytes = b"") -> None:
        """Gives the terminal back, for good. Never raises, and never waits long."""
        if self._fd < 0:
            return
        self._raw = False
        self._watch_input()
        self._drain_now(last_words)
        self._stop_writing()
        self._set(self._before)
        os.close(self._fd)
        self._fd = -1

    def _set(self, mode: list[Any]) -> None:
        # TCSANOW: draining would wait for a terminal that is stopped by ctrl+s.
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)

    # Input

    def _watch_input(self) -> None:
        wanted = self._raw and self._wanted
        if wanted == self._reading:
            return
        self._reading = wanted
        loop = asyncio.get_running_loop()
        if wanted:
            loop.add_reader(self._fd, self._read)
        else:
            loop.remove_reader(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.pause_input(True)
        self.on_input(data)

    # Output

    def write(self, data: bytes) -> None:
        """Writes at once what the terminal takes, and the rest when it can."""
        if not data or self._fd < 0:
            return
        self._out.append(memoryview(data))
        self._backlog += len(data)
        self._empty.clear()
        if not self._writing:
            self._flush()
        self._tell()

    def _flush(self) -> None:
        if self._send():
            self._stop_writing()
            self._empty.set()
        elif not self._writing:
            self._writing = True
            asyncio.get_running_loop().add_writer(self._fd, self._flush)
        self._tell()

    def _tell(self) -> None:
        """Tells the writer to pause, or that it may go on."""
        if self._full and self._backlog <= LOW_WATER:
            self._full = False
            self.on_backlog(False)
        elif not self._full and self._backlog > HIGH_WATER:
            self._full = True
            self.on_backlog(True)

    def _send(self) -> bool:
        """Writes until nothing is left (True) or the terminal takes no more."""
        while self._out:
            piece = self._out[0]
            try:
                count = os.write(self._fd, piece)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:  # the terminal is gone; reading says so
                self._out.clear()
                self._backlog = 0
                return True
            self._backlog -= count
            if count == len(piece):
                self._out.popleft()
            else:
                self._out[0] = piece[count:]
        return True

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            asyncio.get_running_loop().remove_writer(self._fd)

    def _drain_now(self, last_words: bytes) -> None:
        if last_words:
            self._out.append(memoryview(last_words))
        until = time.monotonic() + LAST_WORDS_SECONDS
        while not self._send():
            left = until - time.monotonic()
            if left <= 0:
                return
            select.select([], [self._fd], [], left)


def _device(fd: int | None) -> str:
    for candidate in (0, 1, 2) if fd is None else (fd,):
        with contextlib.suppress(OSError):
            return os.ttyname(candidate)
    if fd is not None:
        raise OSError(f"descriptor {fd} is no terminal")
    return "/dev/tty"
