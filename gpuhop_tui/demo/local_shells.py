"""Real shells for the demo's hops, on the user's own machine: only where the user has asked for
them, with --demo-shells.

Each node has a tmux of its own there, in the demo's directory, and it ends with the demo.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import termios
from collections.abc import Mapping
from pathlib import Path

import asyncssh

SHELLS_VARIABLE = "GPUHOP_DEMO_SHELLS"
"""By which the servers' process is told to give them: the environment for them, as JSON."""

# What a login gives a shell; the agent is not among it.
_VARIABLES = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LANGUAGE", "COLORTERM", "TZ")
_END_SECONDS = 2.0
_GRACE_SECONDS = 0.2  # between SIGHUP and SIGKILL


def wanted_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the user's environment that the shells get."""
    return {
        name: value
        for name, value in environment.items()
        if name in _VARIABLES or name.startswith("LC_")
    }


class LocalShells:
    """Runs the hops of one node."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        """`directory` is private (0700) and goes with the demo."""
        self._directory = directory
        self._environment = {
            "SHELL": "/bin/sh",
            "PATH": os.defpath,
            **environment,
            "TMUX_TMPDIR": str(directory),
            "XDG_RUNTIME_DIR": str(directory),
            "GPUHOP_SIMULATED": "1",
        }

    async def run(self, process: asyncssh.SSHServerProcess[bytes], command: str) -> None:
        """One of the app's own commands for hops, by `sh`, on a terminal where one is asked for."""
        environment = dict(self._environment)
        if process.term_type is None:
            child = await self._start(command, environment, asyncio.subprocess.PIPE)
            await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
        else:
            environment["TERM"] = process.term_type
            near, far = pty.openpty()
            try:
                child = await self._start(command, environment, far)
            finally:
                os.close(far)
            columns, rows = process.term_size[:2]
            termios.tcsetwinsize(near, (rows or 24, columns or 80))
            await process.redirect(stdin=os.dup(near), stdout=near, recv_eof=False)
        await self._until_end(process, child)

    async def _start(
        self, command: str, environment: dict[str, str], stream: int
    ) -> asyncio.subprocess.Process:
        on_terminal = stream != asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            command,
            stdin=stream,
            stdout=stream,
            stderr=stream,
            env=environment,
            cwd=environment.get("HOME") or "/",
            start_new_session=not on_terminal,
            preexec_fn=(lambda: _take_terminal(stream)) if on_terminal else None,
        )

    async def _until_end(
        self, process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process
    ) -> None:
        ended = asyncio.ensure_future(child.wait())
        closed = asyncio.ensure_future(process.channel.wait_closed())
        try:
            await asyncio.wait({ended, closed}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                with contextlib.suppress(OSError, asyncssh.Error):
                    await asyncio.wait_for(process.stdout.drain(), _END_SECONDS)
                process.exit(max(ended.result(), 0))
        finally:
            closed.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGHUP)
            await asyncio.wait({ended}, timeout=_END_SECONDS)
            ended.cancel()

    async def close(self) -> None:
        """Ends the tmux servers, and all that was started in the shells, in the background too."""
        for socket in self._directory.glob("tmux-*/*"):
            panes = (await self._tmux(socket, "list-panes", "-a", "-F", "#{pane_pid}")).split()
            of_panes = _sessions_of({int(pid) for pid in panes})
            await self._tmux(socket, "kill-server")
            for number in (signal.SIGHUP, signal.SIGKILL):
                for pid in of_panes:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                await asyncio.sleep(_GRACE_SECONDS)

    async def _tmux(self, socket: Path, *words: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "-S",
            str(socket),
            *words,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return (await process.communicate())[0]


def _sessions_of(leaders: set[int]) -> list[int]:
    """The processes whose session (setsid(2)) has one of these leaders: proc_pid_stat(5), where
    there is a /proc; else the leaders alone."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(stat.read_text().rpartition(")")[2].split()[3]) in leaders:
                found.append(int(stat.parent.name))
    return found or sorted(leaders)


def _take_terminal(terminal: int) -> None:
    """In the child: the terminal of its standard streams is its controlling one (tty(4))."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
