"""Nodes in every state that a command can meet."""

from __future__ import annotations

from dataclasses import replace

from gpuhop_tui.fleet.state import BastionState, NodeState
from gpuhop_tui.probe.sample import Gpu, MigInstance, Process, Sample
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.status import LinkState, LinkStatus

GIB = 2**30

REFUSED = Problem("gpu-02", ErrorKind.REFUSED, "connection refused by 10.0.0.51:22", "Start sshd.")
NO_DRIVER = Problem("gpu-01", ErrorKind.NO_DRIVER, "there is no NVIDIA driver", "Install one.")

IDLE_GPU = Gpu(
    1,
    uuid="GPU-1",
    name="NVIDIA A100-SXM4-80GB",
    utilization_percent=0,
    memory_used_bytes=0,
    memory_total_bytes=80 * GIB,
    temperature_celsius=31,
    power_watts=58.4,
)
BUSY_GPU = replace(
    IDLE_GPU,
    index=0,
    uuid="GPU-0",
    utilization_percent=83,
    memory_used_bytes=54 * GIB,
    temperature_celsius=61,
    power_watts=312.0,
    processes=(Process(4711, "ann", "python train.py", 54 * GIB, 1_700_000_000.0),),
)
LOST_GPU = Gpu(2, uuid="GPU-2", lost="lost: it fell off the bus (Xid 79)")
MIG_GPU = replace(
    IDLE_GPU,
    index=3,
    utilization_percent=None,
    missing={"utilization_percent": "not supported with MIG"},
    mig=(MigInstance(0, "MIG-0", "3g.40gb", 4 * GIB, 40 * GIB, processes=BUSY_GPU.processes),),
)


def connecting(name: str = "gpu-01", *via: str, step: str = "") -> NodeState:
    link = LinkStatus(state=LinkState.CONNECTING, step=step)
    return NodeState(name, f"me@{name}", via=via or ("jump-server",), link=link)


def up(name: str = "gpu-01", *gpus: Gpu, at: float = 1_700_000_000.0) -> NodeState:
    return replace(
        connecting(name),
        link=LinkStatus(state=LinkState.UP, connect_seconds=0.2),
        sample=Sample("nvml", at, "535.104.05", "12.2", gpus=gpus or (BUSY_GPU, IDLE_GPU)),
    )


def refused(name: str = "gpu-02") -> NodeState:
    problem = replace(REFUSED, hop=name)
    return replace(connecting(name), link=LinkStatus(state=LinkState.WAITING, problem=problem))


def bastion(state: LinkState, name: str = "jump-server", step: str = "") -> BastionState:
    return BastionState(name, f"me@{name}", link=LinkStatus(state=state, step=step))
