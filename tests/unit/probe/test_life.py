"""A running probe: what it is told, what it answers, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time

import pytest

from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.probe.stream import stream_samples
from gpuhop_tui.problem import ErrorKind, ProblemError
from tests.unit.probe.login import Login, line_of_ours


@pytest.mark.parametrize("heartbeat", [0.3, 1.0])
async def test_silence_of_the_laptop_ends_the_probe(login: Login, heartbeat: float) -> None:
    await login.one()
    process = await login.start(probe_command(0.2, heartbeat))
    await line_of_ours(process)
    started = time.monotonic()
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.read(), 10)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert time.monotonic() - started >= heartbeat * 0.5


@pytest.mark.parametrize("pinged", [False, True])
async def test_an_output_that_takes_nothing_ends_with_the_laptops_silence(
    login: Login, pinged: bool
) -> None:
    """The link has stalled: whatever the probe writes blocks, its first line included."""
    await login.one()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 12))
    os.set_blocking(writer, True)
    process = await asyncio.create_subprocess_exec(
        *login.shell,
        probe_command(0.2, 1.0),
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        env=login.environ(),
    )
    os.close(writer)
    assert process.stdin is not None
    if pinged:
        process.stdin.write(b"ping 1\n" * 3)
    try:
        assert await asyncio.wait_for(process.wait(), 15) == 0
    finally:
        os.close(reader)


async def test_pings_keep_the_probe_alive_and_are_answered(login: Login) -> None:
    await login.one()
    process = await login.start(probe_command(0.2, 1.0))
    assert process.stdin is not None
    number, started = 0, time.monotonic()
    while time.monotonic() < started + 2.5:
        message = await line_of_ours(process)
        if "pong" in message:
            assert message["pong"] == number
        else:  # a sample: they set the pace
            number += 1
            process.stdin.write(b"ping %d\n" % number)
    assert number > 5
    assert process.returncode is None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 10)


async def test_commands_of_the_laptop(login: Login) -> None:
    await login.one()
    process = await login.start(probe_command(600))
    assert process.stdin is not None
    first = await line_of_ours(process)
    process.stdin.write(b"nonsense\n\xff\nping x\ninterval y\nfull\n")
    again = await line_of_ours(process)
    assert (again["seq"], again["full"]) == (2, first["full"])
    process.stdin.write(b"interval 0.2\n")
    assert "patch" in await line_of_ours(process)
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_closed_output_ends_the_probe(login: Login) -> None:
    await login.one()
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *login.shell,
        probe_command(0.2),
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        env=login.environ(),
    )
    os.close(writer)
    await asyncio.get_running_loop().run_in_executor(None, os.read, reader, 4096)
    os.close(reader)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_gap_is_healed_by_a_whole_document(login: Login) -> None:
    """Between probe and laptop a filter swallows one line of the stream."""
    swallow = "sed -u -e '6d'" if sys.platform == "linux" else "cat"
    login.shell = ["/bin/sh", "-c", f'(eval "$0") | {swallow}']
    async with login.samples() as samples:
        seen = [await asyncio.wait_for(anext(samples), 20) for _ in range(6)]
    assert all(len(sample.gpus) == 2 for sample in seen)


async def test_round_trips_are_reported(login: Login) -> None:
    process = await login.start(probe_command(0.2))
    trips: list[float] = []
    async with contextlib.aclosing(
        stream_samples(process, "gpu-01", 0.2, on_rtt=trips.append)
    ) as samples:
        async with asyncio.timeout(20):
            async for _ in samples:
                if trips:
                    break
    await asyncio.wait_for(process.wait(), 10)
    assert 0 < trips[0] < 5


async def test_a_silent_probe_is_a_named_problem(login: Login) -> None:
    login.shell = ["/bin/sh", "-c", "echo waiting for a licence >&2; cat"]
    process = await login.start("ignored")
    with pytest.raises(ProblemError) as raised:
        await anext(stream_samples(process, "gpu-01", 0.2, start_seconds=0.5))
    assert raised.value.problem.kind is ErrorKind.NO_PROBE
    assert "waiting for a licence" in raised.value.problem.message
    assert raised.value.problem.hop == "gpu-01"
    await asyncio.wait_for(process.wait(), 10)


async def test_a_probe_that_dies_is_a_named_problem(login: Login) -> None:
    login.shell = ["/bin/sh", "-c", "echo '\033[31mdisk quota exceeded' >&2; exit 3"]
    process = await login.start("ignored")
    with pytest.raises(ProblemError, match="disk quota exceeded"):
        await anext(stream_samples(process, "gpu-01", 0.2))
    await process.wait()
