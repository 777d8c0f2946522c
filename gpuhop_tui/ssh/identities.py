"""Which keys a login offers, in OpenSSH's order, and unlocking key files as late as possible.

Order (ssh_config(5), IdentityFile and IdentitiesOnly): keys of the agent that the hop names, other
keys of the agent, then key files that the agent does not hold. A locked file is offered by its
public part; its passphrase is asked for only once a server has said that it would take that key.
"""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh.agent import ANSWER_SECONDS, Agent
from gpuhop_tui.ssh.algorithms import only_accepted
from gpuhop_tui.ssh.key_files import KeyDeclinedError, KeyFile, KeyRing, read_key_file
from gpuhop_tui.ssh.patience import Patience

# A key that must be touched or confirmed waits for a person, but an agent that died must not hold
# a login for ever; sshd's own LoginGraceTime is 120 s.
SIGN_SECONDS = 110.0


@dataclass(frozen=True, slots=True)
class Offer:
    """All keys for one login, in the order to try, and what there was to choose from."""

    pairs: list[asyncssh.SSHKeyPair]
    opaque: list[KeyFile]  # locked, and must be unlocked even to be offered
    agent_problem: str | None  # why the agent gave none; None where it answered
    agent_keys: int
    key_files: int
    not_accepted: int = 0  # keys left out because of PubkeyAcceptedAlgorithms
    withheld: int = 0  # keys that the agent holds, where it lets this hop have none of them


async def offer_keys(
    hop: Hop,
    agent: Agent,
    client: asyncssh.SSHAgentClient | None,
    ring: KeyRing,
    patience: Patience,
    declined: list[str],
) -> Offer:
    """Collects the keys to try at `hop`. `client` is the open connection to `agent`, if any; bound
    to the hop, the agent lists only the keys that it may use there.

    A key that the server would take but that does not sign adds the reason to `declined`.
    """
    agent_pairs, agent_problem = await _agent_pairs(agent, client, patience, declined)
    files = [read_key_file(path) for path in hop.identity_files]
    certificates = [_read_certificate(path) for path in hop.certificate_files]
    by_blob = {pair.key_public_data: pair for pair in agent_pairs}

    named: list[asyncssh.SSHKeyPair] = []
    from_files: list[asyncssh.SSHKeyPair] = []
    opaque: list[KeyFile] = []
    for file in files:
        if file is None:
            continue
        held = by_blob.get(file.public.public_data) if file.public else None
        if held is not None:
            named.append(held)
        elif file.public is not None and (file.private is not None or file.locked):
            from_files.append(_FilePair(file, file.public, hop, ring, patience, declined))
        elif file.locked:
            opaque.append(file)

    rest = [pair for pair in agent_pairs if pair not in named]
    plain = named + ([] if hop.identities_only else rest) + from_files
    pairs = _with_certificates(plain, certificates)
    accepted = only_accepted(pairs, hop.pubkey_algorithms)
    withheld = 0
    if client is not None and not agent_pairs and agent_problem is None:
        withheld = len((await agent.status()).keys)  # asked as nobody's login: all it holds
    return Offer(
        pairs=accepted,
        opaque=opaque,
        agent_problem=agent_problem,
        agent_keys=len(agent_pairs),
        key_files=sum(file is not None for file in files),
        not_accepted=len(pairs) - len(accepted),
        withheld=withheld,
    )


def _read_certificate(path: Path) -> asyncssh.SSHCertificate | None:
    try:
        return asyncssh.read_certificate(path)
    except (OSError, asyncssh.KeyImportError):
        return None


def _with_certificates(
    pairs: list[asyncssh.SSHKeyPair], certificates: list[asyncssh.SSHCertificate | None]
) -> list[asyncssh.SSHKeyPair]:
    """Each key preceded by its certificate, as ssh(1) offers them."""
    offered: list[asyncssh.SSHKeyPair] = []
    for pair in pairs:
        for certificate in certificates:
            if certificate is None or pair.has_cert:
                continue
            if certificate.key.public_data == pair.key_public_data:
                certified = copy.copy(pair)
                certified.set_certificate(certificate)
                offered.append(certified)
        offered.append(pair)
    return offered


async def _agent_pairs(
    agent: Agent,
    client: asyncssh.SSHAgentClient | None,
    patience: Patience,
    declined: list[str],
) -> tuple[list[asyncssh.SSHKeyPair], str | None]:
    if client is None:
        return [], "no agent"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):  # or a login with a key file would wait for it
            pairs = await client.get_keys()
    except (OSError, ValueError, TimeoutError, asyncssh.Error):
        return [], f"the agent at {agent.socket} does not answer"
    return [_AgentPair(client, pair, patience, declined) for pair in pairs], None


class _AgentPair(asyncssh.SSHAgentKeyPair):
    """A key of the agent. Signing may wait for a touch or a confirmation: a person's time."""

    def __init__(
        self,
        client: asyncssh.SSHAgentClient,
        pair: asyncssh.SSHKeyPair,
        patience: Patience,
        declined: list[str],
    ) -> None:
        super().__init__(client, pair.key_algorithm, pair.key_public_data, b"")
        self._patience = patience
        self._declined = declined

    async def sign_async(self, data: bytes) -> bytes:
        try:
            with self._patience.waiting_for_person():
                async with asyncio.timeout(SIGN_SECONDS):
                    return await super().sign_async(data)
        except TimeoutError:
            self._declined.append(f"the agent did not sign within {SIGN_SECONDS:.0f} s")
        except (OSError, ValueError):  # a person said no, or the agent has gone
            self._declined.append("the agent refused to sign")
        raise KeyDeclinedError(self._declined[-1])


class _FilePair(asyncssh.SSHKeyPair):
    """A key file, unlocked only when a server asks for its signature."""

    _key_type = "file"

    def __init__(
        self,
        file: KeyFile,
        public: asyncssh.SSHKey,
        hop: Hop,
        ring: KeyRing,
        patience: Patience,
        declined: list[str],
    ) -> None:
        super().__init__(
            public.algorithm,
            public.algorithm,
            public.sig_algorithms,
            public.sig_algorithms,
            public.public_data,
            None,
        )
        self._file = file
        self._hop = hop
        self._ring = ring
        self._patience = patience
        self._declined = declined

    async def sign_async(self, data: bytes) -> bytes:
        key = self._file.private
        try:
            key = key or await self._ring.unlock(self._file, self._hop, self._patience)
        except KeyDeclinedError as exc:
            self._declined.append(str(exc))
            raise
        return key.sign(data, self.sig_algorithm)
