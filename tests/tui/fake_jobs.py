"""Jobs that need no node: those of a sample, and one of each kind that is shown differently."""

from __future__ import annotations

from dataclasses import replace

from gpuhop_tui.fleet.jobs.book import JobBook
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.sessions.progress import read_progress

GIB = 1 << 30
ID = "9f86d081884c" + "0" * 52
PANE = "/tmp/tmux-1000/default,$1,%1"
OTHERS_PANE = "/tmp/tmux-1004/default,$3,%9"
BAR = "train:  71%|███████   | 7100/10000 [12:31<05:07,  9.45it/s, loss=0.31]"


def with_jobs(node: NodeState) -> NodeState:
    """A node with the jobs that its sample tells of."""
    book = JobBook(node.name)
    if node.sample is not None:
        book.update(node.sample, False, node.sessions, node.containers, node.sample.sampled_at)
    return replace(node, jobs=book.jobs)


def job(now: float, pid: int, name: str, state: JobState, **more: object) -> Job:
    """One of gpu-01."""
    fields: dict[str, object] = {
        "node": "gpu-01", "started_at": now - 3600, "command": name, "user": "gpu-user",
        "process_user": "gpu-user", "first_seen": now - 3000, "since": now - 60,
        "last_line": "step 7100", **more,
    }  # fmt: skip
    return Job(pid=pid, name=name, state=state, **fields)  # type: ignore[arg-type]


def some_jobs(now: float) -> tuple[Job, ...]:
    trend = tuple(60.0 + 35 * ((7 * n) % 10) / 10 for n in range(20))
    busy = {"processes": 9, "cpu_percent": 812.0, "host_memory_bytes": 61 * GIB}
    return (
        job(now, 418212, "torchrun train.py --config big.yaml", JobState.RUNNING,
            user="marie", user_from="started llm-pretrain", process_user="root",
            gpus=(0, 1, 2, 3), memory_bytes=216 * GIB, utilization_percent=87.0,
            recent_percent=81.0, trend=trend, container="llm-pretrain", container_id=ID,
            tmux=PANE, session="train", progress=read_progress(BAR), eta_seconds=307.0,
            cwd="/workspace/llm", last_line=BAR, last_busy_at=now, **busy),
        job(now, 422801, "python finetune.py", JobState.STALLED, gpus=(4, 5),
            memory_bytes=77 * GIB, utilization_percent=0.0, recent_percent=0.0,
            trend=(0.0,) * 20, tmux=PANE.replace("%1", "%3"), session="ft",
            last_busy_at=now - 2460, last_line="waiting for rank 1 of 2", **busy),
        job(now, 390117, "python -m ipykernel_launcher", JobState.STARTING, user="wei",
            process_user="wei", gpus=(6,), memory_bytes=9 * GIB, utilization_percent=1.0,
            container_id="a" * 64, pod="2b801b7a-ac2b-4b1b-9d3c-0123456789ab", last_line=None,
            missing={"cpu_percent": "not measured yet", "processes": "not measured yet",
                     "host_memory_bytes": "not measured yet",
                     "last_line": "it runs in no tmux session"}),
        job(now, 401000, "python serve.py", JobState.OFF_GPU, user="jonas", process_user="jonas",
            gpus=(7,), tmux=OTHERS_PANE,
            reason="its processes hold nothing on a GPU, and it goes on",
            missing={"memory_bytes": "it is on no GPU"}, last_line=None),
        job(now, 399001, "python eval.py", JobState.FAILED, gpus=(7,), ended_at=now - 300,
            exit_code=1, reason="exit status 1"),
        job(now, 399002, "python sweep.py --seed 4", JobState.OUT_OF_MEMORY, gpus=(6, 7),
            ended_at=now - 900, exit_code=1, reason="the GPU's, as its last line says",
            last_line="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"),
        job(now, 399003, "python old.py", JobState.KILLED, user="wei", process_user="wei",
            gpus=(6,), ended_at=now - 1800, signal=9, reason="SIGKILL"),
        job(now, 399004, "python short.py", JobState.FINISHED, gpus=(6,), ended_at=now - 2000,
            exit_code=0),
        job(now, 399005, "python gone.py", JobState.ENDED, gpus=(6,), ended_at=now - 4000,
            reason="it ended, or left its GPUs, while there was no link to the node"),
    )  # fmt: skip


def with_some_jobs(state: FleetState, now: float) -> FleetState:
    """The fleet with jobs of each kind on gpu-01."""
    nodes = (
        replace(node, jobs=some_jobs(now)) if node.name == "gpu-01" else node
        for node in state.nodes
    )
    return replace(state, nodes=tuple(nodes))
