"""The user's SSH agent: what it holds, and adding a key to it. The key itself never comes out.

Protocol: draft-ietf-sshm-ssh-agent, spoken by asyncssh.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from gpuhop_tui.ssh.key_care import HeldKey, Terms
from gpuhop_tui.ssh.key_facts import key_facts
from gpuhop_tui.ssh.own_agent import kept_agent
from gpuhop_tui.ssh.session_bind import SessionBind, send_bind

ANSWER_SECONDS = 5.0  # an agent that takes longer to list its keys is taken for dead


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What the agent says of itself. `problem` is None when it answered."""

    socket: str | None
    keys: tuple[bytes, ...] = ()  # public key blobs
    problem: str | None = None
    held: tuple[HeldKey, ...] = ()  # the same keys, in words

    @property
    def line(self) -> str:
        """One line for a header, such as `2 keys`."""
        if self.problem:
            return self.problem
        return f"{len(self.keys)} key{'' if len(self.keys) == 1 else 's'}"


class Agent:
    """One agent, by its socket path; None where there is none. Every call opens the socket anew,
    so that an agent that was restarted at the same path is found again."""

    def __init__(self, socket: str | None) -> None:
        self.socket = socket
        self._terms: dict[bytes, Terms] = {}  # of keys that were added here

    @classmethod
    def from_environment(cls, configured: str | None = None) -> Agent:
        """The configured socket, else SSH_AUTH_SOCK, else that of an agent kept from before."""
        socket = configured or os.environ.get("SSH_AUTH_SOCK") or None
        if configured is None and (socket is None or not Path(socket).exists()):
            socket = kept_agent() or socket
        return cls(str(Path(socket).expanduser()) if socket else None)

    async def status(self) -> AgentStatus:
        """Lists the agent's keys. Never raises: a silent or missing agent is a status too."""
        if self.socket is None:
            return AgentStatus(None, problem="no agent")
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self.client() as client:
                pairs = await client.get_keys()
        except (OSError, ValueError, TimeoutError, asyncssh.Error):
            return AgentStatus(self.socket, problem="agent does not answer")
        blobs = tuple(pair.public_data for pair in pairs)
        comments = [(pair.get_comment_bytes() or b"").decode(errors="replace") for pair in pairs]
        held = tuple(
            HeldKey(key_facts(blob, comment), self._terms_of(blob))
            for blob, comment in zip(blobs, comments, strict=True)
        )
        return AgentStatus(self.socket, blobs, held=held)

    def _terms_of(self, blob: bytes) -> Terms | None:
        terms = self._terms.get(blob)
        if terms is not None and terms.until is not None and terms.until < time.time():
            return None  # it has gone since, and somebody else has added it again
        return terms

    def move_to(self, socket: str) -> None:
        """From now on it is the agent at another socket."""
        self.socket = socket
        self._terms.clear()

    async def has_keys(self) -> bool:
        """Whether there is a key to offer."""
        return bool((await self.status()).keys)

    async def add(
        self,
        key: asyncssh.SSHKey,
        lifetime_seconds: int | None,
        *,
        certificate: asyncssh.SSHCertificate | None = None,
        confirm: bool = False,
    ) -> bool:
        """Adds an unlocked private key for `lifetime_seconds` (None: until the agent ends), and
        its certificate. With `confirm` the agent asks before each use, by ssh-askpass(1).

        Returns whether the agent took it: some agents take none, and that is no failure.
        """
        if self.socket is None:
            return False
        pairs = asyncssh.load_keypairs([key], certlist=[certificate] if certificate else ())
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self.client() as client:
                await client.add_keys(pairs, lifetime=lifetime_seconds, confirm=confirm)
        except (OSError, ValueError, TimeoutError, asyncssh.Error):
            return False
        until = time.time() + lifetime_seconds if lifetime_seconds else None
        self._terms.update({pair.public_data: Terms(until, confirm) for pair in pairs})
        return True

    async def remove(self, fingerprint: str) -> bool:
        """Takes a key and its certificates away. Returns whether the agent did so."""
        if self.socket is None:
            return False
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self.client() as client:
                pairs = await client.get_keys()
                wanted = [p for p in pairs if key_facts(p.public_data).fingerprint == fingerprint]
                await client.remove_keys(wanted)
        except (OSError, ValueError, TimeoutError, asyncssh.Error):
            return False
        return bool(wanted)

    def client(self) -> asyncssh.SSHAgentClient:
        """A connection to the agent, opened at its first request. The caller closes it."""
        assert self.socket is not None
        return asyncssh.SSHAgentClient(self.socket)

    async def bound_client(self, bind: SessionBind | None) -> asyncssh.SSHAgentClient:
        """A connection to the agent for one login, bound to its server where the agent can."""
        client = self.client()
        if bind is None:
            return client
        try:
            await send_bind(client, bind)
        except (OSError, ValueError, TimeoutError):
            client.close()
            return self.client()
        return client
