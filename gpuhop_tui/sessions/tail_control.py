"""Following a pane by tmux's control mode (tmux 3.2 and newer).

The screen is seeded by a snapshot and goes on with the pane's output. When the output rests, what
tmux shows is compared, and wins: an emulator is never quite another. A pane that prints faster than
is of use to anybody is paused, for this client only, and its screen is looked at now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.tail_screen import PaneScreen
from gpuhop_tui.sessions.tail_snapshot import (
    GoneError,
    PaneState,
    Snapshot,
    read_snapshot,
    screen_of,
    snapshot_commands,
    unescaped,
)
from gpuhop_tui.sessions.tail_view import TailState
from gpuhop_tui.sessions.tmux_control import HEARTBEAT_SECONDS, ControlClient, ControlError

SEED_LINES = 2000  # of scrollback, at the start and after a flood
FRAME_SECONDS = 0.05
WORK_SECONDS = 0.012  # for emulation in one frame
FLOOD_BYTES = 1 << 16  # not yet shown
QUIET_SECONDS = 0.6  # without output: then tmux is asked whether the screen is right
GLANCE_SECONDS = 0.25  # between two looks at a flood
RESTING_GLANCES = 6  # without a change: more than the second in which tmux tells activity
FLOOD_SECONDS = (1.0, 8.0)  # until its output is asked for again, the shortest and the longest
ANSWER_SECONDS = 15.0

_SLICE = 1 << 11
# What output does not tell; tmux looks for changes of it once a second.
_TOLD = (
    "#{pane_width} #{pane_height} #{pane_dead} #{pane_dead_status} #{pane_dead_signal}"
    " #{session_id} #{pane_title}"
)
_CHECK_AFTER = frozenset(
    {
        "layout-change",
        "window-close",
        "unlinked-window-close",
        "window-add",
        "sessions-changed",
        "subscription-changed",
    }
)

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a follower puts what it sees."""

    def show(self, screen: PaneScreen, state: PaneState, how: TailState) -> None:
        """`screen` belongs to the follower, which changes it further: each change is shown."""
        ...


