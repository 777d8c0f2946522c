"""From the processes of a sample to jobs: ranks, data loaders and launchers become one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from gpuhop_tui.fleet.jobs.model import Job, ProcessKey
from gpuhop_tui.fleet.jobs.names import short_command
from gpuhop_tui.fleet.summary import gpu_processes
from gpuhop_tui.probe.sample import Gpu, Process, ProcessTree, Sample

NO_TREE = "the node does not tell which processes belong together"
NOT_MEASURED = "not measured yet"
_short = lru_cache(4096)(short_command)


@dataclass(slots=True)
class _OnGpus:
    """A process with every GPU that it is on."""

    process: Process
    gpus: list[Gpu] = field(default_factory=list)
    memory_bytes: int | None = 0  # None: not known of one of them

    def add(self, gpu: Gpu, process: Process) -> None:
        self.gpus.append(gpu)
        known = self.memory_bytes is not None and process.memory_bytes is not None
        self.memory_bytes = (
            (self.memory_bytes or 0) + (process.memory_bytes or 0) if known else None
        )


def fold(node: str, sample: Sample) -> list[Job]:
    """The jobs of this moment, in the order of their first GPU, the biggest first.

    A process that no tree tells of is a job by itself: another source than ours told of it, or it
    came a moment ago.
    """
    found = _on_gpus(sample)
    jobs: list[Job] = []
    crowds: dict[int, int] = {}  # GPU: jobs on it
    for tree in sample.jobs or ():
        members = [found.pop(pid) for pid in tree.gpu_pids if pid in found]
        if members:
            jobs.append(_job(node, members, tree))
    jobs += [_job(node, [each], None) for each in found.values()]
    for job in jobs:
        for index in job.gpus:
            crowds[index] = crowds.get(index, 0) + 1
    jobs = [
        replace(job, shared=True) if any(crowds[gpu] > 1 for gpu in job.gpus) else job
        for job in jobs
    ]
    return sorted(jobs, key=lambda job: (job.gpus[0], -(job.memory_bytes or 0), job.pid))


def _on_gpus(sample: Sample) -> dict[int, _OnGpus]:
    found: dict[int, _OnGpus] = {}
    for gpu in sample.gpus:
        for process in gpu_processes(gpu):
            found.setdefault(process.pid, _OnGpus(process)).add(gpu, process)
    return found


def _job(node: str, members: list[_OnGpus], tree: ProcessTree | None) -> Job:
    first = members[0].process
    root: Process | ProcessTree = tree or first
    memory = [each.memory_bytes for each in members]
    gpus = {gpu.index: gpu for each in members for gpu in each.gpus}
    utilization, why = _utilization(list(gpus.values()))
    figures = _figures(tree)
    reason = NO_TREE if tree is None else NOT_MEASURED
    missing = {name: reason for name, value in figures.items() if value is None}
    if why is not None:
        missing["utilization_percent"] = why
    if None in memory:
        missing["memory_bytes"] = "the driver does not say for all of its processes"
    command = root.command or first.command
    keys: list[ProcessKey] = [(each.process.pid, each.process.started_at) for each in members]
    return Job(
        node=node,
        pid=root.pid,
        started_at=root.started_at,
        gpu_processes=tuple(keys),
        gpus=tuple(sorted(gpus)),
        user=root.user,
        process_user=root.user,
        command=command,
        name=_short(command) if command else "",
        cwd=tree.cwd if tree else None,
        container=root.container or first.container,
        container_id=root.container_id or first.container_id,
        pod=root.pod or first.pod,
        tmux=root.tmux or first.tmux,
        session=first.tmux_session,
        memory_bytes=None if None in memory else sum(m for m in memory if m is not None),
        utilization_percent=utilization,
        missing=missing,
        **figures,
    )


def _figures(tree: ProcessTree | None) -> dict[str, Any]:
    """What only a tree tells."""
    return {
        "processes": tree.processes if tree else None,
        "cpu_percent": tree.cpu_percent if tree else None,
        "busiest_percent": tree.busiest_percent if tree else None,
        "waiting": tree.waiting if tree else None,
        "host_memory_bytes": tree.memory_bytes if tree else None,
    }


def _utilization(gpus: list[Gpu]) -> tuple[float | None, str | None]:
    """The mean of what is known; else why nothing is."""
    known = [gpu.utilization_percent for gpu in gpus if gpu.utilization_percent is not None]
    if known:
        return sum(known) / len(known), None
    return None, gpus[0].missing.get("utilization_percent", "not reported")
