"""The tmux sessions of one node: watched while somebody looks, and acted upon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import replace

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.jobs.signals import Signalled, SignalName, send_signal
from gpuhop_tui.fleet.reservations import end_reservation, reserve
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions import tmux_actions
from gpuhop_tui.sessions.container_shell import ContainerShell, Shell
from gpuhop_tui.sessions.container_watch import ContainerSessions
from gpuhop_tui.sessions.in_container import DEFAULT_SOCKET, InContainer
from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.sessions.shell import RemoteShell
from gpuhop_tui.sessions.tail import Tail
from gpuhop_tui.sessions.tmux_actions import Created, NewSession
from gpuhop_tui.sessions.watch import SessionWatch
from gpuhop_tui.ssh.backoff import delay_seconds
from gpuhop_tui.ssh.link import Link

_log = logging.getLogger(__name__)


class NodeSessions:
    """Keeps `sessions` and `problem` true while `watch(True)`; calls `changed()` after a change.

    All goes through one shell on the node's link: one session of its connection, none while nobody
    looks or acts.
    """

    def __init__(
        self, link: Link, changed: Callable[[], None], docker_socket: str = DEFAULT_SOCKET
    ) -> None:
        self._link = link
        self._changed = changed
        self._shell = RemoteShell(link)
        self._docker_socket = docker_socket
        self._watch = SessionWatch(self._shell)
        self._inside = ContainerSessions(self._shell, docker_socket)
        self._task: asyncio.Task[None] | None = None
        self._rng = random.Random()
        self.sessions: tuple[TmuxSession, ...] | None = None
        self.problem: Problem | None = None

    def watch(self, wanted: bool) -> None:
        """Begins or ends to look; what was seen last stays."""
        if wanted and self._task is None:
            self._look_soon()  # at new servers too: what is there may be another by now
            self._task = asyncio.create_task(self._run(), name=f"sessions of {self._link.name}")
        elif not wanted and self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._shell.close()

    async def new(self, wanted: NewSession, place: InContainer | None = None) -> Created:
        """See `tmux_actions.new_session`. `place`: in a container, and not on the node itself."""
        try:
            created = await tmux_actions.new_session(self._shell_in(place), wanted)
            return replace(created, place=place)
        finally:
            self._look_soon()

    async def kill(self, session: TmuxSession) -> None:
        """See `tmux_actions.kill_session`."""
        try:
            await tmux_actions.kill_session(self._shell_in(session.place), session)
        finally:
            self._look_soon()

    async def dismiss(self, session: TmuxSession, pane: TmuxPane) -> None:
        """See `tmux_actions.dismiss`."""
        try:
            await tmux_actions.dismiss(self._shell_in(session.place), session, pane)
        finally:
            self._look_soon()

    async def signal(self, job: Job, name: SignalName) -> Signalled:
        """See `send_signal`."""
        try:
            return await send_signal(self._shell, job, name, self._docker_socket)
        finally:
            self._look_soon()

    async def reserve(self, gpu: Gpu, seconds: float, note: str) -> None:
        """Puts one's own note on a GPU. See `reservations.reserve`."""
        await reserve(self._shell, self._link.name, gpu, seconds, note)

    async def end_reservation(self, gpu: Gpu) -> None:
        """Takes one's own note from a GPU. See `reservations.end_reservation`."""
        await end_reservation(self._shell, self._link.name, gpu)

    def tail(self, session: TmuxSession, pane: TmuxPane) -> Tail:
        """A live view of a pane, to be started and closed by whoever shows it. With tmux 3.2 and
        newer each one takes a session of the connection."""
        return Tail(self._link, self._shell, session, pane)

    def _shell_in(self, place: InContainer | None) -> Shell:
        return self._shell if place is None else ContainerShell(self._shell, place)

    def _look_soon(self) -> None:
        self._watch.look_soon()
        self._inside.look_soon()

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._link.connection()
            try:
                async with contextlib.aclosing(self._watch.watch()) as looks:
                    async for sessions in looks:
                        failures = 0
                        inside = await self._inside.look()
                        self._set((*sessions, *inside), self._watch.problem)
            except ProblemError as error:
                problem = error.problem
            except Exception as error:
                _log.exception("unexpected failure while listing sessions")
                problem = _unexpected(self._link.name, error)
            if self._link.is_up:  # otherwise the link says what is wrong, and comes back
                self._set(self.sessions, problem)
            failures += 1
            await asyncio.sleep(max(1.0, delay_seconds(failures, self._rng)))

    def _set(self, sessions: tuple[TmuxSession, ...] | None, problem: Problem | None) -> None:
        if sessions != self.sessions or problem != self.problem:
            self.sessions, self.problem = sessions, problem
            self._changed()


def _unexpected(node: str, error: Exception) -> Problem:
    return Problem(
        node,
        ErrorKind.NO_TMUX,
        f"listing the sessions failed: {error or type(error).__name__}",
        "It is tried again by itself; the log file (--log-file) has the details.",
    )
