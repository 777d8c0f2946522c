"""The shipped probe, started as on a node, over the real pynvml and the stand-in for NVML."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.probe.stream import stream_samples
from gpuhop_tui.problem import ErrorKind
from tests.lab.nvml import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    LIB_RM_VERSION_MISMATCH,
    NO_PERMISSION,
    NOT_SUPPORTED,
    UNKNOWN,
    FakeNvml,
    build,
    listed,
)
from tests.lab.pythons import oldest_and_own

GIB = 1 << 30
INTERVAL = 0.2


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("nvml")
    for variant in ("modern", "middle", "old", "wide", "narrow"):
        build(base / variant, variant)
    return base


@dataclass
class Node:
    """A home directory, a Python first on the PATH, and the hardware of the stand-in."""

    home: Path
    libraries: Path
    nvml: FakeNvml
    variant: str = "modern"
    environment: dict[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        path = f"{self.home / 'bin'}:/usr/bin:/bin"
        plain = {"HOME": str(self.home), "PATH": path, "LC_ALL": "C"}
        return plain | self.nvml.environment(self.libraries / self.variant) | self.environment

    @contextlib.asynccontextmanager
    async def samples(self, interval: float = INTERVAL) -> AsyncIterator[AsyncIterator[Sample]]:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            probe_command(interval),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ(),
            cwd=self.home,
        )
        try:
            async with contextlib.aclosing(stream_samples(process, "gpu-01", interval)) as samples:
                yield samples
        finally:
            await asyncio.wait_for(process.wait(), 10)


@pytest.fixture(params=oldest_and_own(), ids=lambda path: path.name)
def node(request: pytest.FixtureRequest, tmp_path: Path, libraries: Path) -> Node:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(request.param)
    return Node(tmp_path, libraries, FakeNvml(tmp_path / "nvml.conf"))


@contextlib.contextmanager
def sleepers(*seconds: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that hold GPU memory, as far as the stand-in knows."""
    children = [subprocess.Popen(["sleep", each]) for each in seconds]
    try:
        yield children
    finally:
        for child in children:
            child.kill()
            child.wait()


async def first(samples: AsyncIterator[Sample]) -> Sample:
    return await asyncio.wait_for(anext(samples), 15)


async def until(samples: AsyncIterator[Sample], condition: object, timeout: float = 20) -> Sample:
    """The first sample that `condition` holds for."""
    assert callable(condition)
    async with asyncio.timeout(timeout):
        async for sample in samples:
            if condition(sample):
                return sample
    raise AssertionError("the probe ended")


async def test_all_figures(node: Node) -> None:
    with sleepers("60") as (child,):
        node.nvml.processes(0, compute={child.pid: 3 * GIB}, graphics={os.getpid(): 5 << 20})
        node.nvml.gpu(1, throttle="0x44", power=61_400)
        async with node.samples() as samples:
            sample = await first(samples)
    assert (sample.source, sample.driver, sample.cuda) == ("nvml", "550.54.15", "12.4")
    gpu, other = sample.gpus
    assert gpu.name == "NVIDIA A100-SXM4-80GB"
    assert gpu.utilization_percent == 10
    assert (gpu.memory_used_bytes, gpu.memory_total_bytes) == (GIB, 80 * GIB)
    assert (gpu.temperature_celsius, gpu.fan_percent, gpu.sm_clock_mhz) == (40, 30, 1410)
    assert (gpu.power_watts, gpu.power_limit_watts, gpu.ecc_uncorrected) == (100, 400, 0)
    assert gpu.throttle_reasons == ()
    assert gpu.missing == {}
    assert other.throttle_reasons == ("power cap", "thermal (hardware)")
    assert other.power_watts == 61
    by_pid = {process.pid: process for process in gpu.processes}
    assert by_pid[child.pid].command == "sleep 60"
    assert by_pid[child.pid].memory_bytes == 3 * GIB
    assert abs((by_pid[child.pid].started_at or 0) - time.time()) < 60
    assert by_pid[os.getpid()].user is not None
    assert sample.host.hostname == os.uname().nodename
    assert sample.host.memory_total_bytes
    assert sample.host.disks[0].path == "/"


