"""The interactive shell: a line editor, and whatever a line has put into the foreground."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from gpuhop_tui.demo.shell import commands
from gpuhop_tui.demo.shell.line import LineEditor
from gpuhop_tui.demo.shell.place import Place
from gpuhop_tui.demo.tmux.program import Program

_HELLO = (
    "\x1b[2mThis shell is simulated: nothing that you type is run on your machine. "
    "Try `help`.\x1b[0m"
)

_PIECES = re.compile(rb"[^\r\n\x03\x04]*[\r\n\x03\x04]|[^\r\n\x03\x04]+")


class Shell:
    """A program for a pane."""

    def __init__(
        self,
        place: Place,
        *,
        running: Program | None = None,
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        """`running` is what was begun in it before anybody looked; `finished` is called at its
        end."""
        self._place = place
        self._pending: list[str] = []
        self._said = b""
        self._foreground: Program | None = None
        self._size = (80, 24)
        self._status = 0
        self._editor = LineEditor(self._pending.append, lambda: self._place.prompt)
        self.ended: int | None = None
        self._finished = finished
        if running is not None:
            self._foreground = running
        else:
            self._pending.append(_HELLO + "\r\n")
            self._editor.begin()

    @property
    def command(self) -> str:
        return self._foreground.command if self._foreground is not None else "bash"

    def output(self, now: float) -> bytes:
        self._follow(now)
        data = self._said + "".join(self._pending).encode()
        self._said = b""
        self._pending.clear()
        return data

    def _follow(self, now: float) -> None:
        """Takes in what the foreground writes, and its end."""
        program = self._foreground
        if program is None:
            return
        self._hold()
        self._said += program.output(now)
        if program.ended is not None:
            self._said += program.output(now)  # parting words
            self._status, self._foreground = program.ended, None
            finished, self._finished = self._finished, lambda: None
            finished()
            if program.ended == 130:
                self._pending.append("^C\r\n")
            self._editor.begin()

    def typed(self, data: bytes, now: float) -> None:
        for piece in _PIECES.findall(data):  # what a line begins or ends takes the next one
            if self.ended is not None:
                return
            if self._foreground is not None:
                self._foreground.typed(piece, now)
                self._follow(now)
                continue
            for line in self._editor.feed(piece):
                if line is None:
                    self.ended = self._status
                else:
                    self._run(line)

    def resized(self, columns: int, rows: int) -> None:
        self._size = columns, rows
        if self._foreground is not None:
            self._foreground.resized(columns, rows)

    def _run(self, line: str) -> None:
        if line.strip() == "clear":
            self._pending.append("\x1b[H\x1b[2J")
        elif line.strip() == "history":
            entries = enumerate(self._editor.history, start=1)
            self._pending += [f"{number:>4}  {text}\r\n" for number, text in entries]
        elif line.strip():
            result = commands.run(self._place, line)
            self._pending.append(result.text.replace("\n", "\r\n"))
            self._status = result.status
            if result.leaves:
                self.ended = result.status
                return
            foreground = result.program
            if result.place is not None:
                foreground = Shell(result.place)
            if foreground is not None:
                foreground.resized(*self._size)
                self._foreground = foreground
                self._follow(time.time())
                return
        self._editor.begin()

    def _hold(self) -> None:
        """What was written before the foreground's output stays before it."""
        self._said += "".join(self._pending).encode()
        self._pending.clear()


class Running:
    """One line and nothing else: what `ssh NODE LINE` is. Ends with it."""

    def __init__(self, place: Place, line: str) -> None:
        result = commands.run(place, line)
        self._text = result.text.replace("\n", "\r\n").encode()
        self._program: Program | None = result.program
        if result.place is not None:
            self._program = Shell(result.place)
        self._status = result.status
        self.command = self._program.command if self._program else "sh"
        self.ended: int | None = None

    def output(self, now: float) -> bytes:
        data, self._text = self._text, b""
        if self._program is None:
            self.ended = self._status
            return data
        data += self._program.output(now)
        if self._program.ended is not None:
            data += self._program.output(now)
            self.ended = self._program.ended
        return data

    def typed(self, data: bytes, now: float) -> None:
        if self._program is not None:
            self._program.typed(data, now)

    def resized(self, columns: int, rows: int) -> None:
        if self._program is not None:
            self._program.resized(columns, rows)
