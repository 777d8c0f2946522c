"""Parts of agent messages, made as OpenSSH makes them."""

from __future__ import annotations

from typing import Any

import asyncssh

from gpuhop_tui.ssh.guard.wire import string

HOSTBOUND = b"publickey-hostbound-v00@openssh.com"


def key(kind: str = "ssh-ed25519", **options: Any) -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(kind, **options)


def bind(
    host_key: asyncssh.SSHKey,
    session_id: bytes,
    *,
    forwarding: bool = False,
    signature: bytes | None = None,
    shown: bytes | None = None,
) -> bytes:
    """The contents of a session-bind, after the extension's name. `shown`: another host key."""
    algorithm = host_key.sig_algorithms[0]
    made = host_key.sign(session_id, algorithm) if signature is None else signature
    blob = host_key.public_data if shown is None else shown
    return string(blob) + string(session_id) + string(made) + bytes([forwarding])


def login(
    user_key: bytes,
    session_id: bytes,
    *,
    user: bytes = b"git",
    host_key: bytes | None = None,
    service: bytes = b"ssh-connection",
    method: bytes | None = None,
    signed: bool = True,
    rest: bytes = b"",
) -> bytes:
    """What a client has signed to log in, RFC 4252, section 7."""
    name = method or (b"publickey" if host_key is None else HOSTBOUND)
    return (
        string(session_id)
        + b"\x32"
        + string(user)
        + string(service)
        + string(name)
        + bytes([signed])
        + string(b"ssh-ed25519")
        + string(user_key)
        + (string(host_key) if host_key is not None else b"")
        + rest
    )


def sshsig(namespace: bytes = b"git") -> bytes:
    """What ssh-keygen -Y sign has signed, PROTOCOL.sshsig."""
    return b"SSHSIG" + string(namespace) + string(b"") + string(b"sha512") + string(b"h" * 64)


def sign(user_key: bytes, data: bytes) -> bytes:
    """The contents of a SIGN message, after its first byte."""
    return string(user_key) + string(data) + bytes(4)
