"""A network namespace, held open by a process that ends with this one, and programs run in it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.procfs import pids_in

# The holder waits for the end of its input, so it ends with the process that started it.
_HOLD = "echo ready; read -r _"

Argument = str | Path


class Namespace:
    """Something with a network of its own: a switch, a laptop, a server."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._holder: subprocess.Popen[bytes] | None = None
        self._inode = 0

    def start(self) -> None:
        """Make the namespace; `ready` waits for it, so that many can start at once."""
        self._holder = subprocess.Popen(
            ["unshare", *self._unshare(), "bash", "-c", f"set -e\n{self._setup()}\n{_HOLD}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ready(self) -> None:
        """Wait until the namespace is set up. Raises RuntimeError where that failed."""
        holder = self._running()
        assert holder.stdout is not None
        if holder.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{self.name}: the namespace could not be set up; see above")
        self._inode = Path(f"/proc/{holder.pid}/ns/net").stat().st_ino

    def _unshare(self) -> Sequence[str]:
        """Options for unshare(1)."""
        return ("--net",)

    def _setup(self) -> str:
        """Shell lines that run inside, before it is ready."""
        return "ip link set lo up"

    @property
    def pid(self) -> int:
        """The holder's pid: `nsenter -t PID -n` enters the network by it."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._holder is not None and self._holder.poll() is None

    def pids(self) -> list[int]:
        """Pids, as this side numbers them, of all that run in this network."""
        return pids_in("net", [self._inode])

    def end(self) -> None:
        """Let go of the namespace: the kernel takes it down once nothing runs in it."""
        if self._holder is None:
            return
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.kill()
        self._holder.wait()
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder = None

    # Programs

    def argv(self, command: Sequence[Argument]) -> list[str]:
        """The command line that runs `command` inside, in place (same pid)."""
        return ["nsenter", "-t", str(self.pid), "-n", "--", *map(str, command)]

    def environ(self) -> dict[str, str] | None:
        """The environment that programs get; None: this process's own."""
        return None

    def popen(
        self,
        command: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start `command` inside. `env` is added to the environment; options as of Popen."""
        return subprocess.Popen(self.argv(command), env=self._with(env), **options)

    def run(
        self,
        command: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 30.0,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` inside, with its output as text.

        Raises AssertionError with all of its output where `check` and it exits other than 0, and
        subprocess.TimeoutExpired after `timeout` seconds.
        """
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(
            self.argv(command),
            env=self._with(env),
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )
        if check and done.returncode != 0:
            raise AssertionError(_complaint(self.name, command, done))
        return done

    async def arun(
        self,
        command: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 30.0,
    ) -> subprocess.CompletedProcess[str]:
        """`run` on an event loop. Raises TimeoutError after `timeout` seconds."""
        process = await asyncio.create_subprocess_exec(
            *self.argv(command),
            env=self._with(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(timeout):
                out, err = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        done = subprocess.CompletedProcess(
            [str(word) for word in command], process.returncode or 0, out.decode(), err.decode()
        )
        if check and done.returncode != 0:
            raise AssertionError(_complaint(self.name, command, done))
        return done

    def _with(self, env: Mapping[str, str] | None) -> dict[str, str] | None:
        base = self.environ()
        if env is None:
            return base
        return {**(base if base is not None else os.environ), **env}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._holder is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._holder


def _complaint(
    name: str, command: Sequence[Argument], done: subprocess.CompletedProcess[str]
) -> str:
    line = " ".join(map(str, command))
    return f"{name}: {line} → {done.returncode}\n{done.stdout}{done.stderr}"
