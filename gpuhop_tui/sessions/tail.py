"""A tail: a live view of one pane that changes nothing on its side.

It is kept through a lost link, with its last screen, and goes on by itself. Nobody's window is
resized, no client detached, and no key is sent: see `tmux_control` and `tail_snapshot` for all that
is ever asked of tmux.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions.container_shell import ContainerLink, ContainerShell, Shell, TailLink
from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.sessions.shell import have_end_told
from gpuhop_tui.sessions.tail_control import ControlFollower
from gpuhop_tui.sessions.tail_poll import PollFollower
from gpuhop_tui.sessions.tail_screen import Line, PaneScreen
from gpuhop_tui.sessions.tail_snapshot import GoneError, PaneState
from gpuhop_tui.sessions.tail_view import TailState, TailView
from gpuhop_tui.sessions.tmux import has_control_tail
from gpuhop_tui.sessions.tmux_control import control_command

CHANGE_SECONDS = 0.05  # changes within this time are told as one: 20 a second at most
OPEN_SECONDS = 10.0
AGAIN_SECONDS = (1.0, 10.0)  # after a failure that was not the link's: the first wait, the longest

_log = logging.getLogger(__name__)


class Tail:
    """Follows one pane from `start` to `close`. All methods are for the event loop's thread."""

    def __init__(self, link: TailLink, shell: Shell, session: TmuxSession, pane: TmuxPane) -> None:
        self._link, self._shell = link, shell
        if session.place is not None:
            self._link = ContainerLink(link, session.place)
            self._shell = ContainerShell(shell, session.place)
        self.session = session
        self.pane = pane
        self._screen: PaneScreen | None = None
        self._view = TailView(columns=pane.columns, rows=pane.rows)
        self._is_drawn = True  # whether `_view` holds the lines of `_screen`
        self._subscribers: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None  # a dead pane's server to look again
        self._rng = random.Random()

    @property
    def view(self) -> TailView:
        """What is to be shown now. Made when it is asked for, once a change."""
        screen = self._screen
        if not self._is_drawn and screen is not None:
            self._is_drawn = True
            self._view = replace(
                self._view,
                columns=screen.columns,
                rows=screen.height,
                lines=tuple(screen.line(y) for y in range(screen.height)),
                cursor=(screen.x, screen.y) if screen.mode(25) else None,
                scrollback=screen.kept,
                gone=screen.gone,
            )
        return self._view

    def history(self, start: int, stop: int) -> list[Line]:
        """Lines of scrollback, from 0, the oldest that is kept, to `view.scrollback`."""
        return self._screen.history(start, stop) if self._screen is not None else []

    def start(self) -> None:
        """Begins to follow. Does nothing when already begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"tail of {self.pane.id}")

    async def close(self) -> None:
        """Ends the tail; nothing of it is left on the node."""
        tasks = [task for task in (self._task, self._asking) if task is not None]
        self._task = self._asking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def changes(self) -> AsyncIterator[TailView]:
        """Yields the view now, and the newest view after each change, at most 20 a second; ends
        after the view that says ENDED."""
        changed = asyncio.Event()
        changed.set()
        self._subscribers.add(changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                view = self.view
                yield view
                if view.state is TailState.ENDED:
                    return
                await asyncio.sleep(CHANGE_SECONDS)
        finally:
            self._subscribers.discard(changed)

    # As a sink of followers

    def show(self, screen: PaneScreen, state: PaneState, how: TailState) -> None:
        self._screen = screen
        self._is_drawn = False
        self._view = replace(
            self._view,
            state=how,
            problem=None,
            title=state.title,
            dead=state.dead,
            exit_status=state.exit_status,
            exit_signal=state.exit_signal,
        )
        self._tell()
        ended_unknown = state.dead and state.exit_status is None and state.exit_signal is None
        if ended_unknown and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._have_end_told(), name="how it ended")

    async def _have_end_told(self) -> None:
        with contextlib.suppress(ProblemError):
            await have_end_told(self._shell, self.session.server_pid)

    # Its life

    async def _run(self) -> None:
        pause = AGAIN_SECONDS[0]
        while True:
            await self._link.connection()
            seen = self._screen
            try:
                await self._follow()
                problem = self._ended("tmux's control client ended")
            except GoneError:
                self._set(TailState.ENDED)
                return
            except ProblemError as error:
                problem = error.problem
            except TimeoutError:
                problem = self._ended("tmux did not answer")
            except ConnectionError as error:
                problem = self._ended(str(error))
            except Exception as error:
                _log.exception("unexpected failure of a tail on %s", self._link.name)
                problem = self._ended(str(error) or type(error).__name__)
            self._set(TailState.STALE, problem)
            if self._link.is_up:
                pause = AGAIN_SECONDS[0] if self._screen is not seen else 2 * pause
                await asyncio.sleep(min(pause, AGAIN_SECONDS[1]) * self._rng.uniform(0.8, 1.2))

    async def _follow(self) -> None:
        if not has_control_tail(self.session.version):
            await PollFollower(self._shell, self.session, self.pane.id, self).follow()
            return
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    process = await stack.enter_async_context(
                        self._link.process(control_command(self.session))
                    )
            except TimeoutError:
                raise ProblemError(self._no_session()) from None
            try:
                await ControlFollower(self.session, self.pane.id, self).follow(process)
            finally:
                with contextlib.suppress(Exception):  # gone already
                    process.stdin.write_eof()

    def _set(self, state: TailState, problem: Problem | None = None) -> None:
        self._view = replace(self.view, state=state, problem=problem)
        self._tell()

    def _tell(self) -> None:
        for changed in self._subscribers:
            changed.set()

    def _ended(self, why: str) -> Problem:
        return Problem(
            self._link.name,
            ErrorKind.LOST,
            f"the tail of {self.session.name} {self.pane.id} stopped: {why or 'without a word'}",
            "It is started again by itself.",
        )

    def _no_session(self) -> Problem:
        return Problem(
            self._link.name,
            ErrorKind.OVERLOADED,
            "no free session on the connection for this tail",
            "Close another tail or shell on this node: sshd allows 10 sessions a connection.",
        )
