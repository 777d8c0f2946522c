"""A job: what somebody runs on GPUs of a node, as plain immutable data.

It is a tree of processes, such as a launcher with its ranks and their data loaders; where the node
tells of no trees, it is one process. Sizes are bytes, times seconds since the epoch: `started_at`
by the node's clock, all others by the laptop's. A figure that is None has its reason in `missing`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gpuhop_tui.sessions.model import Progress

ProcessKey = tuple[int, float | None]
"""Process id and start: an id is used again in time."""

JobKey = tuple[str, int, float | None]
"""Node, process id of the root, and its start."""

TREND_POINTS = 20
TREND_SECONDS = 600.0


class JobState(StrEnum):
    """What becomes of a job, in words that a filter and a screen use."""

    STARTING = "starting"  # on a GPU, and has not used it yet
    RUNNING = "running"
    STALLED = "stalled"  # holds memory, and its GPUs did nothing for minutes
    OFF_GPU = "off the GPU"  # its root is alive, nothing of it is on a GPU
    FINISHED = "finished"  # exit status 0
    FAILED = "failed"  # another exit status
    KILLED = "killed"  # by a signal
    OUT_OF_MEMORY = "out of memory"  # the node's, or the GPU's
    ENDED = "ended"  # how is not known: `reason` says why

    @property
    def is_over(self) -> bool:
        """Whether no more comes of it."""
        return self in _OVER


_OVER = frozenset(
    {
        JobState.FINISHED,
        JobState.FAILED,
        JobState.KILLED,
        JobState.OUT_OF_MEMORY,
        JobState.ENDED,
    }
)


@dataclass(frozen=True, slots=True)
class Job:
    """One job at one moment; of one that is over, the last that was known."""

    node: str
    pid: int  # of its root, on the host
    started_at: float | None
    gpu_processes: tuple[ProcessKey, ...] = ()
    gpus: tuple[int, ...] = ()  # indexes
    shared: bool = False  # others are on its GPUs, too: their utilization is not its alone

    # Whose it is
    user: str | None = None  # who runs it
    user_from: str = ""  # what tells so, where it is not the processes' own user; or why it is not
    # known
    process_user: str | None = None
    command: str | None = None  # its root's, secrets masked
    name: str = ""  # the command, shortened
    cwd: str | None = None
    container: str | None = None  # name
    container_id: str | None = None
    pod: str | None = None  # uid of its Kubernetes pod
    tmux: str | None = None  # its pane, in its container if it is in one: see `Process.tmux`
    session: str | None = None  # name

    # What it uses
    memory_bytes: int | None = None  # on all its GPUs
    utilization_percent: float | None = None  # mean of its GPUs, now
    recent_percent: float | None = None  # mean of the last `TREND_SECONDS`
    trend: tuple[float | None, ...] = ()  # that time in up to `TREND_POINTS` parts, oldest first
    processes: int | None = None
    cpu_percent: float | None = None  # 100 is one core
    busiest_percent: float | None = None  # of one core, its busiest process
    waiting: int | None = None  # processes in uninterruptible sleep: mostly on a disk
    host_memory_bytes: int | None = None

    # How far it is
    state: JobState = JobState.RUNNING
    since: float = 0.0  # when `state` began, as far as it was seen
    first_seen: float = 0.0
    last_busy_at: float | None = None
    progress: Progress | None = None
    eta_seconds: float | None = None
    last_line: str | None = None  # of its pane
    ended_at: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""  # of a state that does not speak for itself
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> JobKey:
        return self.node, self.pid, self.started_at

    @property
    def is_over(self) -> bool:
        return self.state.is_over

    @property
    def where(self) -> str | None:
        """The name of what it runs in: a container or a pod; None: on the node itself."""
        if self.container is not None:
            return self.container
        if self.pod is not None:
            return f"pod {self.pod}"
        return None if self.container_id is None else self.container_id[:12]