async def test_a_change_shows_at_the_next_sample(node: Node) -> None:
    async with node.samples() as samples:
        await first(samples)
        node.nvml.gpu(0, utilization=77)
        changed = time.monotonic()
        await until(samples, lambda sample: sample.gpus[0].utilization_percent == 77)
        assert time.monotonic() - changed < INTERVAL + 1


async def test_the_link_is_read_anew_when_the_gpu_begins_to_work(node: Node) -> None:
    node.nvml.gpu(0, utilization=0, pcie_generation=1, pcie_width=8)
    node.nvml.fail("nvmlDeviceGetCurrPcieLinkWidth", NOT_SUPPORTED, gpu=1)
    async with node.samples() as samples:
        gpu, other = (await first(samples)).gpus
        assert (gpu.pcie_generation, gpu.pcie_generation_max) == (1, 4)
        assert (gpu.pcie_width, gpu.pcie_width_max) == (8, 16)
        assert other.missing == {"pcie_width": "not supported"}
        node.nvml.gpu(0, utilization=90, pcie_generation=4)
        sample = await until(samples, lambda sample: sample.gpus[0].utilization_percent == 90)
        assert sample.gpus[0].pcie_generation == 4


async def test_blank_figures_have_reasons(node: Node) -> None:
    node.nvml.fail("nvmlDeviceGetFanSpeed", NOT_SUPPORTED, gpu=0)
    node.nvml.fail("nvmlDeviceGetTotalEccErrors", NO_PERMISSION, gpu=0)
    node.nvml.fail("nvmlDeviceGetPowerUsage", UNKNOWN, gpu=0)
    node.nvml.fail("nvmlDeviceGetComputeRunningProcesses", NO_PERMISSION, gpu=0)
    async with node.samples() as samples:
        gpu, other = (await first(samples)).gpus
    assert gpu.missing == {
        "fan_percent": "not supported",
        "ecc_uncorrected": "no permission",
        "power_watts": "unknown error",
        "processes": "no permission",
    }
    assert gpu.utilization_percent == 10
    assert other.missing == {}


@pytest.mark.parametrize("variant", ["middle", "old", "wide", "narrow"])
async def test_struct_versions_of_process_lists(node: Node, variant: str) -> None:
    with sleepers("60", "61", "62") as children:
        node.variant = variant
        pids = {child.pid: (1 + at) * GIB for at, child in enumerate(children)}
        node.nvml.processes(0, compute=pids)
        async with node.samples() as samples:
            gpu = (await first(samples)).gpus[0]
    assert {process.pid: process.memory_bytes for process in gpu.processes} == pids
    assert "processes" not in gpu.missing
    assert gpu.throttle_reasons == ()
    assert gpu.temperature_celsius == 40


async def test_many_processes_and_memory_that_is_not_known(node: Node) -> None:
    node.nvml.processes(0, compute={os.getpid(): None})
    node.nvml.processes(1, compute=dict.fromkeys(range(3000000, 3000100), GIB))
    async with node.samples() as samples:
        gpu, other = (await first(samples)).gpus
    assert gpu.processes[0].memory_bytes is None
    assert len(other.processes) == 100
    assert other.missing["processes"].startswith("100 of 100 process ids are not in /proc")


async def test_mig(node: Node) -> None:
    node.nvml.gpu(1, mig=2, utilization=None)
    for index, pid in enumerate((os.getpid(), os.getppid())):
        node.nvml.instance(
            1,
            index,
            name="NVIDIA A100-SXM4-80GB MIG 1g.10gb",
            uuid=f"MIG-{index}",
            memory_used=GIB,
            memory_total=10 * GIB,
            compute=listed({pid: GIB}),
        )
    async with node.samples() as samples:
        gpu, mig = (await first(samples)).gpus
    assert gpu.mig == ()
    assert mig.missing == {"utilization_percent": "MIG is on"}
    assert [instance.name for instance in mig.mig] == ["1g.10gb", "1g.10gb"]
    assert [instance.uuid for instance in mig.mig] == ["MIG-0", "MIG-1"]
    assert mig.mig[0].memory_total_bytes == 10 * GIB
    assert [process.pid for process in mig.mig[1].processes] == [os.getppid()]
    assert {process.pid for process in mig.processes} == {os.getpid(), os.getppid()}


