"""Proof of which server a connection leads to, for the agent that signs there.

OpenSSH's agent uses a key with destination constraints (`ssh-add -h`) only on an agent connection
that is bound to the server's host key, and lets none that is bound for forwarding add providers:
`session-bind@openssh.com`, PROTOCOL.agent of OpenSSH. As with ssh(1), each login binds an agent
connection of its own. asyncssh throws the proof away: this module and `hostbound` are the only ones
that reach into it for that, and tests/unit/ssh/test_session_bind.py watches what they rely on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncssh
from asyncssh.constants import MSG_EXT_INFO
from asyncssh.packet import Boolean, Byte, PacketDecodeError, SSHPacket, String

SSH_AGENTC_EXTENSION = 27
SSH_AGENT_SUCCESS = 6

EXTENSION = b"session-bind@openssh.com"
HOSTBOUND = b"publickey-hostbound@openssh.com"  # of EXT_INFO (RFC 8308); PROTOCOL of OpenSSH

BIND_SECONDS = 2.0  # an agent that knows no such request has to say so by then


@dataclass(frozen=True, slots=True)
class SessionBind:
    """What the first key exchange of a connection has proven."""

    host_key: bytes  # the server's public key or host certificate, as it was sent
    session_id: bytes  # the exchange hash, RFC 4253, section 7.2
    signature: bytes  # by the host key, of the session id

    def request(self, *, forwarding: bool) -> bytes:
        """The agent message that binds an agent connection, without the length before it.

        `forwarding`: what comes over that connection is asked for by the server's side.
        """
        return (
            Byte(SSH_AGENTC_EXTENSION)
            + String(EXTENSION)
            + String(self.host_key)
            + String(self.session_id)
            + String(self.signature)
            + Boolean(forwarding)
        )


class Handshake:
    """What the server proves and offers while a connection is made; filled in as it happens."""

    def __init__(self) -> None:
        self.bind: SessionBind | None = None
        self.hostbound = False  # it takes publickey-hostbound-v00@openssh.com

    @classmethod
    def of(cls, connection: asyncssh.SSHClientConnection) -> Handshake:
        """The handshake of a connection on which nothing has been received yet."""
        handshake = cls()
        handshake._witness_host_key(connection)
        handshake._listen_for_extensions(connection)
        return handshake

    def _witness_host_key(self, connection: asyncssh.SSHClientConnection) -> None:
        validate = connection.validate_server_host_key

        def validated(key_data: bytes) -> Any:
            def proven(session_id: bytes, signature: bytes) -> None:
                if self.bind is None:  # later exchanges give new keys, not a new session
                    self.bind = SessionBind(key_data, session_id, signature)

            return _Witness(validate(key_data), proven)

        connection.validate_server_host_key = validated  # type: ignore[method-assign]

    def _listen_for_extensions(self, connection: asyncssh.SSHClientConnection) -> None:
        handlers = connection._packet_handlers
        handle = handlers[MSG_EXT_INFO]

        def noted(owner: Any, kind: int, number: int, packet: SSHPacket) -> Any:
            if self.bind is not None:
                self.hostbound |= _extensions(packet.get_full_payload()).get(HOSTBOUND) == b"0"
            return handle(owner, kind, number, packet)

        connection._packet_handlers = {**handlers, MSG_EXT_INFO: noted}


class _Witness:
    """A host key, as the key exchange sees it: tells of the signature that it has verified."""

    def __init__(self, key: asyncssh.SSHKey, proven: Callable[[bytes, bytes], None]) -> None:
        self._key = key
        self._proven = proven

    def verify(self, data: bytes, signature: bytes) -> bool:
        valid = self._key.verify(data, signature)
        if valid:
            self._proven(data, signature)
        return valid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._key, name)


def _extensions(payload: bytes) -> dict[bytes, bytes]:
    """The extensions of an EXT_INFO message (RFC 8308, section 2.3); none where it is broken."""
    packet = SSHPacket(payload)
    try:
        packet.get_byte()
        return {packet.get_string(): packet.get_string() for _ in range(packet.get_uint32())}
    except PacketDecodeError:
        return {}


async def send_bind(
    client: asyncssh.SSHAgentClient, bind: SessionBind, *, forwarding: bool = False
) -> bool:
    """Binds an agent connection. Returns whether the agent took it: most know no such request.

    Raises ValueError or TimeoutError where the connection must not be used any more.
    """
    message = bind.request(forwarding=forwarding)
    async with asyncio.timeout(BIND_SECONDS):
        kind, _answer = await client._make_request(message[0], message[1:])
    return kind == SSH_AGENT_SUCCESS
