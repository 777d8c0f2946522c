"""Private key files: read without their passphrase, unlocked at most once, offered to the agent.

Formats: PROTOCOL.key of OpenSSH, and whatever else asyncssh imports.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.known_hosts import fingerprint
from gpuhop_tui.ssh.patience import Patience
from gpuhop_tui.ssh.prompts import PassphraseQuestion, Prompter

PASSPHRASE_TRIES = 3


class KeyDeclinedError(ValueError):
    """A key cannot be used: its passphrase was not given, or the agent refused to sign.

    A ValueError, because asyncssh then goes on to the next key.
    """


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A private (or only public) key file, as far as it can be read without a passphrase."""

    path: Path
    public: asyncssh.SSHKey | None  # None: locked, in a format that hides even its public part
    private: asyncssh.SSHKey | None  # None: locked, or a public key file
    locked: bool


class KeyRing:
    """Key files of the user, unlocked at most once while the program runs, shared by all logins."""

    def __init__(self, prompter: Prompter, agent: Agent, lifetime_seconds: int | None) -> None:
        self._prompter = prompter
        self._agent = agent
        self._lifetime = lifetime_seconds
        self._unlocked: dict[Path, asyncssh.SSHKey] = {}
        self._declined: set[Path] = set()
        self._locks: dict[Path, asyncio.Lock] = {}
        self._asked_for: dict[Path, str] = {}  # the hop whose login has the question open

    def ask_again(self) -> None:
        """Forgets which passphrases a person would not give: they asked to try again."""
        self._declined.clear()

    async def unlock(self, file: KeyFile, hop: Hop, patience: Patience) -> asyncssh.SSHKey:
        """The private key of a locked file; asks a person once, whoever wants it first.

        Raises KeyDeclinedError where no passphrase was given or none opened it.
        """
        lock = self._locks.setdefault(file.path, asyncio.Lock())
        # The question may be out of sight, where a hop has the terminal.
        before = self._asked_for.get(file.path) if lock.locked() else None
        what = f"your answer to {before}, which asks first" if before else ""
        with patience.waiting_for_person(what):
            async with lock:
                self._asked_for[file.path] = hop.name
                if file.path in self._unlocked:
                    return self._unlocked[file.path]
                if file.path in self._declined:
                    raise KeyDeclinedError(f"the passphrase of {file.path} was not given")
                with patience.waiting_for_person("your passphrase"):
                    key = await self._ask(file, hop)
                if key is None:
                    self._declined.add(file.path)
                    raise KeyDeclinedError(f"the passphrase of {file.path} was not given")
                self._unlocked[file.path] = key
                await self._agent.add(key, self._lifetime)
                return key

    def learn(self, path: Path, key: asyncssh.SSHKey) -> None:
        """Takes a key that was unlocked elsewhere: its passphrase is not asked for again."""
        self._unlocked[path] = key
        self._declined.discard(path)

    def unlocked(self, path: Path) -> asyncssh.SSHKey | None:
        """The key of a file whose passphrase was given already."""
        return self._unlocked.get(path)

    async def _ask(self, file: KeyFile, hop: Hop) -> asyncssh.SSHKey | None:
        data = await asyncio.to_thread(file.path.read_bytes)
        answers = (await self._agent.status()).problem is None
        for attempt in range(PASSPHRASE_TRIES):
            question = PassphraseQuestion(
                hop=hop.name,
                key_file=str(file.path),
                fingerprint=fingerprint(file.public) if file.public else None,
                wrong=attempt > 0,
                lifetime_seconds=self._lifetime if answers else None,
            )
            passphrase = await self._prompter.passphrase(question)
            if passphrase is None:
                return None
            with contextlib.suppress(asyncssh.KeyEncryptionError, asyncssh.KeyImportError):
                # bcrypt takes a good part of a second: never on the loop.
                return await asyncio.to_thread(asyncssh.import_private_key, data, passphrase)
        return None


def read_key_file(path: Path) -> KeyFile | None:
    """Reads what a key file shows without its passphrase; None where it cannot be read at all."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    beside = _read_public(path.with_name(path.name + ".pub"))
    if b"ENCRYPTED PRIVATE KEY" in data or b"Proc-Type: 4,ENCRYPTED" in data:
        return KeyFile(path, beside, None, locked=True)
    cipher, inside = _openssh_header(data)
    if cipher not in ("", "none"):
        return KeyFile(path, inside or beside, None, locked=True)
    try:
        private = asyncssh.import_private_key(data)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError):
        public = _read_public(path)
        return KeyFile(path, public, None, locked=False) if public else None
    return KeyFile(path, private.convert_to_public(), private, locked=False)


def _read_public(path: Path) -> asyncssh.SSHKey | None:
    try:
        return asyncssh.read_public_key(path)
    except (OSError, asyncssh.KeyImportError):
        return None


def _openssh_header(data: bytes) -> tuple[str, asyncssh.SSHKey | None]:
    """The cipher and the public key that an OpenSSH private key file holds in clear
    (PROTOCOL.key); an empty cipher where it is no such file."""
    try:
        blob = base64.b64decode(data.split(b"-----")[2])
    except (IndexError, binascii.Error):
        return "", None
    magic = b"openssh-key-v1\0"
    if not blob.startswith(magic):
        return "", None
    cipher, rest = _string(blob[len(magic) :])
    _kdf, rest = _string(rest)
    _kdf_options, rest = _string(rest)
    public, _ = _string(rest[4:])  # after the number of keys
    algorithm, _ = _string(public)
    try:
        key = asyncssh.import_public_key(algorithm + b" " + base64.b64encode(public))
    except asyncssh.KeyImportError:
        return cipher.decode(errors="replace"), None
    return cipher.decode(errors="replace"), key


def _string(data: bytes) -> tuple[bytes, bytes]:
    """Splits an SSH string (RFC 4251, section 5) off `data`."""
    length = int.from_bytes(data[:4], "big")
    return data[4 : 4 + length], data[4 + length :]
