"""Questions that only a person can answer while a login is under way.

The core asks through a `Prompter`; the TUI answers with dialogs, the command line on the terminal,
and scripts not at all. Time that a person takes is never counted as a timeout.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class HostKeyAnswer(Enum):
    REFUSE = "refuse"
    ONCE = "once"  # for as long as this program runs
    ALWAYS = "always"  # written to known_hosts


@dataclass(frozen=True, slots=True)
class HostKeyQuestion:
    """The host key of a hop is in no known_hosts file."""

    hop: str
    address: str  # as known_hosts would name it: host, or [host]:port
    route: tuple[str, ...]  # names of the hops before it, outermost first
    algorithm: str  # such as "ssh-ed25519"
    fingerprint: str  # "SHA256:…", as `ssh-keygen -lf` prints it
    known_hosts_file: str  # where ALWAYS would write it


@dataclass(frozen=True, slots=True)
class PassphraseQuestion:
    """A private key file is locked."""

    hop: str  # the login that wants it
    key_file: str
    fingerprint: str | None
    wrong: bool  # the passphrase given before did not open it
    lifetime_seconds: int | None  # how long the agent will hold it; None: it is not added


@dataclass(frozen=True, slots=True)
class ChallengeQuestion:
    """The server asks something itself: keyboard-interactive (RFC 4256) or a password."""

    hop: str
    title: str
    instructions: str
    prompts: tuple[tuple[str, bool], ...]  # (text, whether typing is echoed)


class Prompter(Protocol):
    """Who answers. Every method may be cancelled; None or REFUSE means no."""

    async def host_key(self, question: HostKeyQuestion) -> HostKeyAnswer: ...

    async def passphrase(self, question: PassphraseQuestion) -> str | None: ...

    async def challenge(self, question: ChallengeQuestion) -> list[str] | None: ...


class NoPrompter:
    """Answers for scripts: nothing is accepted, nothing is typed."""

    async def host_key(self, question: HostKeyQuestion) -> HostKeyAnswer:
        return HostKeyAnswer.REFUSE

    async def passphrase(self, question: PassphraseQuestion) -> str | None:
        return None

    async def challenge(self, question: ChallengeQuestion) -> list[str] | None:
        return None
