"""Questions that only a person can answer: at a login, and for a lent agent.

The core asks through a `Prompter`; the TUI answers with dialogs, the command line on the terminal,
and scripts not at all. A login waits as long as the person takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gpuhop_tui.ssh.guard.model import SignatureFacts


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

    hop: str  # the login that wants it; empty: it is to be added to the agent
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


class SignatureAnswer(Enum):
    DENY = "deny"
    ONCE = "once"
    MINUTES = "minutes"  # the same again needs no question for a while
    LENDING = "lending"  # nor for as long as the agent is lent to this node
    NOBODY = "nobody"  # a no, because there is nobody to ask


@dataclass(frozen=True, slots=True)
class SignatureQuestion:
    """A host that the agent is lent to asks for a signature."""

    facts: SignatureFacts
    expires_at: float  # seconds since the epoch; no answer by then is a no
    seconds: float  # that there are for an answer
    minutes: int  # that MINUTES stands for
    choices: tuple[SignatureAnswer, ...]  # what may be answered


class Prompter(Protocol):
    """Who answers. Every method may be cancelled; None or REFUSE means no."""

    async def host_key(self, question: HostKeyQuestion) -> HostKeyAnswer: ...

    async def passphrase(self, question: PassphraseQuestion) -> str | None: ...

    async def challenge(self, question: ChallengeQuestion) -> list[str] | None: ...

    async def signature(self, question: SignatureQuestion) -> SignatureAnswer: ...


class NoPrompter:
    """Answers for scripts: nothing is accepted, nothing is typed."""

    async def host_key(self, question: HostKeyQuestion) -> HostKeyAnswer:
        return HostKeyAnswer.REFUSE

    async def passphrase(self, question: PassphraseQuestion) -> str | None:
        return None

    async def challenge(self, question: ChallengeQuestion) -> list[str] | None:
        return None

    async def signature(self, question: SignatureQuestion) -> SignatureAnswer:
        return SignatureAnswer.NOBODY
