"""The jobs of a document: trees of processes, and how those that ended did."""

from __future__ import annotations

from typing import Any

from gpuhop_tui.probe.checked import MAX_PID, command, indices, integer, number, table
from gpuhop_tui.probe.clean import clean
from gpuhop_tui.probe.protocol import Json
from gpuhop_tui.probe.sample import Ending, ProcessTree

MAX_TREES = 1024
MAX_ENDINGS = 256
MAX_MEMBERS = 1 << 16
NOT_TOLD = "the node does not say how it ended"


def read_trees(document: Json) -> tuple[ProcessTree, ...] | None:
    """The trees that the node tells of; None where it tells of none at all."""
    if not isinstance(document.get("jobs"), dict):
        return None
    details = table(document.get("processes"))
    jobs = table(document["jobs"])
    return tuple(
        _tree(pid, table(jobs[str(pid)]), table(details.get(str(pid))))
        for pid in indices(jobs, MAX_TREES, MAX_PID)
    )


def _tree(pid: int, job: Json, detail: Json) -> ProcessTree:
    pids = job.get("pids")
    known = [integer(each, 1, MAX_PID) for each in pids] if isinstance(pids, list) else []
    figured = "count" in job
    return ProcessTree(
        pid=pid,
        gpu_pids=tuple(each for each in known[:MAX_TREES] if each is not None),
        user=clean(detail.get("user"), 64),
        command=command(detail.get("command")),
        started_at=number(detail.get("started_at"), 0, 1e11),
        container_id=clean(detail.get("container_id"), 128),
        container=clean(detail.get("container"), 255),
        tmux=clean(detail.get("tmux"), 400),
        pod=clean(detail.get("pod"), 64),
        cwd=clean(detail.get("cwd"), 400),
        processes=integer(job.get("count"), 0, MAX_MEMBERS),
        cpu_percent=number(job.get("cpu"), 0, 1e7),
        busiest_percent=number(job.get("busiest"), 0, 1e7),
        waiting=integer(job.get("waiting", 0), 0, MAX_MEMBERS) if figured else None,
        memory_bytes=integer(job.get("memory"), 0, 1 << 50),
    )


def read_endings(document: Json, at: float) -> tuple[Ending, ...]:
    """The endings, by the laptop's clock: `at` is when the document came."""
    now = number(document.get("time"), 0, 1e11)
    found = []
    for value in list(table(document.get("ended")).values())[:MAX_ENDINGS]:
        ending: dict[str, Any] = table(value)
        pid = integer(ending.get("pid"), 1, MAX_PID)
        ended_at = number(ending.get("at"), 0, 1e11)
        if pid is None or ended_at is None:
            continue
        status = integer(ending.get("status"), 0, 0xFFFF)
        found.append(
            Ending(
                pid=pid,
                started_at=number(ending.get("started_at"), 0, 1e11),
                at=at if now is None else at - max(0.0, now - ended_at),
                status=status,
                out_of_memory=ending.get("oom") is True,
                missing=None
                if status is not None
                else clean(ending.get("missing"), 200) or NOT_TOLD,
            )
        )
    return tuple(sorted(found, key=lambda each: each.at))
