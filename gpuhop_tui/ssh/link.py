"""The life of one connection: connecting, up, lost, waiting, and again; or blocked.

A link owns one SSH connection to the last hop of its route, through the link of the bastion before
it. It comes back by itself, except where only a person can help.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import asyncssh

from gpuhop_tui.config.hops import Route
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh import explain, keepalive
from gpuhop_tui.ssh.backoff import delay_seconds
from gpuhop_tui.ssh.guard.lent import LentAgent
from gpuhop_tui.ssh.login import LoggedIn
from gpuhop_tui.ssh.status import LinkEvent, LinkState, LinkStatus

SESSIONS = 9  # one below OpenSSH's default MaxSessions, sshd_config(5)
EVENTS_KEPT = 200
AGENT_POLL_SECONDS = 2.0
CLOSE_SECONDS = 1.0

_log = logging.getLogger(__name__)

Opened = TypeVar("Opened")


class LogIn(Protocol):
    """How a link gets a connection: one login, through the parent's connection if there is one."""

    def __call__(
        self, through: asyncssh.SSHClientConnection | None, on_step: Callable[[str], None]
    ) -> Awaitable[LoggedIn]: ...


class Link:
    """One connection that is kept up. All methods are for the event loop's thread."""

    def __init__(
        self,
        route: Route,
        parent: Link | None,
        log_in: LogIn,
        *,
        agent_has_keys: Callable[[], Awaitable[bool]] | None = None,
        retry: bool = True,
        lent: LentAgent | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """`lent`: the agent that sessions on this link may use; None: none is lent."""
        self.route = route
        self.lent = lent
        self.parent = parent
        self.status = LinkStatus(since=time.time())
        self.events: deque[LinkEvent] = deque(maxlen=EVENTS_KEPT)
        # Of the last connection, where it was TCP.
        self.peer_address: str | None = None
        self.own_address: str | None = None
        self._log_in = log_in
        self._agent_has_keys = agent_has_keys
        self._retry = retry
        self._rng = rng or random.Random()
        self._logged_in: LoggedIn | None = None
        self._listeners: list[Callable[[], None]] = []
        self._changed = asyncio.Event()
        self._kick = asyncio.Event()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(SESSIONS)
        self._sessions_open = 0
        self._task: asyncio.Task[None] | None = None

    # What others may ask of a link

    @property
    def name(self) -> str:
        return self.route.target.name

    @property
    def lent_socket(self) -> str | None:
        """The guard's socket, which lends the agent to this node; None where none is lent."""
        return self.lent.socket if self.lent is not None else None

    @property
    def is_up(self) -> bool:
        """Whether there is an open connection at this very moment."""
        return self._logged_in is not None and not self._logged_in.connection.is_closed()

    @property
    def current(self) -> asyncssh.SSHClientConnection | None:
        """The connection that is open at this very moment, if there is one."""
        return self._logged_in.connection if self._logged_in and self.is_up else None

    @property
    def sessions_open(self) -> int:
        """Sessions in use or about to be, of at most `SESSIONS`."""
        return self._sessions_open

    def start(self) -> None:
        """Begins to connect, and to come back. Does nothing when already begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._live(), name=f"link {self.name}")

    async def close(self) -> None:
        """Ends the connection for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._hang_up()
        self._set(LinkState.DOWN)

    def retry_now(self) -> None:
        """Cuts a wait short, and tries again where a person may have helped meanwhile."""
        self._kick.set()

    def check_now(self, *, after_wake: bool = False) -> None:
        """The network may have changed: tests an open connection, and cuts a wait short."""
        if self.status.state is LinkState.WAITING:
            self._kick.set()
        if self.is_up and after_wake:
            self._wake.set()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` after every change of `status` or `events`, until what this returns is
        called."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    async def wait_until(self, condition: Callable[[Link], bool]) -> None:
        """Returns once `condition` holds."""
        while not condition(self):
            self._changed.clear()
            await self._changed.wait()

    async def connection(self) -> asyncssh.SSHClientConnection:
        """The open connection, waiting for it as long as it takes."""
        while True:
            await self.wait_until(lambda link: link.is_up)
            if self._logged_in is not None:
                return self._logged_in.connection

    @asynccontextmanager
    async def process(self, command: str) -> AsyncIterator[asyncssh.SSHClientProcess[bytes]]:
        """Runs `command` in a session of its own, within the session limit, as a byte stream.

        Raises ProblemError where the link is not up or the server opens no session. The remote
        end sees end of input when the block is left.
        """
        async with self._slot():
            process = await self._open(lambda conn: conn.create_process(command, encoding=None))
            try:
                yield process
            except (asyncssh.Error, ConnectionError) as exc:
                raise ProblemError(explain.lost(self.route.target, _reason(exc))) from exc
            finally:
                process.close()

    @asynccontextmanager
    async def session(
        self,
        factory: Callable[[], asyncssh.SSHClientSession[bytes]],
        command: str,
        **options: Any,
    ) -> AsyncIterator[tuple[asyncssh.SSHClientChannel[bytes], asyncssh.SSHClientSession[bytes]]]:
        """Runs `command` as `process` does, with callbacks instead of streams.

        `options` are those of asyncssh's `create_session`. Raises ProblemError where the link is
        not up or the server opens no session.
        """
        async with self._slot():
            yield await self._open(lambda conn: conn.create_session(factory, command, **options))

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        async with self._slots:
            self._sessions_open += 1
            try:
                yield
            finally:
                self._sessions_open -= 1

    async def _open(
        self, request: Callable[[asyncssh.SSHClientConnection], Awaitable[Opened]]
    ) -> Opened:
        """Opens a session on the connection as it is now."""
        logged_in = self._logged_in
        if logged_in is None:
            raise ProblemError(
                self.status.problem or explain.lost(self.route.target, "not connected")
            )
        try:
            return await request(logged_in.connection)
        except asyncssh.ChannelOpenError as exc:
            if not self.is_up:
                raise ProblemError(explain.lost(self.route.target, exc.reason)) from exc
            raise ProblemError(explain.sessions_refused(self.route.target, exc.reason)) from exc
        except (asyncssh.Error, OSError) as exc:
            raise ProblemError(explain.lost(self.route.target, str(exc))) from exc

    def note(self, text: str, problem: Problem | None = None) -> None:
        """Adds a line to this link's log."""
        self.events.append(LinkEvent(time.time(), self.name, text, problem))
        _log.info("%s: %s", self.name, text)
        self._tell()

    # Its life

    async def _live(self) -> None:
        while True:
            try:
                await self._parent_up()
                await self._connect()
                await self._lost(await self._hold())
            except ProblemError as exc:
                await self._failed(exc.problem)
            except Exception as exc:
                _log.exception("unexpected failure of the link to %s", self.name)
                await self._hang_up()
                before = self.parent.route.target if self.parent else None
                await self._failed(
                    explain.explain(exc, self.route.target, before, self.status.step)
                )

    async def _parent_up(self) -> None:
        """Waits for the bastion, showing its state as ours: the way is only as good as that."""
        parent = self.parent
        while parent is not None and not parent.is_up:
            state, problem = parent.status.state, parent.status.problem
            if state is LinkState.UP:
                state = LinkState.CONNECTING  # its connection has just closed
            step = f"waiting for {parent.name}" if state is LinkState.CONNECTING else ""
            if state is LinkState.DOWN and problem is None:
                state, step = LinkState.CONNECTING, f"waiting for {parent.name}"
            self._set(state, problem=problem, retry_at=parent.status.retry_at, step=step)
            await parent.wait_for_change()

    async def wait_for_change(self) -> None:
        """Returns after the next change of `status`, or soon: a connection may close unseen."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._changed.wait()

    async def _connect(self) -> None:
        self._kick.clear()
        self._set(LinkState.CONNECTING, step="TCP connection", problem=self.status.problem)
        through = None
        if self.parent is not None:
            through = await self.parent.connection()
        logged_in = await self._log_in(through, self._show_step)
        self._logged_in = logged_in
        self.peer_address = _address(logged_in.connection.get_extra_info("peername"))
        self.own_address = _address(logged_in.connection.get_extra_info("sockname"))
        self.note(f"up after {logged_in.seconds:.2f} s")
        self._set(LinkState.UP, attempt=0, connect_seconds=logged_in.seconds)

    def _show_step(self, step: str) -> None:
        self._update(replace(self.status, step=step))

    async def _hold(self) -> str:
        """Keeps an open connection under watch. Returns why it ended."""
        assert self._logged_in is not None
        connection, closed = self._logged_in.connection, self._logged_in.closed
        while True:
            patience = keepalive.ANSWER_SECONDS
            if self._wake.is_set():
                self._wake.clear()
                patience = keepalive.AFTER_WAKE_SECONDS
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(patience):
                    rtt = await keepalive.round_trip(connection)
                self._update(replace(self.status, rtt_seconds=rtt))
            except TimeoutError:
                if keepalive.stood_still(asked_at, patience):
                    self._wake.set()
                    continue
                connection.abort()
                return f"no answer for {patience:.0f} s"
            except ConnectionError:
                pass
            await self._pause(closed)
            if closed.done():
                return _reason(closed.result())

    async def _pause(self, closed: asyncio.Future[Exception | None]) -> None:
        """Waits one keepalive interval, or less when the connection ends or we woke up."""
        woken = asyncio.ensure_future(self._wake.wait())
        either: set[asyncio.Future[Any]] = {closed, woken}
        try:
            await asyncio.wait(
                either,
                timeout=keepalive.INTERVAL_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            woken.cancel()

    async def _lost(self, reason: str) -> None:
        self._logged_in = None
        hop = self.route.target
        if self.parent is not None and not self.parent.is_up:
            hop = self.parent.route.target
        problem = explain.lost(hop, reason)
        self.note(problem.message, problem)
        # The bastion's own link says when it tries again; a lost link's first try is at once.
        self._set(LinkState.WAITING, problem=problem, attempt=0, retry_at=time.time())
        if self.parent is None or self.parent.is_up:
            await self._wait(delay_seconds(0, self._rng) if self.parent is None else 0.0)

    async def _failed(self, problem: Problem) -> None:
        self._kick.clear()  # asked for during the attempt that has just failed
        attempt = self.status.attempt + 1
        self.note(f"{problem.message}", problem)
        if not self._retry:
            self._set(LinkState.DOWN, problem=problem, attempt=attempt)
            await self._kick.wait()
        elif problem.kind.needs_person:
            self._set(LinkState.BLOCKED, problem=problem, attempt=attempt)
            await self._wait_for_person(problem)
        elif self.parent is None or self.parent.is_up:
            delay = delay_seconds(attempt, self._rng)
            self._set(
                LinkState.WAITING, problem=problem, attempt=attempt, retry_at=time.time() + delay
            )
            await self._wait(delay)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._kick.wait()

    async def _wait_for_person(self, problem: Problem) -> None:
        """Blocked until asked to retry, or, where keys are missing, until the agent has some."""
        if self._agent_has_keys is None or problem.kind not in (
            ErrorKind.AGENT_EMPTY,
            ErrorKind.AGENT_MISSING,
        ):
            await self._kick.wait()
            return
        while not self._kick.is_set() and not await self._agent_has_keys():
            await self._wait(AGENT_POLL_SECONDS)

    async def _hang_up(self) -> None:
        logged_in, self._logged_in = self._logged_in, None
        if logged_in is None:
            return
        logged_in.connection.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await logged_in.connection.wait_closed()
        except TimeoutError:
            logged_in.connection.abort()

    # Telling others

    def _set(
        self,
        state: LinkState,
        *,
        step: str = "",
        problem: Problem | None = None,
        attempt: int | None = None,
        retry_at: float | None = None,
        connect_seconds: float | None = None,
    ) -> None:
        now = self.status
        self._update(
            LinkStatus(
                state=state,
                since=now.since if state is now.state else time.time(),
                step=step,
                problem=problem,
                attempt=now.attempt if attempt is None else attempt,
                retry_at=retry_at,
                connect_seconds=connect_seconds or now.connect_seconds,
                rtt_seconds=now.rtt_seconds if state is LinkState.UP else None,
            )
        )

    def _update(self, status: LinkStatus) -> None:
        if status == self.status:
            return
        self.status = status
        self._changed.set()
        self._tell()

    def _tell(self) -> None:
        for callback in tuple(self._listeners):
            callback()


def _reason(exc: Exception | None) -> str:
    if exc is None:
        return "closed"
    if isinstance(exc, asyncssh.Error):
        return exc.reason or type(exc).__name__
    return str(exc) or type(exc).__name__


def _address(name: object) -> str | None:
    """The address of a socket name; a socket that is not of the internet has none."""
    return str(name[0]) if isinstance(name, tuple) and name else None
