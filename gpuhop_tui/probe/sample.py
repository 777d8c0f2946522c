"""One sample of a node: its GPUs, the processes on them, and the machine itself.

Every figure may be None; then `missing` of its owner names the reason. Zero is a figure.
Units are in the names: bytes, percent (0 to 100), celsius, watts, MHz, seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gpuhop_tui.problem import Problem

Source = Literal["nvml", "nvidia-smi", "simulated"]

# The figures of each, by field: every one that is None has its reason in `missing`.
GPU_FIGURES = (
    "uuid",
    "name",
    "utilization_percent",
    "memory_used_bytes",
    "memory_total_bytes",
    "temperature_celsius",
    "power_watts",
    "power_limit_watts",
    "fan_percent",
    "sm_clock_mhz",
    "throttle_reasons",
    "ecc_uncorrected",
    "pcie_generation",
    "pcie_generation_max",
    "pcie_width",
    "pcie_width_max",
)
INSTANCE_FIGURES = ("uuid", "name", "memory_used_bytes", "memory_total_bytes")
HOST_FIGURES = (
    "hostname",
    "boot_time",
    "cpu_count",
    "cpu_percent",
    "memory_used_bytes",
    "memory_total_bytes",
    "load_1",
)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that holds GPU memory or runs on a GPU, as seen on the host."""

    pid: int  # the host's
    user: str | None
    command: str | None
    memory_bytes: int | None  # on the GPU it is listed under
    started_at: float | None
    container: str | None = None  # name
    container_id: str | None = None
    tmux_session: str | None = None
    tmux: str | None = (
        None  # pane above it, "SOCKET,$SESSION-ID,%PANE-ID": the probe knows no names; or "@PID" of
        # the pane's first process, as in its container, where no more may be read
    )
    pod: str | None = None  # uid of its Kubernetes pod


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """A job as the node's processes tell it: the root, such as torchrun, and all below it.

    `memory_bytes` is resident memory; pages that processes share count once for each of them.
    """

    pid: int  # of the root
    gpu_pids: tuple[int, ...]  # of its processes that are on GPUs
    user: str | None = None
    command: str | None = None
    started_at: float | None = None
    container_id: str | None = None
    container: str | None = None
    tmux: str | None = None  # pane above it, as in Process
    pod: str | None = None  # uid of its Kubernetes pod
    cwd: str | None = None
    processes: int | None = None  # how many it has
    cpu_percent: float | None = None  # of one core, all together: may exceed 100
    busiest_percent: float | None = None  # of one core, of the busiest of them
    waiting: int | None = None  # in uninterruptible sleep: mostly on a disk
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process that was on a GPU, or the root of one's tree, has ended."""

    pid: int
    started_at: float | None
    at: float  # the laptop's clock
    status: int | None  # as wait(2) has it
    out_of_memory: bool = False  # the kernel killed it for memory, as far as its cgroup tells
    missing: str | None = None  # why there is no status


@dataclass(frozen=True, slots=True)
class MigInstance:
    """One MIG compute instance of a GPU."""

    index: int
    uuid: str | None
    name: str | None  # profile, such as "1g.10gb"
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    missing: dict[str, str] = field(default_factory=dict)
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """A note on a GPU, by which somebody asks for it: advisory, and told until it has expired."""

    user: str  # whose file it is: nobody can write one for another
    until: float  # the node's clock
    note: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. `lost` says why it no longer answers (then the figures are None).

    `processes` of a GPU in MIG mode are those of all its instances.
    """

    index: int
    uuid: str | None = None
    name: str | None = None
    utilization_percent: int | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    fan_percent: int | None = None
    sm_clock_mhz: int | None = None
    throttle_reasons: tuple[str, ...] | None = None  # None: unknown; (): not throttled
    ecc_uncorrected: int | None = None
    pcie_generation: int | None = None  # of the link now: an idle GPU lets it fall back
    pcie_generation_max: int | None = None  # that GPU and machine together can
    pcie_width: int | None = None  # lanes
    pcie_width_max: int | None = None
    mig: tuple[MigInstance, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    processes: tuple[Process, ...] = ()
    lost: str | None = None
    reservations: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True)
class Disk:
    """Free and total bytes of the file system that holds `path`."""

    path: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Host:
    """The machine around the GPUs."""

    hostname: str | None = None
    boot_time: float | None = None
    cpu_count: int | None = None
    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    load_1: float | None = None
    disks: tuple[Disk, ...] = ()  # "/" and the container store, where there is one
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a node said at one moment."""

    source: Source
    sampled_at: float  # the laptop's clock at arrival
    driver: str | None = None
    cuda: str | None = None
    gpus: tuple[Gpu, ...] = ()
    host: Host = field(default_factory=Host)
    jobs: tuple[ProcessTree, ...] | None = None  # None: the source tells of no trees
    endings: tuple[Ending, ...] = ()  # of the last two minutes
    problem: Problem | None = None  # no driver, driver mismatch, no permission: gpus is empty
