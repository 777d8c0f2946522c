"""An ssh-agent that is started here, where the user has none.

It either ends with the program, however that ends, or is kept for later ones: those find it at
`kept_socket()` as long as SSH_AUTH_SOCK names no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

START_SECONDS = 5.0


class AgentStartError(Exception):
    """No agent could be started: why, in words."""


class OwnAgent:
    """A running agent. `socket` is in a directory that only the user can enter."""

    def __init__(self, socket: str, *, keep: bool) -> None:
        self.socket = socket
        self.is_kept = keep
        self._process: asyncio.subprocess.Process | None = None
        self._pid = 0

    @classmethod
    async def start(cls, environ: Mapping[str, str] = os.environ, *, keep: bool) -> OwnAgent:
        """Starts one; with `keep` it outlives this program. Raises AgentStartError."""
        path = kept_socket(environ)
        if not keep:
            path = path.with_name(f"agent-{os.getpid()}.sock")
        try:
            await asyncio.to_thread(_make_room, path)
        except OSError as error:
            raise AgentStartError(f"{path} cannot be used: {error.strerror or error}") from None
        agent = cls(str(path), keep=keep)
        try:
            async with asyncio.timeout(START_SECONDS):
                await (agent._start_kept() if keep else agent._start_bound())
        except FileNotFoundError:
            raise AgentStartError("there is no ssh-agent: install OpenSSH's client") from None
        except TimeoutError:
            await agent.stop()
            raise AgentStartError(f"ssh-agent did not start in {START_SECONDS:.0f} s") from None
        return agent

    async def _start_kept(self) -> None:
        starter = await asyncio.create_subprocess_exec(
            "ssh-agent", "-a", self.socket,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        _, said = await starter.communicate()
        if starter.returncode != 0:
            raise AgentStartError(said.decode(errors="replace").strip() or "ssh-agent failed")

    async def _start_bound(self) -> None:
        # ssh-agent(1) ends with the command that it is given, and this one ends with our pipe:
        # with us, even if we are killed.
        self._process = await asyncio.create_subprocess_exec(
            "ssh-agent", "-a", self.socket, "sh", "-c", 'echo "$SSH_AGENT_PID"; exec cat',
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).strip()
        if not line.isdigit():
            raise AgentStartError("ssh-agent failed")
        self._pid = int(line)

    async def stop(self) -> None:
        """Ends it, with the keys it holds; one that is kept runs on."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(START_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)  # noqa: PTH108 - at once, also where the loop is closing


def kept_socket(environ: Mapping[str, str] = os.environ) -> Path:
    """Where an agent that is kept listens."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "gpuhop-tui" / "agent.sock"
    return Path(environ.get("HOME") or "~").expanduser() / ".cache" / "gpuhop-tui" / "agent.sock"


def kept_agent(environ: Mapping[str, str] = os.environ) -> str | None:
    """The socket of an agent that was kept, if it listens and is the user's own."""
    path = kept_socket(environ)
    try:
        owner = path.stat()
    except OSError:
        return None
    if owner.st_uid != os.getuid() or not stat.S_ISSOCK(owner.st_mode) or not _listens(path):
        return None
    return str(path)


def _make_room(path: Path) -> None:
    """The private directory for a socket, without what a dead agent has left there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    if path.exists() and not _listens(path):
        path.unlink()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(1.0)
        try:
            visitor.connect(str(path))
        except OSError:
            return False
        return True
