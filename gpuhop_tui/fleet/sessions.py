"""The tmux sessions of one node: watched while somebody looks, and acted upon."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.jobs.signals import Signalled, SignalName, send_signal
from gpuhop_tui.fleet.reservations import end_reservation, reserve
from gpuhop_tui.fleet.watching import NodeWatching
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
from gpuhop_tui.ssh.link import Link


class NodeSessions(NodeWatching):
    """Keeps `sessions` and `problem` true while `watch(True)`; calls `changed()` after a change.

    All goes through one shell on the node's link: one session of its connection, none while nobody
    looks or acts.
    """

    WHAT = "sessions"
    UNEXPECTED = ErrorKind.NO_TMUX
    LEAST_PAUSE_SECONDS = 1.0

    def __init__(
        self, link: Link, changed: Callable[[], None], docker_socket: str = DEFAULT_SOCKET
    ) -> None:
        super().__init__(link)
        self._changed = changed
        self._shell = RemoteShell(link)
        self._docker_socket = docker_socket
        self._watch = SessionWatch(self._shell)
        self._inside = ContainerSessions(self._shell, docker_socket)
        self.sessions: tuple[TmuxSession, ...] | None = None
        self.problem: Problem | None = None
        self.left_out = ""
        """Why sessions in containers are not all there; empty: none is known to be missing."""

    async def close(self) -> None:
        await super().close()
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

    def _begin(self) -> None:
        self._look_soon()  # at new servers too: what is there may be another by now

    async def _look(self) -> None:
        try:
            async with contextlib.aclosing(self._watch.watch()) as looks:
                async for sessions in looks:
                    self._went_well()
                    await self._see(sessions, self._watch.problem)
        except ProblemError as error:
            if error.problem.kind is ErrorKind.NO_TMUX:  # a container may have its own
                before = (each for each in self.sessions or () if each.place is None)
                await self._see(tuple(before), error.problem)
            raise

    async def _see(self, sessions: tuple[TmuxSession, ...], problem: Problem | None) -> None:
        inside = await self._inside.look()
        self._set((*sessions, *inside), problem, self._inside.left_out)

    def _failed(self, problem: Problem) -> None:
        self._set(self.sessions, problem, self.left_out)

    def _set(
        self, sessions: tuple[TmuxSession, ...] | None, problem: Problem | None, left_out: str
    ) -> None:
        now = sessions, problem, left_out
        if now != (self.sessions, self.problem, self.left_out):
            self.sessions, self.problem, self.left_out = now
            self._changed()
