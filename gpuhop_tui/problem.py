"""What can go wrong on the way to a GPU, in the words that users and scripts see.

Every failure that reaches a screen or `--json` is a `Problem`: where (the hop), what (a stable
kind), what happened (a sentence) and what to do next (advice).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ErrorKind(StrEnum):
    """The error kinds of the `--json` contract."""

    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    HOST_KEY_UNKNOWN = "host-key-unknown"
    HOST_KEY_CHANGED = "host-key-changed"
    AUTH_DENIED = "auth-denied"
    AGENT_MISSING = "agent-missing"
    AGENT_EMPTY = "agent-empty"
    FORWARDING_DENIED = "forwarding-denied"
    OVERLOADED = "overloaded"
    LOST = "lost"
    NO_DRIVER = "no-driver"
    DRIVER_MISMATCH = "driver-mismatch"
    NO_PERMISSION = "no-permission"
    NO_PROBE = "no-probe"
    NO_TMUX = "no-tmux"
    NO_DOCKER = "no-docker"

    @property
    def needs_person(self) -> bool:
        """Whether trying again without a person's help is pointless or harmful."""
        return self in _NEEDS_PERSON


_NEEDS_PERSON = frozenset(
    {
        ErrorKind.HOST_KEY_UNKNOWN,
        ErrorKind.HOST_KEY_CHANGED,
        ErrorKind.AUTH_DENIED,
        ErrorKind.AGENT_MISSING,
        ErrorKind.AGENT_EMPTY,
        ErrorKind.FORWARDING_DENIED,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One failure: where, what, in words, and the way out."""

    hop: str  # name of the bastion or node it happened at; "laptop" for this machine
    kind: ErrorKind
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.hop}: {self.message}"


class ProblemError(Exception):
    """Carries a `Problem` up to whoever shows it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem
