"""An alert: something happened in the fleet that its user wants to be told of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class AlertKind(StrEnum):
    """What happened, by the names that the config uses."""

    JOB_FINISHED = "job-finished"
    JOB_FAILED = "job-failed"
    JOB_KILLED = "job-killed"
    JOB_OUT_OF_MEMORY = "job-out-of-memory"
    JOB_ENDED = "job-ended"  # how is not known
    JOB_STALLED = "job-stalled"
    GPU_FREE = "gpu-free"  # that was waited for
    GPU_HOT = "gpu-hot"
    GPU_THROTTLED = "gpu-throttled"
    GPU_ECC = "gpu-ecc"
    GPU_LOST = "gpu-lost"
    GPU_MEMORY_FULL = "gpu-memory-full"
    NODE_LOST = "node-lost"
    NODE_BACK = "node-back"


class Severity(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


_GOOD = {AlertKind.JOB_FINISHED, AlertKind.GPU_FREE, AlertKind.NODE_BACK}
_BAD = {
    AlertKind.JOB_FAILED,
    AlertKind.JOB_KILLED,
    AlertKind.JOB_OUT_OF_MEMORY,
    AlertKind.GPU_ECC,
    AlertKind.GPU_LOST,
    AlertKind.NODE_LOST,
}


@dataclass(frozen=True, slots=True)
class Alert:
    """`words` say it in full, but for the node; times are the laptop's, in seconds since the
    epoch."""

    kind: AlertKind
    node: str  # or bastion
    words: str
    at: float = 0.0
    gpus: tuple[int, ...] = ()  # indexes
    job: str | None = None  # its short name
    pid: int | None = None  # of its root, on the host
    user: str | None = None
    exit_code: int | None = None
    signal: int | None = None

    @property
    def severity(self) -> Severity:
        if self.kind in _GOOD:
            return Severity.GOOD
        return Severity.BAD if self.kind in _BAD else Severity.WARNING

    @property
    def title(self) -> str:
        """`job killed on gpu-01`, `link lost: gpu-01`."""
        where = ": " if self.kind in (AlertKind.NODE_LOST, AlertKind.NODE_BACK) else " on "
        return f"{_TITLES[self.kind]}{where}{self.node}"


_TITLES = {
    AlertKind.JOB_FINISHED: "job finished",
    AlertKind.JOB_FAILED: "job failed",
    AlertKind.JOB_KILLED: "job killed",
    AlertKind.JOB_OUT_OF_MEMORY: "job out of memory",
    AlertKind.JOB_ENDED: "job ended",
    AlertKind.JOB_STALLED: "job stalled",
    AlertKind.GPU_FREE: "GPU free",
    AlertKind.GPU_HOT: "GPU hot",
    AlertKind.GPU_THROTTLED: "GPU throttled",
    AlertKind.GPU_ECC: "ECC errors",
    AlertKind.GPU_LOST: "GPU lost",
    AlertKind.GPU_MEMORY_FULL: "GPU memory nearly full",
    AlertKind.NODE_LOST: "link lost",
    AlertKind.NODE_BACK: "link back",
}


def to_facts(alert: Alert) -> dict[str, Any]:
    """As JSON: what a webhook is sent, and what the log keeps."""
    return {
        "kind": alert.kind.value,
        "severity": alert.severity.value,
        "node": alert.node,
        "title": alert.title,
        "words": alert.words,
        "at": alert.at,
        "gpus": list(alert.gpus),
        "job": alert.job,
        "pid": alert.pid,
        "user": alert.user,
        "exit_code": alert.exit_code,
        "signal": alert.signal,
    }


def from_facts(facts: dict[str, Any]) -> Alert | None:
    """The alert that `to_facts` wrote; None for what makes no sense."""
    try:
        return Alert(
            kind=AlertKind(facts["kind"]),
            node=str(facts["node"]),
            words=str(facts["words"]),
            at=float(facts["at"]),
            gpus=tuple(int(index) for index in facts["gpus"]),
            job=_text(facts.get("job")),
            pid=_number(facts.get("pid")),
            user=_text(facts.get("user")),
            exit_code=_number(facts.get("exit_code")),
            signal=_number(facts.get("signal")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
