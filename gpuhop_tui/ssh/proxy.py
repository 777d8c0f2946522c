"""A ProxyCommand (ssh_config(5)): a local program whose input and output lead to the server.

Its standard error is kept apart, for saying what went wrong; asyncssh's own proxy_command would
mix it into the SSH stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

STOP_SECONDS = 2.0


class ProxyCommand:
    """One running proxy program. It ends with its socket, and is ended if it does not."""

    def __init__(self, process: asyncio.subprocess.Process, ours: socket.socket) -> None:
        self.socket = ours
        self._process = process
        self._errors = b""
        self._reader = asyncio.create_task(self._read_errors())

    @classmethod
    async def start(cls, command: str) -> ProxyCommand:
        """Runs `command` (tokens already expanded) in the user's shell, as ssh(1) does."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    os.environ.get("SHELL") or "/bin/sh",
                    "-c",
                    f"exec {command}",
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def error_text(self) -> str:
        """The last lines that the program wrote to standard error."""
        return self._errors.decode(errors="replace").strip()

    async def stop(self) -> None:
        """Waits briefly for the program to end by itself, then ends it."""
        self.socket.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        await self._reader

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(4096):
            self._errors = (self._errors + data)[-2000:]
