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
LAST_WORDS_SECONDS = 0.3  # for what it wrote before it ended


class ProxyCommand:
    """One running proxy program. It ends with its socket, and is ended if it does not."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        ours: socket.socket,
        errors: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.socket = ours
        self._process = process
        self._errors = b""
        self._from_errors, self._errors_end = errors
        self._reader = asyncio.create_task(self._read_errors())

    @classmethod
    async def start(cls, command: str) -> ProxyCommand:
        """Runs `command` (tokens already expanded) in the user's shell, as ssh(1) does."""
        ours, theirs = socket.socketpair()
        # Not a pipe: asyncio takes a program for running as long as anybody has its pipe open.
        our_errors, their_errors = socket.socketpair()
        with theirs, their_errors:
            try:
                process = await asyncio.create_subprocess_exec(
                    os.environ.get("SHELL") or "/bin/sh",
                    "-c",
                    f"exec {command}",
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=their_errors.fileno(),
                    start_new_session=True,
                )
                errors = await asyncio.open_connection(sock=our_errors)
            except BaseException:
                ours.close()
                our_errors.close()
                raise
        ours.setblocking(False)
        return cls(process, ours, errors)

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
        # What it left in the background (ControlPersist of ssh_config(5)) may still hold this.
        await asyncio.wait({self._reader}, timeout=LAST_WORDS_SECONDS)
        self._reader.cancel()
        self._errors_end.close()

    async def _read_errors(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._from_errors.read(4096):
                self._errors = (self._errors + data)[-2000:]