class ControlFollower:
    """Follows one pane over one control client's process."""

    _client: ControlClient
    _screen: PaneScreen
    _state: PaneState

    def __init__(self, session: TmuxSession, pane_id: str, sink: Sink) -> None:
        self._session = session
        self._pane = pane_id
        self._name = pane_id.encode()
        self._sink = sink
        self._wake = asyncio.Event()
        self._pending = bytearray()  # output that is not on the screen yet
        self._flooding = False
        self._paused = False  # tmux keeps the output to itself
        self._check = False  # something changed that output does not tell
        self._gone = False
        self._others: set[bytes] = set()  # panes whose output is of no use
        self._hushed: set[bytes] = set()
        self._flood_pause = FLOOD_SECONDS[0]
        self._unsure = True  # whether tmux was not asked since the last output

    async def follow(self, process: Any) -> None:
        """Follows until the client ends. Raises GoneError where the pane or its session is gone,
        TimeoutError where tmux does not answer, ConnectionError where the talk breaks."""
        self._client = ControlClient(process, self._notice)
        reader = asyncio.create_task(self._client.read(), name=f"tail of {self._pane}")
        reader.add_done_callback(lambda _: self._wake.set())
        try:
            await self._seed(SEED_LINES)
            await self._ask(f"refresh-client -B 'gpuhop:{self._pane}:{_TOLD}'")
            while not reader.done():
                await self._frame()
            if (await reader) == "gone":
                raise GoneError
        except ConnectionError:
            if await reader == "gone":
                raise GoneError from None
            raise
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    # What tmux says

    def _notice(self, name: str, rest: bytes) -> None:
        if name in ("extended-output", "output"):
            pane, _, data = rest.partition(b" ")
            if pane != self._name:
                self._others.add(pane)
            elif not self._flooding:
                if name == "extended-output":
                    data = data.partition(b": ")[2]
                self._pending += unescaped(data)
                if len(self._pending) > FLOOD_BYTES:
                    self._flooding = True
                    self._pending.clear()
        elif name == "pause" and rest == self._name:
            self._flooding = self._paused = True
            self._pending.clear()
        elif name in _CHECK_AFTER:
            self._check = True
        elif name == "session-changed" and rest.partition(b" ")[0] != self._session.id.encode():
            self._gone = True  # ours ended, and tmux shows this client another
        else:
            return
        self._wake.set()

    # What is done about it, a frame at a time

    async def _frame(self) -> None:
        if self._gone:
            raise GoneError
        if self._others - self._hushed:
            await self._hush()
        if self._flooding:
            await self._sit_out()
        elif self._check:
            self._check = False
            await self._compare()
        elif self._pending:
            self._draw()
            self._unsure = True
            await asyncio.sleep(FRAME_SECONDS)
        elif not await self._woken(QUIET_SECONDS if self._unsure else HEARTBEAT_SECONDS / 4):
            await self._compare()  # which is a sign of life, too

    def _draw(self) -> None:
        end = time.perf_counter() + WORK_SECONDS
        while self._pending and time.perf_counter() < end:
            self._screen.feed(bytes(self._pending[:_SLICE]))
            del self._pending[:_SLICE]
        self._show(TailState.LIVE)

    async def _compare(self) -> None:
        """Takes the screen as tmux has it, should ours be another."""
        before = bytearray()
        snapshot = await self._snapshot(0, before)
        state = snapshot.state
        if (state.columns, state.rows) != (self._screen.columns, self._screen.height):
            await self._seed(SEED_LINES)
            return
        self._screen.feed(bytes(before))
        truth = screen_of(snapshot)
        if not truth.shows_the_same(self._screen):
            truth.adopt(self._screen)
            self._screen = truth
        self._state = state
        self._unsure = False
        self._show(TailState.LIVE)

    async def _seed(self, history: int) -> None:
        snapshot = await self._snapshot(history, bytearray())
        self._screen, self._state = screen_of(snapshot), snapshot.state
        self._unsure = True
        self._show(TailState.LIVE)

    async def _sit_out(self) -> None:
        """While it floods: a look now and then; then its output again, to see whether it still
        does."""
        if not self._paused:
            await self._ask(f"refresh-client -A '{self._pane}:pause'")
            self._paused = True
        until = time.monotonic() + self._flood_pause
        resting = 0
        while time.monotonic() < until and resting < RESTING_GLANCES and not self._gone:
            truth = screen_of(snapshot := await self._snapshot(0, bytearray()))
            same = snapshot.state.activity_at == self._state.activity_at
            resting = resting + 1 if same and truth.shows_the_same(self._screen) else 0
            truth.adopt(self._screen)
            self._screen, self._state = truth, snapshot.state
            self._show(TailState.FLOOD)
            await asyncio.sleep(GLANCE_SECONDS)
        shortest, longest = FLOOD_SECONDS
        is_over = resting >= RESTING_GLANCES
        self._flood_pause = shortest if is_over else min(2 * self._flood_pause, longest)
        await self._ask(f"refresh-client -A '{self._pane}:continue'")
        self._flooding = self._paused = False
        await self._seed(SEED_LINES)

    async def _hush(self) -> None:
        """Pauses the other panes of the session, for this client. (`off` would not do: when all
        clients have a pane off, tmux stops reading from it.)"""
        for pane in sorted(self._others - self._hushed):
            self._hushed.add(pane)
            with contextlib.suppress(GoneError):  # of that pane, not of ours
                await self._ask(f"refresh-client -A '{pane.decode('ascii', 'replace')}:pause'")

    # Asking

    async def _snapshot(self, history: int, before: bytearray) -> Snapshot:
        """Puts output that came before the snapshot, and so is in it, into `before`."""

        def at_end() -> None:
            before.extend(self._pending)
            self._pending.clear()

        snapshot = read_snapshot(
            await self._ask(*snapshot_commands(self._pane, history), at_end=at_end)
        )
        if snapshot.state.session_id != self._session.id:
            raise GoneError  # moved to another session: this client would not hear of it
        return snapshot

    async def _ask(
        self, *commands: str, at_end: Callable[[], None] | None = None
    ) -> list[list[bytes]]:
        """Raises GoneError where tmux refuses: all that is asked needs nothing but the pane."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._client.ask(*commands, at_end=at_end)
        except ControlError as error:
            _log.info("%s of %s: %s", self._pane, self._session.name, error)
            raise GoneError from error

    async def _woken(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        woken = self._wake.is_set()
        self._wake.clear()
        return woken

    def _show(self, how: TailState) -> None:
        self._sink.show(self._screen, self._state, how)
