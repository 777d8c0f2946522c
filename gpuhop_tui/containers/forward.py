"""A unix socket here whose every connection leads to a unix socket on the node.

Each connection is a channel of the link's open connection (direct-streamlocal@openssh.com, OpenSSH
PROTOCOL section 2.4), which takes none of its sessions. Who reaches an engine's socket is root on
the node: only this very process may connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from pathlib import Path

import asyncssh

from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.link import Link

_CHUNK = 65536
_OPEN_PROHIBITED = 1  # RFC 4254, section 5.1


class SocketForward:
    """Serves `path` from `start` to `close`. All methods are for the event loop's thread."""

    def __init__(self, link: Link, remote: str, path: Path) -> None:
        self._link = link
        self._remote = remote
        self.path = path
        self.denied: Problem | None = None  # why the node let no connection through, the last time
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._accepted, self.path)
        self.path.chmod(0o600)

    async def close(self) -> None:
        """Ends the socket and every connection: whoever blocks in one sees its end."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.path.unlink(missing_ok=True)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._server is not None and _is_own(writer):
                await self._join(reader, writer)
        except (OSError, asyncssh.Error):
            pass  # the engine's client sees the end, and its caller asks why
        except asyncio.CancelledError:
            if self._server is not None:
                raise
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._link.is_up:
            return
        connection = await self._link.connection()
        try:
            far_reader, far_writer = await connection.open_unix_connection(self._remote)
        except asyncssh.ChannelOpenError as exc:
            if exc.code == _OPEN_PROHIBITED:
                self.denied = forwarding_denied(self._link.name)
            raise
        self.denied = None
        there = asyncio.ensure_future(_pump(reader, far_writer))
        back = asyncio.ensure_future(_pump(far_reader, writer))
        try:
            await back  # an engine that has closed wants to hear nothing more
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            far_writer.close()
            with contextlib.suppress(OSError):
                writer.write_eof()


async def _pump(
    source: asyncio.StreamReader | asyncssh.SSHReader[bytes],
    target: asyncio.StreamWriter | asyncssh.SSHWriter[bytes],
) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
    target.write_eof()


def _is_own(writer: asyncio.StreamWriter) -> bool:
    """Whether this process is at the other end, where the system tells (SO_PEERCRED, unix(7))."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, option, 12)
    return int(struct.unpack("3i", credentials)[0]) == os.getpid()


def forwarding_denied(node: str) -> Problem:
    return Problem(
        node,
        ErrorKind.FORWARDING_DENIED,
        f"{node} does not let a connection to its Docker socket through",
        "Ask its administrator for AllowStreamLocalForwarding in its sshd_config(5).",
    )
