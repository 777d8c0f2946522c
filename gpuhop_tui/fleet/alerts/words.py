"""Alerts in words."""

from __future__ import annotations

from collections.abc import Sequence

from gpuhop_tui.fleet.jobs.ends import signal_name
from gpuhop_tui.fleet.jobs.model import Job, JobState

LONG_AGO_SECONDS = 120.0  # an end that is older is told with its age


def seconds_in_words(seconds: float) -> str:
    """`3 h 10 min`, `41 min`, `12 s`."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def gpu_words(indexes: Sequence[int]) -> str:
    """`GPU 3`, `GPUs 0-3, 6`."""
    parts: list[str] = []
    left = sorted(set(indexes))
    while left:
        first = last = left.pop(0)
        while left and left[0] == last + 1:
            last = left.pop(0)
        parts.append(f"{first}" if first == last else f"{first}-{last}")
    return f"GPU{'s' if len(set(indexes)) > 1 else ''} {', '.join(parts)}"


def job_title(job: Job) -> str:
    """`python train.py (jonas, GPUs 0-3)`."""
    facts = [job.user or "", f"in {job.where}" if job.where else ""]
    facts.append(gpu_words(job.gpus) if job.gpus else "")
    known = ", ".join(fact for fact in facts if fact)
    name = job.name or f"process {job.pid}"
    return f"{name} ({known})" if known else name


def end_words(job: Job, now: float) -> str:
    """How a job ended: its name, user, GPUs, and exit."""
    ran = ""
    if job.ended_at is not None and job.started_at is not None and job.ended_at > job.started_at:
        ran = f" after {seconds_in_words(job.ended_at - job.started_at)}"
    ago = ""
    if job.ended_at is not None and now - job.ended_at > LONG_AGO_SECONDS:
        ago = f", {seconds_in_words(now - job.ended_at)} ago"
    return f"{job_title(job)} {_end(job)}{ran}{ago}"


def _end(job: Job) -> str:
    match job.state:
        case JobState.FINISHED:
            return "finished with exit status 0"
        case JobState.KILLED if job.signal is not None:
            return f"was killed by {signal_name(job.signal)}"
        case JobState.OUT_OF_MEMORY:
            return f"ran out of memory: {job.reason}" if job.reason else "ran out of memory"
        case JobState.FAILED:
            return f"failed: {job.reason or f'exit status {job.exit_code}'}"
    return f"ended; {job.reason or 'how is not known'}"
