"""A program on a terminal at the far end: one PTY session on a link's open connection."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncssh

from gpuhop_tui.ssh.link import Link

# asyncssh renews a window when half of it is used: so this is what OpenSSH's 1 MB do, which is
# 10 MB/s at a round trip of 100 ms.
WINDOW = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a session ended: with a status, by a signal, or with its connection (`lost`)."""

    status: int | None = None
    signal: str | None = None

    @property
    def lost(self) -> bool:
        return self.status is None and self.signal is None

    @property
    def exit_status(self) -> int:
        """As a shell reports it: 128 + the number of a signal; 255 where it is not known."""
        if self.signal is not None:
            return 128 + getattr(signal, f"SIG{self.signal}", 127)
        return 255 if self.status is None else self.status


class RemoteTerminal(asyncssh.SSHClientSession[bytes]):
    """The near end of a PTY. `ended` is done when the program or the connection has ended."""

    def __init__(self, on_output: Callable[[RemoteTerminal, bytes], None]) -> None:
        self.ended: asyncio.Future[SessionEnd] = asyncio.get_running_loop().create_future()
        self.on_pause: Callable[[bool], None] = lambda _paused: None
        self._on_output = on_output
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        assert self._channel is not None
        connection = self._channel.get_connection()
        assert isinstance(connection, asyncssh.SSHClientConnection)
        return connection

    def write(self, data: bytes) -> bool:
        """Sends what was typed. Returns whether the session was open for it."""
        if self._channel is None or self._channel.is_closing():
            return False
        try:
            self._channel.write(data)
        except OSError:
            return False
        return True

    def resize(self, columns: int, rows: int) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.change_terminal_size(columns, rows)

    def pause_output(self, paused: bool) -> None:
        """Stops or resumes taking output; the far end is slowed by the channel's window."""
        if self._channel is not None:
            (self._channel.pause_reading if paused else self._channel.resume_reading)()

    # asyncssh's callbacks

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._on_output(self, data)

    def pause_writing(self) -> None:
        self.on_pause(True)

    def resume_writing(self) -> None:
        self.on_pause(False)

    def eof_received(self) -> bool:
        return True  # the program may close its output before it ends

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ended.done():
            return
        status = ended_by = None
        if self._channel is not None:
            status, ended_by = self._channel.get_exit_status(), self._channel.get_exit_signal()
        self.ended.set_result(SessionEnd(None, ended_by[0]) if ended_by else SessionEnd(status))


@asynccontextmanager
async def remote_terminal(
    link: Link,
    command: str,
    *,
    on_output: Callable[[RemoteTerminal, bytes], None],
    term: str,
    size: tuple[int, int],
    env: Mapping[str, str],
) -> AsyncIterator[RemoteTerminal]:
    """Runs `command` on a PTY of `size` (columns, rows). `env` is asked for; AcceptEnv of
    sshd_config(5) decides. Raises ProblemError where the link is not up or opens no session."""

    def factory() -> RemoteTerminal:
        return RemoteTerminal(on_output)

    async with link.session(
        factory,
        command,
        request_pty="force",
        term_type=term,
        term_size=size,
        env=dict(env),
        encoding=None,
        window=WINDOW,
    ) as (channel, session):
        assert isinstance(session, RemoteTerminal)
        try:
            yield session
        finally:
            channel.abort()
