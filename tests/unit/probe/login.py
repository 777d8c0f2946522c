"""A home directory that a probe is started in, as a login shell would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.probe.protocol import parse_line
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.probe.stream import stream_samples

SPEC = json.dumps({"seed": 1, "gpus": [{"name": "A100", "profile": "training"}] * 2})
TOOLS = ("sh", "env", "timeout", "head", "sed", "sleep", "cat", "echo")


@dataclass
class Login:
    """A home directory and what non-interactive logins to it find."""

    home: Path
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    @property
    def cache(self) -> Path:
        return self.home / ".cache" / "gpuhop-tui"

    def environ(self) -> dict[str, str]:
        plain = {"HOME": str(self.home), "PATH": f"{self.bin}:/usr/bin:/bin", "LC_ALL": "C"}
        return plain | {"GPUHOP_SIMULATED": SPEC} | self.environment

    async def start(self, command: str) -> asyncio.subprocess.Process:
        pipe = subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self.shell,
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=self.environ(),
            cwd=self.home,
        )

    @contextlib.asynccontextmanager
    async def samples(self, interval: float = 0.2) -> AsyncIterator[AsyncIterator[Sample]]:
        process = await self.start(probe_command(interval))
        try:
            async with contextlib.aclosing(stream_samples(process, "gpu-01", interval)) as samples:
                yield samples
        finally:
            await asyncio.wait_for(process.wait(), 10)

    async def one(self) -> Sample:
        async with self.samples() as samples:
            return await asyncio.wait_for(anext(samples), 20)


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


async def line_of_ours(process: asyncio.subprocess.Process) -> dict[str, object]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := await process.stdout.readline():
            if message := parse_line(line):
                return message
    raise AssertionError("the probe ended")
