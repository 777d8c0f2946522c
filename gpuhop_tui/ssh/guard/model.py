"""What the guard shows of itself, as plain immutable data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_LONGEST_NAME = 40  # characters


class Purpose(StrEnum):
    """What a signature is for."""

    LOGIN = "login"  # at a server that has proven its host key
    UNBOUND = "unbound"  # a login, but nobody has proven where
    SIGNATURE = "signature"  # of a file or a commit, PROTOCOL.sshsig
    UNKNOWN = "unknown"  # data of no known kind
    NONE = "none"  # no signature was asked for


def shown(text: str) -> str:
    """Text that comes from elsewhere, for a terminal: on one line, nothing in it obeyed."""
    return "".join(char if char.isprintable() else "?" for char in text)


def said_by_host(text: str) -> str:
    """A name that the host itself chooses, in a sentence that it must not be able to write: short,
    and in quotes where it has more than one word."""
    text = shown(text)
    if len(text) > _LONGEST_NAME:
        text = f"{text[: _LONGEST_NAME - 1]}…"
    if any(char in text for char in ' "…'):
        text = '"' + text.replace('"', "'") + '"'
    return text


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """One signature that a remote host asks for: all that can be known of it."""

    node: str  # that the agent is lent to, and that has asked
    via: tuple[str, ...]  # bastions before it, outermost first
    purpose: Purpose
    key: str  # fingerprint, SHA256:…
    key_comment: str = ""
    user: str = ""  # of a login
    destination: tuple[str, ...] = ()  # names of its host key, the best first; empty: none known
    host_key: str = ""  # fingerprint of the destination's host key; empty: not proven
    through: tuple[str, ...] = ()  # servers that the node has passed the agent on to
    namespace: str = ""  # of an SSH signature
    forbidden: str = ""  # why it is denied whatever the rules say

    @property
    def where(self) -> str:
        """The destination in a word."""
        return shown(self.destination[0]) if self.destination else self.host_key

    @property
    def what(self) -> str:
        """What is asked for, as the end of "gpu-01 asks to …"."""
        if self.purpose is Purpose.LOGIN:
            return f"log in as {said_by_host(self.user)} at {self.where}"
        if self.purpose is Purpose.UNBOUND:
            return (
                f"log in as {said_by_host(self.user)} at a server that it does not prove (unbound)"
            )
        if self.purpose is Purpose.SIGNATURE:
            return f"sign for {said_by_host(self.namespace)}"
        return "sign data of an unknown kind"


@dataclass(frozen=True, slots=True)
class Grant:
    """Signatures that need no question for a while."""

    id: int
    what: str  # as SignatureFacts.what
    key: str  # fingerprint
    key_comment: str
    until: float | None  # seconds since the epoch; None: for as long as the lending lives


@dataclass(frozen=True, slots=True)
class Lending:
    """One agent lent to one node."""

    id: int
    node: str
    via: tuple[str, ...]
    since: float  # seconds since the epoch
    clients: int  # connections that are open now
    signed: int
    denied: int
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class SignatureEvent:
    """One decision. `at` is seconds since the epoch; `refused` is what was asked for where it was
    no signature; `unlogged` counts the refusals of a flood that have no line of their own."""

    at: float
    lending: int
    node: str
    via: tuple[str, ...]
    allowed: bool
    reason: str
    facts: SignatureFacts | None = None
    refused: str = ""
    asked: bool = False  # a person has answered, or has been waited for
    unlogged: int = 0

    @property
    def what(self) -> str:
        return self.facts.what if self.facts is not None else self.refused
