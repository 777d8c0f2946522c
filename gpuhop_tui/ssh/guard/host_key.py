"""A server's host key as it stands in a session-bind: a plain key, or a host certificate."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any

import asyncssh
from asyncssh.public_key import decode_ssh_certificate, decode_ssh_public_key

# `ssh-rsa` signatures are made with SHA-1, for which collisions can be bought.
_WEAK = (b"ssh-rsa", b"ssh-dss")


class HostKeyError(ValueError):
    """Bytes that are no host key that can be verified here."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """`blob` is the key alone; `authority`, of a certificate, the key of who has signed it, and
    `principals` the hosts that it was signed for: none where it is no host's, or does not hold
    now."""

    blob: bytes
    authority: bytes | None = None
    principals: tuple[str, ...] = ()
    _key: Any = field(default=None, repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.blob)

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` (algorithm and bytes, RFC 4253, section 6.6) is this key's."""
        algorithm = signature[4 : 4 + int.from_bytes(signature[:4])]
        if algorithm in _WEAK:
            return False
        try:
            return bool(self._key.verify(data, signature))
        except Exception:  # whatever a crypto library makes of bytes from a stranger
            return False


def read_host_key(data: bytes) -> HostKey:
    """Raises HostKeyError."""
    try:
        if b"-cert-v01@openssh.com" in data[4:68]:
            certificate: Any = decode_ssh_certificate(data)
            key, signer = certificate.key, certificate.signing_key
            return HostKey(key.public_data, signer.public_data, _principals(certificate), key)
        key = decode_ssh_public_key(data)
        return HostKey(key.public_data, _key=key)
    except Exception as error:  # as above
        reason = str(error) if isinstance(error, asyncssh.KeyImportError) else "not a host key"
        raise HostKeyError(reason) from None


def _principals(certificate: Any) -> tuple[str, ...]:
    try:
        certificate.validate(asyncssh.public_key.CERT_TYPE_HOST, None)
    except ValueError:
        return ()
    return tuple(certificate.principals)


def plain_key(data: bytes) -> bytes:
    """The public key in a certificate; other keys as they are."""
    try:
        return read_host_key(data).blob
    except HostKeyError:
        return data


def fingerprint(blob: bytes) -> str:
    """`SHA256:…` as `ssh-keygen -lf` prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"
