"""Small states of a fleet for alerts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.state import BastionState, FleetState, NodeState
from gpuhop_tui.probe.sample import Gpu, Process, Sample
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.status import LinkState, LinkStatus

GIB = 1 << 30
UP = LinkStatus(LinkState.UP)
LOST = LinkStatus(LinkState.WAITING, problem=Problem("gpu-01", ErrorKind.LOST, "no answer", ""))
MINE = Process(41, "ann", "python train.py", 8 * GIB, 900.0)
THEIRS = Process(42, "bob", "python other.py", 8 * GIB, 900.0)


def gpu(index: int = 0, *processes: Process, **figures: Any) -> Gpu:
    known: dict[str, Any] = {
        "name": "A100", "utilization_percent": 50, "memory_used_bytes": 8 * GIB,
        "memory_total_bytes": 80 * GIB, "temperature_celsius": 60, "power_watts": 300.0,
        "power_limit_watts": 400.0, "throttle_reasons": (), "ecc_uncorrected": 0,
    }  # fmt: skip
    return Gpu(index, processes=processes or (MINE,), **(known | figures))


FREE = gpu(0, utilization_percent=0, memory_used_bytes=0)
FREE = replace(FREE, processes=())


def node(*gpus: Gpu, name: str = "gpu-01", jobs: tuple[Job, ...] = (), **fields: Any) -> NodeState:
    known: dict[str, Any] = {"link": UP, "sample": Sample("nvml", 0.0, gpus=gpus)}
    return NodeState(name, "ann@10.0.0.1:22", jobs=jobs, **(known | fields))


def fleet(*nodes: NodeState, bastions: tuple[BastionState, ...] = ()) -> FleetState:
    return FleetState(bastions, nodes)


def job(state: JobState = JobState.RUNNING, **fields: Any) -> Job:
    known: dict[str, Any] = {
        "gpus": (0, 1), "user": "ann", "name": "python train.py", "since": 1000.0,
    }  # fmt: skip
    return Job("gpu-01", 41, 900.0, state=state, **(known | fields))
