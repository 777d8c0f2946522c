"""What a signature is asked for: a login, an SSH signature such as git's, or something unknown.

The data to be signed says so itself, and no two kinds can be taken for each other: a login begins
with the length of a session id (RFC 4252, section 7), an SSH signature with its magic
(PROTOCOL.sshsig of OpenSSH).
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuhop_tui.ssh.guard.host_key import plain_key
from gpuhop_tui.ssh.guard.wire import Fields, WireError

MAX_NAME = 256  # characters of a user or a namespace

_USERAUTH_REQUEST = 50
_SSHSIG = b"SSHSIG"
_HOSTBOUND = b"publickey-hostbound-v00@openssh.com"


@dataclass(frozen=True, slots=True)
class SignRequest:
    """A SIGN message, section 3.6 of the draft."""

    key: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Login:
    """RFC 4252, section 7; with the host key: PROTOCOL of OpenSSH, section 3.3."""

    session_id: bytes
    user: str
    host_key: bytes | None


@dataclass(frozen=True, slots=True)
class SshSignature:
    """`ssh-keygen -Y sign`, and git with gpg.format = ssh (namespace "git")."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing that is known to be signed with SSH keys."""


Purpose = Login | SshSignature | Unknown


def read_sign(contents: bytes) -> SignRequest:
    """A SIGN message after its first byte. Raises WireError."""
    fields = Fields(contents)
    key, data = fields.string(), fields.string()
    fields.uint32()  # flags: which hash RSA is to use
    fields.end()
    return SignRequest(key, data)


def purpose_of(request: SignRequest) -> Purpose:
    """What the data is. Whatever is not exactly a login or an SSH signature is unknown."""
    for read in (_login, _ssh_signature):
        try:
            return read(request)
        except WireError:
            continue
    return Unknown()


def _login(request: SignRequest) -> Login:
    fields = Fields(request.data)
    session_id = fields.string()
    if not session_id or fields.byte() != _USERAUTH_REQUEST:
        raise WireError("no login")
    user = _name(fields)
    service, method = fields.string(), fields.string()
    is_signed = fields.boolean()
    algorithm, key = fields.string(), fields.string()
    if service != b"ssh-connection" or not is_signed or not algorithm:
        raise WireError("no login")
    # A client may show a certificate and sign with the key that it is for.
    if key != request.key and plain_key(key) != request.key:
        raise WireError("a login with another key")
    host_key = None
    if method == _HOSTBOUND:
        host_key = fields.string()
    elif method != b"publickey":
        raise WireError("no login")
    fields.end()
    return Login(session_id, user, host_key)


def _ssh_signature(request: SignRequest) -> SshSignature:
    if not request.data.startswith(_SSHSIG):
        raise WireError("no SSH signature")
    fields = Fields(request.data[len(_SSHSIG) :])
    namespace = _name(fields)
    for _reserved_hash_digest in range(3):
        fields.string()
    fields.end()
    return SshSignature(namespace)


def _name(fields: Fields) -> str:
    name = fields.text()
    if not 0 < len(name) <= MAX_NAME:
        raise WireError("no name has that length")
    return name