async def test_mig_instances_that_may_not_be_listed(node: Node) -> None:
    node.nvml.gpu(1, mig=2)
    node.nvml.fail("nvmlDeviceGetMigDeviceHandleByIndex", NO_PERMISSION, gpu=1)
    async with node.samples() as samples:
        gpu = (await first(samples)).gpus[1]
    assert gpu.mig == ()
    assert gpu.missing == {"mig": "no permission"}


async def test_a_lost_gpu_leaves_the_others_and_comes_back(node: Node) -> None:
    async with node.samples() as samples:
        await first(samples)
        node.nvml.fail("", GPU_IS_LOST, gpu=0)
        sample = await until(samples, lambda sample: sample.gpus[0].lost)
        assert sample.gpus[0].lost == "GPU is lost (fallen off the bus)"
        assert sample.gpus[0].name == "NVIDIA A100-SXM4-80GB"
        assert sample.gpus[0].utilization_percent is None
        assert sample.gpus[1].utilization_percent == 20
        node.nvml.heal("", gpu=0)
        await until(samples, lambda sample: sample.gpus[0].utilization_percent == 10)


async def test_a_hanging_gpu_leaves_the_others_and_comes_back(node: Node) -> None:
    async with node.samples() as samples:
        await first(samples)
        node.nvml.fail("nvmlDeviceGetPowerUsage", "hang", gpu=0)
        sample = await until(samples, lambda sample: sample.gpus[0].lost)
        assert "not answering since" in (sample.gpus[0].lost or "")
        node.nvml.gpu(1, utilization=99)
        await until(samples, lambda sample: sample.gpus[1].utilization_percent == 99, 3)
        node.nvml.heal("nvmlDeviceGetPowerUsage", gpu=0)
        await until(samples, lambda sample: sample.gpus[0].utilization_percent == 10, 3)


async def test_the_driver_goes_and_comes_back_as_another(node: Node) -> None:
    async with node.samples() as samples:
        await first(samples)
        node.nvml.fail("", DRIVER_NOT_LOADED)
        node.nvml.fail("nvmlInit", LIB_RM_VERSION_MISMATCH)
        sample = await until(
            samples,
            lambda sample: sample.problem and sample.problem.kind is ErrorKind.DRIVER_MISMATCH,
        )
        assert sample.gpus == ()
        assert sample.host.hostname
        node.nvml.set(driver="560.35.03", count=1)
        node.nvml.heal("")
        node.nvml.heal("nvmlInit")
        sample = await until(samples, lambda sample: sample.problem is None)
        assert sample.driver == "560.35.03"
        assert len(sample.gpus) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (LIB_RM_VERSION_MISMATCH, ErrorKind.DRIVER_MISMATCH),
        (DRIVER_NOT_LOADED, ErrorKind.NO_DRIVER),
        (NO_PERMISSION, ErrorKind.NO_PERMISSION),
        (UNKNOWN, ErrorKind.NO_DRIVER),
    ],
)
async def test_nvml_does_not_start(node: Node, code: int, kind: ErrorKind) -> None:
    node.nvml.fail("nvmlInit", code)
    async with node.samples() as samples:
        sample = await first(samples)
    assert sample.problem is not None
    assert (sample.problem.kind, sample.problem.hop) == (kind, "gpu-01")
    assert sample.problem.message
    assert sample.problem.advice
    assert sample.host.hostname


async def test_no_library(node: Node) -> None:
    node.environment["LD_LIBRARY_PATH"] = "/nonexistent"
    async with node.samples() as samples:
        sample = await first(samples)
    assert sample.problem is not None
    assert sample.problem.kind is ErrorKind.NO_DRIVER
    assert "library not found" in sample.problem.message


async def test_nvml_hangs_as_it_starts(node: Node) -> None:
    node.nvml.fail("nvmlInit", "hang")
    async with node.samples() as samples:
        sample = await first(samples)
        assert sample.problem is not None
        assert "nvmlInit has hung" in sample.problem.message
        assert sample.host.hostname
        node.nvml.heal("nvmlInit")
        sample = await until(samples, lambda sample: sample.problem is None)
        assert len(sample.gpus) == 2
