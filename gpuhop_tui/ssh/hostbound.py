"""Logins with a key that name the host key too: `publickey-hostbound-v00@openssh.com`.

PROTOCOL of OpenSSH, section 3.3. The signature then holds for one server's host key, and an agent
with destination constraints can check it. As in ssh(1), a key is still offered as `publickey`, and
only the signed request is of the other kind, where the server has announced it.
"""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh.packet import String

from gpuhop_tui.ssh.session_bind import Handshake

METHOD = b"publickey-hostbound-v00@openssh.com"


def sign_hostbound(connection: asyncssh.SSHClientConnection, handshake: Handshake) -> None:
    """Has the connection's signed publickey requests name the host key of its handshake."""
    send = connection.send_userauth_request

    async def hostbound(method: bytes, *args: bytes, key: Any = None, trivial: bool = True) -> None:
        if method == b"publickey" and key is not None and handshake.hostbound and handshake.bind:
            method, args = METHOD, (*args, String(handshake.bind.host_key))
        await send(method, *args, key=key, trivial=trivial)

    connection.send_userauth_request = hostbound  # type: ignore[method-assign]
