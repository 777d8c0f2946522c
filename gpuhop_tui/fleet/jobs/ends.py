"""How a job ended, by all that tells of it: the kernel, its container's engine, its tmux pane, and
its own last line."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from gpuhop_tui.containers.model import Container
from gpuhop_tui.fleet.jobs.model import JobState, ProcessKey
from gpuhop_tui.probe.sample import Ending
from gpuhop_tui.sessions.model import TmuxPane

SAME_START_SECONDS = 2.0  # btime of /proc/stat may differ by one between two reads

# PyTorch; the CUDA driver; JAX and TensorFlow (XLA); cuBLAS and cuDNN
_CUDA_MEMORY = re.compile(
    r"CUDA out of memory|OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|RESOURCE_EXHAUSTED: Out of memory|(?:CUBLAS|CUDNN)_STATUS_ALLOC_FAILED"
)
_BY_SIGNAL = 128  # a shell's and an engine's status of what a signal ended


@dataclass(frozen=True, slots=True)
class End:
    """What became of a job."""

    state: JobState
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""


def same_process(one: ProcessKey, other: ProcessKey) -> bool:
    """Whether both are one process: its id alone does not tell, for it is used again."""
    if one[0] != other[0]:
        return False
    if one[1] is None or other[1] is None:
        return True
    return abs(one[1] - other[1]) <= SAME_START_SECONDS


def ending_of(key: ProcessKey, endings: Iterable[Ending]) -> Ending | None:
    """The ending of that very process."""
    return next((e for e in endings if same_process(key, (e.pid, e.started_at))), None)


def end_by_kernel(root: Ending, others: Iterable[Ending]) -> End:
    """By the wait status of the root; `others` are the endings of its processes on GPUs, which
    may be the cause."""
    if root.out_of_memory:
        return End(JobState.OUT_OF_MEMORY, None, signal.SIGKILL, "the kernel killed it for memory")
    victim = next((each for each in others if each.out_of_memory), None)
    if root.status is None:
        if victim is not None:
            return _victim(victim.pid, None)
        return End(JobState.ENDED, reason=root.missing or "how it ended is not known")
    code = os.waitstatus_to_exitcode(root.status)
    if code == 0:
        return End(JobState.FINISHED, 0)
    if victim is not None:
        return _victim(victim.pid, code if code > 0 else None)
    return _by_signal(-code) if code < 0 else _by_code(code)


def end_by_engine(container: Container) -> End | None:
    """Of a container's main program, once the engine tells of its end."""
    if container.running or container.exit_code is None:
        return None
    if container.oom_killed:
        return End(
            JobState.OUT_OF_MEMORY,
            container.exit_code,
            None,
            f"the kernel killed it for the memory limit of {container.name}",
        )
    return _by_code(container.exit_code) if container.exit_code else End(JobState.FINISHED, 0)


def end_by_pane(pane: TmuxPane) -> End | None:
    """Of a pane's first process, where tmux keeps the pane after its end."""
    if not pane.dead:
        return None
    if pane.exit_signal is not None:
        return _by_signal(pane.exit_signal)
    if pane.exit_status is None:
        return None
    return _by_code(pane.exit_status) if pane.exit_status else End(JobState.FINISHED, 0)


def with_last_line(end: End, line: str | None) -> End:
    """`end`, in the light of the last that the job said."""
    unclear = end.state in (JobState.FAILED, JobState.ENDED)
    if not unclear or not line or not _CUDA_MEMORY.search(line):
        return end
    return End(
        JobState.OUT_OF_MEMORY, end.exit_code, end.signal, "the GPU's, as its last line says"
    )


def signal_name(number: int) -> str:
    """`SIGKILL`; `signal 99` of one that has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _victim(pid: int, code: int | None) -> End:
    reason = f"the kernel killed its process {pid} for memory"
    return End(JobState.OUT_OF_MEMORY, code, None, reason)


def _by_signal(number: int) -> End:
    return End(JobState.KILLED, None, number, signal_name(number))


def _by_code(code: int) -> End:
    if code > _BY_SIGNAL and code - _BY_SIGNAL in set(signal.Signals):
        name = signal_name(code - _BY_SIGNAL)
        return End(JobState.FAILED, code, None, f"exit status {code}, as of {name}")
    return End(JobState.FAILED, code, None, f"exit status {code}")
