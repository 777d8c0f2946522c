"""Containers and images of a node, as plain immutable data.

Times are seconds since the epoch by the node's clock, sizes are bytes. A figure that is None has
its reason in `missing`. Text comes from the engine with its control characters shown as `?`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gpuhop_tui.problem import Problem

State = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the container, and where on the node it is published, if it is."""

    container_port: int
    protocol: str = "tcp"
    host_port: int | None = None
    host_ip: str = ""  # "": every address

    def __str__(self) -> str:
        suffix = "" if self.protocol == "tcp" else f"/{self.protocol}"
        if self.host_port is None:
            return f"{self.container_port}{suffix}"
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return f"{host + ':' if host else ''}{self.host_port}→{self.container_port}{suffix}"


@dataclass(frozen=True, slots=True)
class GpuGrant:
    """The GPUs that a container was given: all, the first `count`, or `ids` (indexes, UUIDs of
    GPUs or of MIG instances, as they were written)."""

    all: bool = False
    count: int | None = None
    ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.all:
            return "all"
        return ",".join(self.ids) if self.ids else f"{self.count} of them"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the node, or a volume, in the container."""

    kind: str  # "bind", "volume", "tmpfs"
    source: str  # a path, or a volume's name
    target: str
    read_only: bool = False
    anonymous: bool = False  # a volume that nobody named: it goes with the container


@dataclass(frozen=True, slots=True)
class LostGpus:
    """What became of the GPUs of a container that no longer sees them."""

    seen: int | None  # GPUs that it still sees; None: it does not come to an answer
    given: int | None  # None: not known how many "all" are
    cause: str
    advice: str

    def __str__(self) -> str:
        what = "its GPUs do not answer" if self.seen is None else "lost its GPUs"
        return f"{what}: {self.cause}"


@dataclass(frozen=True, slots=True)
class Container:
    """One container. `key` is unique in the fleet."""

    node: str
    id: str
    name: str
    image: str  # as it was named at its making
    image_id: str
    command: str
    state: str  # a `State`
    health: str | None  # "starting", "healthy", "unhealthy"; None: it has no check
    created_at: float | None
    started_at: float | None  # None: never started
    finished_at: float | None  # None: never ended
    exit_code: int | None  # of the last end; None: never ended
    error: str  # why the engine could not start it, in its words
    oom_killed: bool
    restart_count: int
    restart_policy: str
    tty: bool
    user: str
    pid: int | None  # the host's, of its first process
    ports: tuple[Port, ...] = ()
    gpus: GpuGrant | None = None
    mounts: tuple[Mount, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    cpu_percent: float | None = None  # 100 is one core
    memory_bytes: int | None = None  # without the file cache
    memory_limit_bytes: int | None = None
    gpu_memory_bytes: int | None = None  # of its processes, on all GPUs
    lost_gpus: LostGpus | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return self.node, self.id

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class Image:
    """One image."""

    id: str
    tags: tuple[str, ...]  # none: it was replaced by a newer build or pull
    size_bytes: int
    created_at: float | None
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What an engine keeps on disk, in bytes; `reclaimable` is what no container needs."""

    images_bytes: int
    containers_bytes: int
    volumes_bytes: int
    build_cache_bytes: int
    reclaimable_bytes: int


@dataclass(frozen=True, slots=True)
class Listing:
    """All that one engine holds, at one moment."""

    engine: str = ""  # such as "docker 27.3.1"
    containers: tuple[Container, ...] = ()  # running ones first, then the newest
    images: tuple[Image, ...] = ()  # the newest first
    disk: DiskUse | None = None  # None: not looked at yet
    disk_problem: Problem | None = None
