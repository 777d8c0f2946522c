"""The agent's keys and the key files of `~/.ssh`, to be looked at and acted upon by a person."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path

import asyncssh

from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.key_care import KeyFileFacts, KeysView
from gpuhop_tui.ssh.key_facts import key_facts
from gpuhop_tui.ssh.key_files import KeyRing, read_key_file
from gpuhop_tui.ssh.own_agent import AgentStartError, OwnAgent, kept_agent

_LARGEST = 64 * 1024  # bytes of a file that may be a key
PASSPHRASE = "passphrase"
_PRIVATE = b"PRIVATE KEY-----"


class KeychainError(Exception):
    """What was asked for was not done. `field` is what was wrong, where it is one that is typed."""

    def __init__(self, message: str, advice: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message, self.advice, self.field = message, advice, field


class Keychain:
    """Shared by all who show or change keys. The private keys never leave this process except to
    the agent."""

    def __init__(
        self, agent: Agent, ring: KeyRing, lifetime_seconds: int | None, home: Path | None = None
    ) -> None:
        self.lifetime_seconds = lifetime_seconds  # the usual one, of keys that are added
        self.home = home  # whose .ssh is looked at; None: the user's
        self._agent = agent
        self._ring = ring
        self._own: OwnAgent | None = None
        self.changed = asyncio.Event()  # set by each action; to be cleared by who waits for it

    @property
    def can_confirm(self) -> bool:
        """Whether there is a program here by which an agent can ask before each use."""
        named = os.environ.get("SSH_ASKPASS") or "ssh-askpass"
        return shutil.which(named) is not None

    async def view(self) -> KeysView:
        """How things stand. Never raises."""
        status, files = await asyncio.gather(
            self._agent.status(), asyncio.to_thread(find_key_files, self._directory)
        )
        return KeysView(
            status.socket, status.problem, status.held, tuple(files), self._own_agent_words()
        )

    @property
    def _directory(self) -> Path:
        return (self.home or Path.home()) / ".ssh"

    def _own_agent_words(self) -> str | None:
        if self._own is not None and self._own.socket == self._agent.socket:
            return KEPT if self._own.is_kept else BOUND
        if self._agent.socket is not None and self._agent.socket == kept_agent():
            return KEPT
        return None

    async def start_agent(self, *, keep: bool) -> None:
        """Starts an agent and uses it from now on. Without `keep` it ends with this program.

        Raises KeychainError.
        """
        if (await self._agent.status()).problem is None:
            raise KeychainError("there is an agent already", "use it, or end it: ssh-agent -k")
        try:
            own = await OwnAgent.start(keep=keep)
        except AgentStartError as error:
            advice = 'start one yourself: eval "$(ssh-agent)"'
            raise KeychainError(str(error), advice) from None
        before, self._own = self._own, own
        self._agent.move_to(own.socket)
        self.changed.set()
        if before is not None:
            await before.stop()

    async def add(
        self,
        path: Path,
        passphrase: str | None = None,
        *,
        lifetime_seconds: int | None = None,
        confirm: bool = False,
    ) -> None:
        """Adds a key file, and the certificate beside it, to the agent.

        The passphrase is not needed where it was given before. Raises KeychainError.
        """
        key = self._ring.unlocked(path) or await self._unlock(path, passphrase)
        certificate = await asyncio.to_thread(_certificate_beside, path)
        taken = await self._agent.add(
            key, lifetime_seconds, certificate=certificate, confirm=confirm
        )
        self.changed.set()
        if not taken:
            status = await self._agent.status()
            raise KeychainError(
                status.problem or "the agent does not take keys",
                "add it where the agent keeps its keys, or use another agent: ssh-add says more",
            )

    async def _unlock(self, path: Path, passphrase: str | None) -> asyncssh.SSHKey:
        try:
            data = await asyncio.to_thread(path.read_bytes)
            file = await asyncio.to_thread(read_key_file, path)
            if file is not None and file.locked and not passphrase:
                raise KeychainError(
                    "the key needs its passphrase",
                    f"or add it yourself: ssh-add {path}",
                    PASSPHRASE,
                )
            key = await asyncio.to_thread(asyncssh.import_private_key, data, passphrase or None)
        except OSError as error:
            reason = error.strerror or str(error)
            raise KeychainError(f"{path} cannot be read: {reason}", "check the file") from None
        except asyncssh.KeyEncryptionError:
            raise KeychainError(
                "that did not open the key", "type the passphrase again", PASSPHRASE
            ) from None
        except (asyncssh.KeyImportError, ValueError) as error:
            raise KeychainError(
                f"{path} is not read here: {error}", f"try: ssh-add {path}"
            ) from None
        if passphrase:
            self._ring.learn(path, key)
        return key

    async def remove(self, fingerprint: str) -> None:
        """Takes a key, and its certificates, from the agent. Raises KeychainError."""
        if not await self._agent.remove(fingerprint):
            raise KeychainError("the agent did not remove the key", "ssh-add -d, or -D for all")
        self.changed.set()

    async def close(self) -> None:
        """Ends an agent that was started without `keep`."""
        own, self._own = self._own, None
        if own is not None:
            await own.stop()


BOUND = "started by gpuhop: it ends with gpuhop, and the keys with it"
KEPT = "started by gpuhop, and kept: later runs find it"


def find_key_files(directory: Path) -> list[KeyFileFacts]:
    """The private keys in a directory such as ~/.ssh, by name. Blocks; never raises."""
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        return []
    return [found for path in paths if (found := _key_file(path))]


def _key_file(path: Path) -> KeyFileFacts | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= _LARGEST:
            return None
        if _PRIVATE not in path.read_bytes():
            return None
    except OSError:
        return None
    file = read_key_file(path)
    if file is None:
        return None
    facts = None
    if file.public is not None:
        facts = key_facts(file.public.public_data, file.public.get_comment() or "")
    return KeyFileFacts(path, facts, file.locked, stat.S_IMODE(status.st_mode))


def _certificate_beside(path: Path) -> asyncssh.SSHCertificate | None:
    """`PATH-cert.pub`, which ssh-add(1) adds too."""
    try:
        return asyncssh.read_certificate(path.with_name(f"{path.name}-cert.pub"))
    except (OSError, asyncssh.KeyImportError):
        return None
