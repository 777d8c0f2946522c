"""Jobs that ended, as they are kept across restarts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gpuhop_tui.fleet.jobs.model import Job

KIND = "job"  # of their notes in the store


@dataclass(frozen=True, slots=True)
class PastJob:
    """What is worth knowing of a job afterwards. Times are seconds since the epoch."""

    node: str
    pid: int
    began_at: float
    ended_at: float
    gpus: tuple[int, ...]
    name: str  # its command, shortened
    command: str | None
    user: str | None
    container: str | None
    state: str  # a `JobState`
    reason: str
    exit_code: int | None
    signal: int | None

    @classmethod
    def of(cls, job: Job) -> PastJob:
        """Of a job that is over."""
        return cls(
            job.node,
            job.pid,
            job.started_at if job.started_at is not None else job.first_seen,
            job.ended_at if job.ended_at is not None else job.since,
            job.gpus,
            job.name,
            job.command,
            job.user,
            job.where,
            job.state.value,
            job.reason,
            job.exit_code,
            job.signal,
        )

    @property
    def key(self) -> str:
        return f"{self.node}/{self.pid}/{self.began_at:.0f}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> PastJob | None:
        """None where it is none: a later version may have written it."""
        try:
            job = cls(**{name: facts[name] for name in cls.__slots__})
            gpus = tuple(int(index) for index in job.gpus)
            times = float(job.began_at), float(job.ended_at)
        except (KeyError, TypeError, ValueError):
            return None
        return cls(**{**asdict(job), "gpus": gpus, "began_at": times[0], "ended_at": times[1]})
