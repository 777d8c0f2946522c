"""What the figures add up to: which GPUs are free, the totals, and which GPU is the freest.

Pure functions of the state. A figure that is unknown never counts as free.

Under MIG, NVML gives no utilization for the GPU as a whole. There the instances are counted: one is
free when it has no process and uses less than 5 % of its memory, and the GPU is free when all of
its instances are. That the whole GPU's utilization is unknown is then not held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gpuhop_tui.fleet.reservations import others_reservation
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import Gpu, MigInstance, Process
from gpuhop_tui.ssh.status import LinkState

FREE_BELOW_PERCENT = 5.0


@dataclass(frozen=True, slots=True)
class Totals:
    """GPUs of a node or a fleet. `gpus` = free + busy + unknown; stale and lost are unknown."""

    nodes: int = 0
    nodes_up: int = 0
    gpus: int = 0
    free: int = 0
    busy: int = 0
    users: frozenset[str] = frozenset()

    @property
    def unknown(self) -> int:
        return self.gpus - self.free - self.busy

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.nodes + other.nodes,
            self.nodes_up + other.nodes_up,
            self.gpus + other.gpus,
            self.free + other.free,
            self.busy + other.busy,
            self.users | other.users,
        )


@dataclass(frozen=True, slots=True)
class GpuPlace:
    """Where a GPU is."""

    node: str
    index: int


def memory_percent(item: Gpu | MigInstance) -> float | None:
    """Used memory in percent of the total, or None where either is unknown."""
    if item.memory_used_bytes is None or not item.memory_total_bytes:
        return None
    return 100.0 * item.memory_used_bytes / item.memory_total_bytes


def is_free_instance(instance: MigInstance) -> bool:
    """No process, and less than 5 % of its memory used."""
    memory = memory_percent(instance)
    return not instance.processes and memory is not None and memory < FREE_BELOW_PERCENT


def is_free(gpu: Gpu) -> bool:
    """No process, less than 5 % memory and less than 5 % utilization, all of them known.

    That the sample is live is the caller's to check: see `node_totals`.
    """
    if gpu.lost is not None or gpu.processes:
        return False
    if gpu.mig:
        return all(map(is_free_instance, gpu.mig))
    memory, utilization = memory_percent(gpu), gpu.utilization_percent
    if memory is None or utilization is None or "processes" in gpu.missing:
        return False
    return memory < FREE_BELOW_PERCENT and utilization < FREE_BELOW_PERCENT


def free_instances(gpu: Gpu) -> int:
    """How many MIG instances of a GPU are free."""
    return 0 if gpu.lost is not None else sum(map(is_free_instance, gpu.mig))


def is_busy(gpu: Gpu) -> bool:
    """In use beyond doubt: a process, or memory or utilization of 5 % and more."""
    if gpu.lost is not None:
        return False
    if gpu.processes or any(instance.processes for instance in gpu.mig):
        return True
    figures = [gpu.utilization_percent, memory_percent(gpu), *map(memory_percent, gpu.mig)]
    return any(figure is not None and figure >= FREE_BELOW_PERCENT for figure in figures)


def use_percent(gpu: Gpu) -> float | None:
    """How much of a GPU is in use: utilization; under MIG the share of its instances in use.

    None where that is unknown, or the GPU is lost.
    """
    if gpu.lost is not None:
        return None
    if gpu.mig:
        return 100.0 * (len(gpu.mig) - free_instances(gpu)) / len(gpu.mig)
    return gpu.utilization_percent


def gpu_processes(gpu: Gpu) -> Iterator[Process]:
    """The processes on a GPU, those on its MIG instances included, each place once."""
    yield from gpu.processes
    listed = {process.pid for process in gpu.processes}  # under MIG, those of the instances too
    for instance in gpu.mig:
        yield from (process for process in instance.processes if process.pid not in listed)


def is_live(node: NodeState) -> bool:
    """Whether the node's figures are those of now."""
    return node.sample is not None and not node.stale


def node_totals(node: NodeState) -> Totals:
    """The totals of one node. Old figures count as unknown, and their users not at all."""
    gpus = node.sample.gpus if node.sample else ()
    up = int(node.link.state is LinkState.UP)
    if not is_live(node):
        return Totals(nodes=1, nodes_up=up, gpus=len(gpus))
    free = sum(map(is_free, gpus))
    busy = sum(map(is_busy, gpus))
    users = {process.user for gpu in gpus for process in gpu_processes(gpu) if process.user}
    return Totals(1, up, len(gpus), free, busy, frozenset(users))


def fleet_totals(nodes: Iterable[NodeState]) -> Totals:
    """The totals of many nodes; a user on several of them is one user."""
    return sum(map(node_totals, nodes), Totals())


def node_utilization(node: NodeState) -> float | None:
    """The mean use of a node's GPUs in percent, or None where none is known and live."""
    if node.sample is None or node.stale:
        return None
    known = [use for gpu in node.sample.gpus if (use := use_percent(gpu)) is not None]
    return sum(known) / len(known) if known else None


def freest(state: FleetState) -> list[GpuPlace]:
    """Every GPU that is live and known, the freest first; of those that are free, the ones that
    somebody else has asked for come last.

    Free ones come before all others, those on nodes with more free GPUs first (a bigger job may
    follow); then by memory in use (what is full cannot be shared), then by utilization. Under MIG
    the share of instances in use stands for both. Equals keep the order of the config.
    """
    ranked: list[tuple[tuple[float, ...], GpuPlace]] = []
    for node in state.nodes:
        if node.sample is None or node.stale:
            continue
        free_here = node_totals(node).free
        for gpu in node.sample.gpus:
            use = use_percent(gpu)
            memory = use if gpu.mig else memory_percent(gpu)
            if use is None or memory is None:
                continue
            place = GpuPlace(node.name, gpu.index)
            if is_free(gpu):
                ranked.append(((0, others_reservation(node, gpu) is not None, -free_here), place))
            else:
                ranked.append(((1, memory, use), place))
    return [place for _, place in sorted(ranked, key=lambda item: item[0])]
