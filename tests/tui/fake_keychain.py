"""Keys that need no agent: every kind that the screen has words for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from gpuhop_tui.ssh.key_care import HeldKey, KeyFileFacts, KeysView, Terms
from gpuhop_tui.ssh.key_facts import CertificateFacts, KeyFacts
from gpuhop_tui.ssh.keychain import PASSPHRASE, KeychainError

HOME = Path("/home/mira")
NOW = 1_762_869_731.0  # as tests.tui.fakes has it


def facts(kind: str, bits: int, comment: str, certificate: CertificateFacts | None = None):
    digest = hashlib.sha256(comment.encode()).hexdigest()[:43]
    return KeyFacts(kind, bits, f"SHA256:{digest}", comment, certificate)


LAPTOP = facts("ed25519", 256, "mira@laptop")
OLD = facts("rsa", 2048, "mira@old [1999]")
TOUCHED = facts("ed25519-sk", 256, "yubikey")
SIGNED = facts(
    "ecdsa",
    256,
    "work",
    CertificateFacts("mira-2025", ("mira", "root"), 0, int(NOW) + 7200),
)


def file(key: KeyFacts | None, name: str, *, locked: bool = True, mode: int = 0o600):
    return KeyFileFacts(HOME / ".ssh" / name, key, locked, mode)


FILES = (
    file(LAPTOP, "id_ed25519"),
    file(OLD, "id_rsa", locked=False, mode=0o644),
    file(facts("ed25519", 256, "spare"), "spare"),
)
FULL = KeysView(
    "/run/user/1000/agent.sock",
    None,
    (HeldKey(LAPTOP, Terms(NOW + 5 * 3600, True)), HeldKey(SIGNED), HeldKey(TOUCHED)),
    FILES,
)
MISSING = KeysView(None, "no agent", (), FILES)


class FakeKeychain:
    """A keychain whose passphrase is `sesame`."""

    lifetime_seconds = 8 * 3600
    can_confirm = True

    def __init__(self, now: KeysView = FULL) -> None:
        self.now = now
        self.home = HOME
        self.did: list[object] = []
        self.retried: list[str | None] = []
        self.failure: KeychainError | None = None

    async def view(self) -> KeysView:
        return self.now

    async def add(self, path, passphrase=None, *, lifetime_seconds=None, confirm=False):
        if self.failure:
            raise self.failure
        found = next(each for each in self.now.files if each.path == path)
        if found.locked and passphrase != "sesame":
            raise KeychainError("that did not open the key", "type it again", PASSPHRASE)
        self.did.append(("add", path.name, lifetime_seconds, confirm))
        held = HeldKey(found.facts, Terms(NOW + (lifetime_seconds or 0), confirm))
        self.now = replace(self.now, held=(*self.now.held, held))

    async def remove(self, fingerprint):
        self.did.append(("remove", fingerprint))
        left = tuple(each for each in self.now.held if each.facts.fingerprint != fingerprint)
        self.now = replace(self.now, held=left)

    async def start_agent(self, *, keep):
        if self.failure:
            raise self.failure
        self.did.append(("start", keep))
        self.now = replace(self.now, socket="/run/own.sock", agent_problem=None, own_agent="ours")
