"""What the probe costs a node: eight GPUs, 64 processes, a sample every two seconds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.probe.stream import stream_samples
from tests.bench.rows import Row
from tests.lab.nvml import GIB, FakeNvml, build

GPUS, PROCESSES, INTERVAL = 8, 64, 2.0
SAMPLES = 15
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        home = Path(directory)
        nvml = FakeNvml(home / "nvml.conf", gpus=GPUS)
        sleepers = [subprocess.Popen(["sleep", "600"]) for _ in range(PROCESSES)]
        for sleeper in sleepers:
            stack.callback(sleeper.wait)
            stack.callback(sleeper.kill)
        for index in range(GPUS):
            share = sleepers[index::GPUS]
            nvml.processes(index, compute={each.pid: GIB for each in share})
        environment = {
            "HOME": directory,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **nvml.environment(build(home / "lib")),
        }
        cpu, rss, size = asyncio.run(_run(nvml, environment))
    what = f"probe with {GPUS} GPUs and {PROCESSES} processes, every {INTERVAL:g} s:"
    yield Row(f"{what} CPU of one core", f"{cpu:.2f} %", "", cpu, 1.0, "%")
    yield Row(f"{what} resident memory", f"{rss / 1e6:.1f} MB", "", rss / 1e6, 30, "MB")
    yield Row(f"{what} bytes a sample", f"{size:.0f} B", "", size / 1000, 2, "kB")


async def _run(nvml: FakeNvml, environment: dict[str, str]) -> tuple[float, int, float]:
    """CPU in percent of a core, resident bytes, and bytes a sample, once it runs steadily."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        probe_command(INTERVAL),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    output = _Counted(process.stdout)
    count, begun, cpu, received = 0, 0.0, 0.0, 0
    async for _ in stream_samples(_Counting(process, output), "node", INTERVAL):
        if count == 2:  # started, cached, and every figure seen once
            begun, cpu, received = time.monotonic(), _cpu_seconds(process.pid), output.bytes
        if count == 2 + SAMPLES:
            break
        count += 1
        for index in range(GPUS):  # a busy node: every GPU changes every time
            nvml.gpu(index, utilization=(37 * count + 11 * index) % 100, power=90_000 + 997 * count)
    share = (_cpu_seconds(process.pid) - cpu) / (time.monotonic() - begun)
    rss = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * _PAGE
    size = (output.bytes - received) / SAMPLES
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
    return 100 * share, rss, size


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class _Counted:
    """A stream that counts what is read from it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.bytes = 0

    async def read(self, size: int) -> bytes:
        data: bytes = await self._stream.read(size)
        self.bytes += len(data)
        return data


class _Counting:
    """The process with its output counted."""

    def __init__(self, process: asyncio.subprocess.Process, output: _Counted) -> None:
        self.stdin = process.stdin
        self.stdout = output
        self.stderr = process.stderr
