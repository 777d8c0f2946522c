"""The user's screen during a hop: what comes from the node, passed through, and one line of ours.

Output goes to the terminal at once. The copy in `Screen` follows when there is time, so that it
costs a flood nothing; it is made to catch up where something has to be drawn over or again.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import Protocol

from gpuhop_tui.sessions.screen import Screen
from gpuhop_tui.sessions.screen_cells import clipped, text_width

BEHIND_LIMIT = 256 * 1024  # bytes the copy may lag behind before it skips
FOLLOW_SECONDS = 0.05
FOLLOW_BYTES = 16 * 1024  # what it takes in at once: a few ms
FLOOD_BYTES = 64 * 1024  # so much in between, and it waits for the flood to end

# What outlasts the text of a flood: modes, margins, character sets, resets.
_LASTING = re.compile(
    rb"\x1b\[\?[\d;]+[hl]|\x1b\[\d*(?:;\d*)?r|\x1b\[[<=>][\d;]*[mu]|\x1b[()][0-9A-Z]|\x1b[=>c78]"
)
_ABORT = b"\x18"  # CAN: ends an incomplete sequence, ECMA-48
_ASLEEP = "\x1b[?1000;1002;1003;1005;1006;1015;1004;2004l"  # no reports from a dead screen
_AFRESH = (
    f"{_ASLEEP}\x1b[?1;6l\x1b[?7;25h\x1b[4l\x1b>\x1b[>4m\x1b[r\x0f\x1b(B\x1b)0\x1b[0m"
).encode()


class Output(Protocol):
    """Where the bytes go: the terminal."""

    def write(self, data: bytes) -> None: ...


class View:
    """Draws on `terminal`, `size` columns and rows."""

    def __init__(self, terminal: Output, size: tuple[int, int]) -> None:
        self._terminal = terminal
        self._screen = Screen(*size)
        self._behind: deque[bytes] = deque()
        self._behind_bytes = 0
        self._came = 0  # bytes since the copy last followed
        self._timer: asyncio.TimerHandle | None = None
        self._line = ""  # ours, on the last row; empty: none
        self._drawn = False  # whether it is on the terminal now
        self._withheld = b""  # the incomplete end of the output, kept back while our line is shown
        self._frozen = False

    @property
    def screen(self) -> Screen:
        """The copy, up to date."""
        self._catch_up()
        return self._screen

    @property
    def columns(self) -> int:
        return self._screen.columns

    # What comes from the node

    def output(self, data: bytes) -> None:
        if not self._line:
            self._terminal.write(data)
            self._remember(data)
            return
        before = self._lift()
        self._screen.feed(data)
        whole = self._withheld + data
        self._withheld = self._screen.tokens.tail
        self._terminal.write(before + whole[: len(whole) - len(self._withheld)] + self._draw_line())

    def start_afresh(self, *, clear: bool = False) -> None:
        """Before another program draws: no mode and no half sequence of the last one is left."""
        self._frozen = False
        if not self.screen.tokens.at_rest:
            self.output(_ABORT)
        self.output(_AFRESH)
        if clear:
            # What was on the screen is scrolled up and not erased.
            rows = self._screen.height
            self.output(b"\x1b[%d;1H" % rows + b"\r\n" * (rows - 1) + b"\x1b[2J\x1b[H")

    # Our line

    def show_line(self, text: str) -> None:
        """Shows one line over the last row; an empty text takes it away."""
        if text == self._line and self._drawn == bool(text):
            return
        if not self._line:
            self._catch_up()
            if tail := self._screen.tokens.tail:
                self._terminal.write(_ABORT)
                self._withheld = tail
        data = self._lift() if not text else b""
        self._line = text
        if text:
            data += self._draw_line()
        else:
            data, self._withheld = data + self._withheld, b""
        self._terminal.write(data)

    def _lift(self) -> bytes:
        """Takes our line off the terminal, where it is on it."""
        if not self._drawn:
            return b""
        self._drawn = False
        last = self._screen.height - 1
        if self._frozen:
            return self._screen.redraw(dim=True)
        return self._screen.restored_row(last) + self._screen.restored()

    def _draw_line(self) -> bytes:
        if not self._line or not (self._screen.tokens.at_rest or self._withheld):
            return b""  # in the middle of a long string: when it has ended
        self._drawn = True
        screen = self._screen
        # The last column stays free: writing it could scroll.
        text = clipped(self._line, screen.columns - 1)
        text += " " * (screen.columns - 1 - text_width(text))
        place = f"\x1b[?25l\x1b[r\x1b[?6l\x1b[4l\x1b[?7h\x0f\x1b(B\x1b[{screen.height};1H"
        return f"{place}\x1b[0;7m{text}\x1b[0m".encode() + screen.restored()

    # The whole screen

    def freeze(self) -> None:
        """The last screen stays, dimmed; the terminal reports no mouse and no focus."""
        self._catch_up()
        self._frozen = True
        self._drawn = False
        abort = b"" if self._screen.tokens.at_rest else _ABORT
        self._terminal.write(abort + _ASLEEP.encode() + self._screen.redraw(dim=True))
        self._terminal.write(self._draw_line())

    def thaw(self) -> None:
        """The screen is live again as it is."""
        self._frozen = False
        self._paint(b"")

    def redraw(self) -> None:
        """Draws everything again, modes included, on a terminal that others have used."""
        self._paint(b"\x1b[?1049h" if self.screen.is_alternate else b"")

    def _paint(self, before: bytes) -> None:
        self._catch_up()
        self._drawn = False
        modes = _ASLEEP.encode() if self._frozen else self._screen.modes_restored()
        screen = self._screen.redraw(dim=self._frozen)
        self._terminal.write(before + modes + screen + self._draw_line())

    def resize(self, columns: int, rows: int) -> None:
        self._catch_up()
        self._screen.resize(columns, rows)
        if self._frozen or self._line:
            self._paint(b"")

    def farewell(self) -> bytes:
        """What gives the terminal back as programs expect it."""
        self._catch_up()
        if self._timer is not None:
            self._timer.cancel()
        abort = b"" if self._screen.tokens.at_rest else _ABORT
        lift = b""
        if self._drawn:
            self._frozen = False
            lift = self._lift()
        return abort + lift + self._screen.modes_undone()

    # The copy

    def _remember(self, data: bytes) -> None:
        self._behind.append(data)
        self._behind_bytes += len(data)
        self._came += len(data)
        if self._behind_bytes > BEHIND_LIMIT:
            self._skip()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FOLLOW_SECONDS, self._follow)

    def _follow(self) -> None:
        self._timer = None
        taken = 0
        came, self._came = self._came, 0
        while self._behind and taken < FOLLOW_BYTES and came < FLOOD_BYTES:
            piece = self._behind.popleft()
            if len(piece) > FOLLOW_BYTES:
                self._behind.appendleft(piece[FOLLOW_BYTES:])
                piece = piece[:FOLLOW_BYTES]
            taken += len(piece)
            self._screen.feed(piece)
        self._behind_bytes -= taken
        if self._behind:
            self._timer = asyncio.get_running_loop().call_later(FOLLOW_SECONDS, self._follow)

    def _catch_up(self) -> None:
        while self._behind:
            self._screen.feed(self._behind.popleft())
        self._behind_bytes = 0

    def _skip(self) -> None:
        """Of the older half only what outlasts it: the newer half has drawn over the rest."""
        data = b"".join(self._behind)
        cut = data.find(b"\n", len(data) // 2)
        cut = cut if cut >= 0 else len(data) // 2
        if not self._screen.tokens.at_rest:
            self._screen.feed(_ABORT)
        for lasting in _LASTING.finditer(data, 0, cut):
            self._screen.feed(lasting[0])
        self._behind = deque([data[cut:]])
        self._behind_bytes = len(data) - cut
