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
from collections.abc import Coroutine
from pathlib import Path

import asyncssh

from gpuhop_tui.ssh.link import Link

_CHUNK = 65536


class SocketForward:
    """Serves `path` from `start` to `close`. All methods are for the event loop's thread."""

    def __init__(self, link: Link, remote: str, path: Path) -> None:
        self._link = link
        self._remote = remote
        self.path = path
        self.refused = False  # the node's sshd made no connection of it, the last time
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        self._listener.bind(str(self.path))
        self.path.chmod(0o600)
        self._listener.listen()
        self._begin(self._accept(self._listener))

    async def close(self) -> None:
        """Ends the socket and every connection: whoever blocks in one sees its end."""
        listener, self._listener = self._listener, None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if listener is not None:
            listener.close()
        self.path.unlink(missing_ok=True)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        # asyncio's own server leaves a connection open that it accepts while it is closed.
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            self._begin(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        with connection:
            if not _is_own(connection):
                return
            reader, writer = await asyncio.open_unix_connection(sock=connection)
            try:
                await self._join(reader, writer)
            except (OSError, asyncssh.Error):
                pass  # the engine's client sees the end, and its caller asks why
            finally:
                writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._link.is_up:
            return
        connection = await self._link.connection()
        try:
            far_reader, far_writer = await connection.open_unix_connection(self._remote)
        except asyncssh.ChannelOpenError:
            self.refused = True
            raise
        self.refused = False
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


def _is_own(connection: socket.socket) -> bool:
    """Whether this process is at the other end, where the system tells (SO_PEERCRED, unix(7))."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, option, 12)
    return int(struct.unpack("3i", credentials)[0]) == os.getpid()
