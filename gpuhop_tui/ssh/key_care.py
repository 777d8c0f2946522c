"""The user's keys at a glance, as plain data: what the agent holds, which key files there are, and
what is not well with them, each with the command that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpuhop_tui.config.durations import duration_seconds
from gpuhop_tui.ssh.key_facts import KeyFacts

SOON_SECONDS = 24 * 3600.0  # a certificate that ends within this time is told of


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms the agent holds a key. Agents tell nobody: known only of keys added here."""

    until: float | None  # seconds since the epoch; None: until the agent ends
    confirm: bool  # each use is asked about by ssh-askpass


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that the agent holds. `terms` are None where somebody else has added it."""

    facts: KeyFacts
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class KeyFileFacts:
    """A private key file, as far as it can be read without its passphrase."""

    path: Path
    facts: KeyFacts | None  # None: even its public part is locked
    locked: bool  # a passphrase protects it
    mode: int  # permission bits


@dataclass(frozen=True, slots=True)
class KeysView:
    """The agent and the key files at one moment."""

    socket: str | None
    agent_problem: str | None  # why the agent says nothing; None where it answers
    held: tuple[HeldKey, ...] = ()
    files: tuple[KeyFileFacts, ...] = ()
    own_agent: str | None = None  # how long the agent that was started here lives, in words

    def is_held(self, file: KeyFileFacts) -> bool:
        """Whether the agent has the key of a file."""
        if file.facts is None:
            return False
        return any(held.facts.fingerprint == file.facts.fingerprint for held in self.held)


@dataclass(frozen=True, slots=True)
class KeyFinding:
    """Something that is not well. `subject`: a path, or `agent`, or `agent: COMMENT`."""

    subject: str
    message: str
    command: str  # that mends it
    is_serious: bool = True  # False: could be better
    about: HeldKey | KeyFileFacts | None = None  # None: the agent itself


def key_findings(view: KeysView, now: float, *, home: Path | None = None) -> list[KeyFinding]:
    """Everything about these keys that a person should know of, what is serious first.

    `now` is in seconds since the epoch. Paths below `home` are written with `~`.
    """
    found = [
        *_of_agent(view, home),
        *(finding for file in view.files for finding in _of_file(file, home)),
        *(finding for held in view.held for finding in _of_held(held, view, now)),
    ]
    return sorted(found, key=lambda finding: not finding.is_serious)


def _of_agent(view: KeysView, home: Path | None) -> Iterator[KeyFinding]:
    file = _shell_path(view.files[0].path, home) if view.files else ""
    add = f"ssh-add {file}".strip() if file else "ssh-keygen -t ed25519 && ssh-add"
    if view.agent_problem is not None:
        at = f" ({view.socket})" if view.socket else ""
        yield KeyFinding("agent", f"{view.agent_problem}{at}", f'eval "$(ssh-agent)" && {add}')
    elif not view.held:
        yield KeyFinding("agent", "the agent holds no keys", add, is_serious=False)


def _of_file(file: KeyFileFacts, home: Path | None) -> Iterator[KeyFinding]:
    path = _shell_path(file.path, home)
    if file.mode & 0o077:
        words = f"other users may read it (mode {file.mode:04o}): ssh will not"
        yield KeyFinding(path, words, f"chmod 600 {path}", about=file)
    facts = file.facts
    if facts is not None and facts.is_weak:
        yield KeyFinding(path, _weak(facts), NEW_KEY, about=file)
    if not file.locked and not (facts and facts.is_security_key):
        words = "no passphrase protects it: whoever copies it is you"
        yield KeyFinding(path, words, f"ssh-keygen -p -f {path}", about=file)


def _of_held(held: HeldKey, view: KeysView, now: float) -> Iterator[KeyFinding]:
    facts = held.facts
    subject = f"agent: {facts.comment or facts.fingerprint}"
    in_a_file = {file.facts.fingerprint for file in view.files if file.facts}
    if facts.is_weak and facts.fingerprint not in in_a_file and facts.certificate is None:
        yield KeyFinding(subject, _weak(facts), NEW_KEY, about=held)
    certificate = facts.certificate
    if certificate is None or certificate.valid_before is None:
        return
    renew = "ssh-add -L | ssh-keygen -L -f -"
    if certificate.is_expired(now):
        message = f"its certificate {certificate.key_id} has expired: have it renewed"
        yield KeyFinding(subject, message, renew, about=held)
    elif certificate.valid_before - now < SOON_SECONDS:
        hours = (certificate.valid_before - now) / 3600
        message = f"its certificate {certificate.key_id} ends in {hours:.0f} h: have it renewed"
        yield KeyFinding(subject, message, renew, is_serious=False, about=held)


def read_lifetime(text: str) -> int | None:
    """Seconds of "8h", "30m", "1h30m", "2d" (sshd_config(5), TIME FORMATS); None for nothing.

    Raises ValueError, which says what is wrong.
    """
    text = text.strip()
    if not text:
        return None
    seconds = duration_seconds(text)
    if seconds is None:
        raise ValueError('is no duration such as "8h", "30m" or "2d"')
    if not 0 < seconds < 1 << 32:  # the protocol of agents has 32 bits for it
        raise ValueError("must be more than nothing, and less than an age")
    return seconds


NEW_KEY = "ssh-keygen -t ed25519"


def _weak(facts: KeyFacts) -> str:
    if facts.kind == "dsa":
        return "DSA is broken, and current OpenSSH refuses it: make a new key"
    return f"RSA with {facts.bits} bits is too short (3072 or more): make a new key"


def _shell_path(path: Path, home: Path | None) -> str:
    """The path as one would type it."""
    if home is not None and path.is_relative_to(home):
        return "~/" + shlex.quote(str(path.relative_to(home)))
    return shlex.quote(str(path))
