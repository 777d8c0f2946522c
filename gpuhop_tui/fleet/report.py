"""The fleet as scripts see it: the `--json` contract, schema 1.

Every field is there even where it is null, and every null figure has its reason in `missing`.
Times are seconds since the epoch, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import (
    GPU_FIGURES,
    HOST_FIGURES,
    INSTANCE_FIGURES,
    Gpu,
    Host,
    MigInstance,
    Process,
)
from gpuhop_tui.problem import Problem

SCHEMA = 1
JOB_FIGURES = (
    "memory_bytes",
    "utilization_percent",
    "recent_percent",
    "processes",
    "cpu_percent",
    "busiest_percent",
    "waiting",
    "host_memory_bytes",
)

Json = dict[str, Any]


def report_fleet(state: FleetState) -> Json:
    """All nodes, in the order of the config."""
    return report_nodes(state.nodes)


def report_nodes(nodes: Iterable[NodeState]) -> Json:
    """The given nodes under the head of the schema."""
    return {"schema": SCHEMA, "nodes": [report_node(node) for node in nodes]}


def report_node(node: NodeState) -> Json:
    """One node. `state` is that of its link: a node that is up may still have an `error`.

    Where the link is lost the last sample stays, and `sampled_at` tells its age.
    """
    sample = node.sample
    return {
        "name": node.name,
        "state": node.link.state.value,
        "error": _report_problem(node.problem),
        "via": list(node.via),
        "tags": list(node.tags),
        "connect_seconds": node.link.connect_seconds,
        "rtt_seconds": node.link.rtt_seconds,
        "source": sample.source if sample else None,
        "driver": sample.driver if sample else None,
        "cuda": sample.cuda if sample else None,
        "sampled_at": sample.sampled_at if sample else None,
        "gpus": [_report_gpu(gpu) for gpu in sample.gpus] if sample else [],
        "host": _report_host(sample.host) if sample else None,
        "jobs": [_report_job(job) for job in node.jobs],
    }


def _report_problem(problem: Problem | None) -> Json | None:
    if problem is None:
        return None
    return {
        "hop": problem.hop,
        "kind": problem.kind.value,
        "message": problem.message,
        "advice": problem.advice,
    }


def _report_gpu(gpu: Gpu) -> Json:
    figures = _figures(gpu, GPU_FIGURES)
    return {
        "index": gpu.index,
        **figures,
        "mig": [_report_mig(instance) for instance in gpu.mig],
        "missing": _reasons(figures, gpu.missing, otherwise=gpu.lost),
        "processes": [_report_process(process) for process in gpu.processes],
        "reservations": [
            {"user": each.user, "until": each.until, "note": each.note} for each in gpu.reservations
        ],
    }


def _report_host(host: Host) -> Json:
    figures = _figures(host, HOST_FIGURES)
    disks = [
        {"path": disk.path, "free_bytes": disk.free_bytes, "total_bytes": disk.total_bytes}
        for disk in host.disks
    ]
    return {**figures, "disks": disks, "missing": _reasons(figures, host.missing)}


def _report_mig(instance: MigInstance) -> Json:
    figures = _figures(instance, INSTANCE_FIGURES)
    return {
        "index": instance.index,
        **figures,
        "missing": _reasons(figures, instance.missing),
        "processes": [_report_process(process) for process in instance.processes],
    }


def _report_process(process: Process) -> Json:
    return {
        "pid": process.pid,
        "user": process.user,
        "command": process.command,
        "memory_bytes": process.memory_bytes,
        "started_at": process.started_at,
        "container": process.container,
        "container_id": process.container_id,
        "tmux_session": process.tmux_session,
    }


def _report_job(job: Job) -> Json:
    """One job. Where its node tells of no trees, it is one process."""
    figures = _figures(job, JOB_FIGURES)
    progress = job.progress
    return {
        "pid": job.pid,
        "gpu_pids": [pid for pid, _ in job.gpu_processes],
        "gpus": list(job.gpus),
        "state": job.state.name.lower().replace("_", "-"),
        "since": job.since,
        "reason": job.reason or None,
        "exit_code": job.exit_code,
        "signal": job.signal,
        "started_at": job.started_at,
        "first_seen_at": job.first_seen,
        "last_busy_at": job.last_busy_at,
        "ended_at": job.ended_at,
        "user": job.user,
        "user_from": job.user_from or None,
        "command": job.command,
        "name": job.name,
        "directory": job.cwd,
        "container": job.container,
        "container_id": job.container_id,
        "pod": job.pod,
        "tmux_session": job.session,
        **figures,
        "percent": progress.percent if progress else None,
        "eta_seconds": job.eta_seconds,
        "last_line": job.last_line,
        "missing": _reasons(figures, job.missing),
    }


def _figures(owner: object, names: tuple[str, ...]) -> Json:
    values = {name: getattr(owner, name) for name in names}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def _reasons(figures: Json, missing: dict[str, str], otherwise: str | None = None) -> Json:
    """The reason of each null figure, after those that the probe named for anything else."""
    named = {name: why for name, why in missing.items() if figures.get(name) is None}
    for name, value in figures.items():
        if value is None:
            named.setdefault(name, otherwise or "not reported")
    return named
