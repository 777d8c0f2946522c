"""The state of one link, as plain data: what a screen shows and a log keeps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gpuhop_tui.problem import Problem


class LinkState(StrEnum):
    """Where a link is in its life. The values are those of a node's `state` in `--json`."""

    DOWN = "down"  # not started, or given up
    CONNECTING = "connecting"
    UP = "up"
    WAITING = "waiting"  # lost or failed; tries again by itself at `retry_at`
    BLOCKED = "blocked"  # only a person can help; not retried


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """One link at one moment. Times are the wall clock's, in seconds since the epoch."""

    state: LinkState = LinkState.DOWN
    since: float = 0.0  # when this state began
    step: str = ""  # while connecting: what is being waited for, such as "host key of jump-server"
    problem: Problem | None = None  # why it is not up; kept while connecting again
    attempt: int = 0  # attempts since it was last up
    retry_at: float | None = None  # while waiting
    connect_seconds: float | None = None  # how long the last login took, human time not counted
    rtt_seconds: float | None = None  # round-trip time of the last keepalive


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """One line of a link's log."""

    at: float  # wall clock, seconds since the epoch
    hop: str
    text: str
    problem: Problem | None = None
