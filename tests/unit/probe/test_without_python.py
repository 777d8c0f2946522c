"""The same command where there is no Python: nvidia-smi is looped, or the reason is named."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.probe.stream import stream_samples
from gpuhop_tui.problem import ErrorKind, ProblemError
from tests.lab.waiting import await_until
from tests.unit.probe.login import Login, script

SMI = """
row="0, 1, GPU-aa, NVIDIA A100, 550.54.15, 83, 10, 81920, 61"
case "$*" in
*--query-compute-apps*) row="GPU-aa, $$, 54000, python" ;;
*power.draw*) row="$row, 312.45, 400.00, [N/A], 1410, 0x4, 0, Disabled" ;;
esac
echo "$row"
case "$*" in
*--loop-ms*) echo $$ >> "$HOME/pids"; while sleep 0.1; do echo "$row"; done ;;
esac
"""


def loops(login: Login) -> list[int]:
    """Process ids of the nvidia-smi loops that run."""
    file = login.home / "pids"
    pids = [int(line) for line in file.read_text().split()] if file.exists() else []
    return [pid for pid in pids if running(pid)]


def running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


async def test_without_python_nvidia_smi_is_looped(bare: Login) -> None:
    script(bare.bin / "nvidia-smi", SMI)
    async with bare.samples() as samples:
        seen = [await asyncio.wait_for(anext(samples), 20) for _ in range(3)]
        assert len(loops(bare)) == 2
    assert {sample.source for sample in seen} == {"nvidia-smi"}
    assert seen[0].gpus[0].utilization_percent == 83
    assert seen[0].gpus[0].power_watts == 312.45
    assert any(sample.gpus[0].processes for sample in seen)
    await await_until(lambda: not loops(bare), "the loops to end with the standard input")


async def test_an_nvidia_smi_that_knows_fewer_fields(bare: Login) -> None:
    refuse = 'case "$*" in *power.draw*) echo "Field is not valid"; exit 2 ;; esac\n'
    script(bare.bin / "nvidia-smi", refuse + SMI)
    sample = await bare.one()
    assert sample.gpus[0].temperature_celsius == 61
    assert sample.gpus[0].missing["power_watts"]


async def test_loops_end_when_the_laptop_falls_silent(bare: Login) -> None:
    script(bare.bin / "nvidia-smi", SMI)
    process = await bare.start(probe_command(0.2, 1))
    await await_until(lambda: len(loops(bare)) == 2, "both loops")
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.read(), 20)
    await asyncio.wait_for(process.wait(), 10)
    await await_until(lambda: not loops(bare), "the loops to end")


async def test_a_loop_that_dies_is_started_again(bare: Login) -> None:
    script(bare.bin / "nvidia-smi", SMI)
    process = await bare.start(probe_command(0.2, 20))
    assert process.stdin is not None
    await await_until(lambda: len(loops(bare)) == 2, "both loops")
    before = loops(bare)
    os.kill(before[0], signal.SIGKILL)
    await await_until(lambda: len(loops(bare)) == 1, "one to die")

    def both_again() -> bool:
        process.stdin.write(b"ping 1\n")  # type: ignore[union-attr]
        return len(set(loops(bare)) - set(before)) == 2

    await await_until(both_again, "both loops, new")
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 10)
    await await_until(lambda: not loops(bare), "the loops to end")


@pytest.mark.parametrize(
    ("complaint", "status", "kind"),
    [
        ("NVIDIA-SMI has failed because it could not talk to the driver", 9, ErrorKind.NO_DRIVER),
        ("NVML: Driver/library version mismatch", 18, ErrorKind.DRIVER_MISMATCH),
    ],
)
async def test_a_broken_driver_says_so_and_is_tried_again(
    bare: Login, complaint: str, status: int, kind: ErrorKind
) -> None:
    script(bare.bin / "nvidia-smi", f"echo '{complaint}'; exit {status}")
    process = await bare.start(probe_command(0.2))
    async with contextlib.aclosing(stream_samples(process, "gpu-01", 0.2)) as samples:
        sample = await asyncio.wait_for(anext(samples), 20)
        assert sample.problem is not None
        assert sample.problem.kind is kind
        assert complaint in sample.problem.message
        script(bare.bin / "nvidia-smi", SMI)
        async with asyncio.timeout(20):
            async for sample in samples:
                if sample.problem is None:
                    break
        assert sample.gpus[0].utilization_percent == 83
    await asyncio.wait_for(process.wait(), 10)


async def test_neither_python_nor_nvidia_smi(bare: Login) -> None:
    with pytest.raises(ProblemError) as raised:
        await bare.one()
    problem = raised.value.problem
    assert (problem.kind, problem.hop) == (ErrorKind.NO_PROBE, "gpu-01")
    assert "neither Python" in problem.message
    assert "python3" in problem.advice
