"""Which GPUs of a node a container gets: what was asked for, against what is there and free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpuhop_tui.containers.model import Container, GpuGrant
from gpuhop_tui.containers.spec import Gpus


@dataclass(frozen=True, slots=True)
class NodeMig:
    """One MIG instance of a GPU at this moment: it is free or in use by itself."""

    uuid: str
    name: str = ""  # its profile, such as "1g.10gb"
    users: tuple[str, ...] = ()
    free: bool = True


@dataclass(frozen=True, slots=True)
class NodeGpu:
    """One GPU of a node at this moment, as a form shows it."""

    index: int
    uuid: str | None
    name: str = ""
    utilization_percent: int | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    users: tuple[str, ...] = ()  # of the processes on it
    free: bool = True
    lost: str | None = None
    mig: tuple[NodeMig, ...] = ()

    @property
    def device_id(self) -> str:
        """How the engine is told of it: the UUID does not change when the node boots anew."""
        return self.uuid or str(self.index)


def find(identity: str, gpus: Sequence[NodeGpu]) -> NodeGpu | None:
    """The GPU that an index, a UUID (or its beginning), or the UUID of a MIG instance names."""
    for gpu in gpus:
        if identity == str(gpu.index) or (gpu.uuid is not None and identity == gpu.uuid):
            return gpu
        if instance(identity, gpu) is not None:
            return gpu
    begun = [gpu for gpu in gpus if len(identity) >= 8 and (gpu.uuid or "").startswith(identity)]
    return begun[0] if len(begun) == 1 else None


def instance(identity: str, gpu: NodeGpu) -> NodeMig | None:
    """The MIG instance of this GPU that has that UUID."""
    return next((each for each in gpu.mig if each.uuid == identity), None)


def chosen(wanted: Gpus, gpus: Sequence[NodeGpu], taken: Iterable[NodeGpu] = ()) -> list[NodeGpu]:
    """The GPUs that `wanted` comes to: for a count the freest ones, those that running containers
    were given last. What is not there is left out."""
    if wanted.all:
        return list(gpus)
    if wanted.ids:
        found = (find(identity, gpus) for identity in wanted.ids)
        return list(dict.fromkeys(gpu for gpu in found if gpu is not None))
    given = set(taken)

    def reluctance(gpu: NodeGpu) -> tuple[bool, bool, bool, int, int]:
        return (
            gpu.lost is not None,
            gpu in given,
            not gpu.free,
            gpu.memory_used_bytes or 0,
            gpu.index,
        )

    return sorted(gpus, key=reluctance)[: wanted.count]


def granted(grant: GpuGrant | None, gpus: Sequence[NodeGpu]) -> list[NodeGpu]:
    """The GPUs that a container holds."""
    if grant is None:
        return []
    if grant.all:
        return list(gpus)
    if grant.ids:
        found = (find(identity, gpus) for identity in grant.ids)
        return list(dict.fromkeys(gpu for gpu in found if gpu is not None))
    return sorted(gpus, key=lambda gpu: gpu.index)[: grant.count or 0]


def holders(containers: Iterable[Container], gpus: Sequence[NodeGpu]) -> dict[NodeGpu, list[str]]:
    """The names of the running containers that were given each GPU by name or number. Those with
    all GPUs are left out: they are there to share."""
    found: dict[NodeGpu, list[str]] = {}
    for container in containers:
        if container.running and container.gpus is not None and not container.gpus.all:
            for gpu in granted(container.gpus, gpus):
                found.setdefault(gpu, []).append(container.name)
    return found
