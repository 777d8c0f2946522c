"""RevokedHostKeys (ssh_config(5)): host keys and certificates that must not be trusted any more.

The file is a list of public keys, one a line, or a KRL, which is ssh-keygen's to read. As in ssh, a
file that cannot be read, or not be understood, leaves no host key trusted.
"""

from __future__ import annotations

import base64
import binascii
import subprocess
from pathlib import Path
from typing import Any

import asyncssh

_KRL_MAGIC = b"SSHKRL\n\0"  # PROTOCOL.krl
_NOT_REVOKED, _REVOKED = 0, 1  # exit codes of ssh-keygen -Q
_SECONDS = 5.0  # for ssh-keygen, which takes some milliseconds


class RevokedKeysError(Exception):
    """The file, or the key, could not be examined."""


def is_revoked(key_data: bytes, file: Path) -> bool:
    """Whether `file` revokes the host key or certificate that a server has shown, as it was sent.

    It blocks for the time of one ssh-keygen where the file is a KRL: not for the event loop. Raises
    RevokedKeysError.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RevokedKeysError(error.strerror) from None
    if content.startswith(_KRL_MAGIC):
        return _is_in_krl(key_data, file)
    keys = [_read_line(line, n) for n, line in enumerate(content.splitlines(), 1)]
    return not _plain_keys(key_data).isdisjoint(keys)


def _is_in_krl(key_data: bytes, file: Path) -> bool:
    try:
        done = subprocess.run(
            ["ssh-keygen", "-Q", "-f", file, "/dev/stdin"],
            input=_line(key_data),
            capture_output=True,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise RevokedKeysError("it takes ssh-keygen to read it, which is not on PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RevokedKeysError(f"ssh-keygen: {error}") from None
    if done.returncode in (_NOT_REVOKED, _REVOKED):
        return done.returncode == _REVOKED
    said = done.stderr.decode(errors="replace").strip().splitlines()
    raise RevokedKeysError(said[-1] if said else f"ssh-keygen failed with {done.returncode}")


def _plain_keys(key_data: bytes) -> set[bytes]:
    """The key itself; of a certificate, the key that it certifies and its authority's."""
    if not _is_certificate(key_data):
        return {key_data}
    certificate = _certificate(key_data)
    return {certificate.key.public_data, certificate.signing_key.public_data}


def _read_line(line: bytes, number: int) -> bytes:
    """The key of a line `algorithm base64 comment`; nothing for a comment or an empty line."""
    line = line.strip()
    if not line or line.startswith(b"#"):
        return b""
    algorithm, _, rest = line.partition(b" ")
    try:
        key_data = base64.b64decode(rest.split()[0], validate=True)
    except (IndexError, binascii.Error):
        key_data = b""
    if not key_data or _algorithm(key_data) != algorithm:
        raise RevokedKeysError(f"line {number} is not a public key")
    return _certificate(key_data).key.public_data if _is_certificate(key_data) else key_data


def _certificate(key_data: bytes) -> Any:
    """An OpenSSH certificate, with `key` and `signing_key`."""
    try:
        return asyncssh.import_certificate(_line(key_data))
    except asyncssh.KeyImportError as error:
        raise RevokedKeysError(str(error)) from None


def _line(key_data: bytes) -> bytes:
    return _algorithm(key_data) + b" " + base64.b64encode(key_data) + b"\n"


def _algorithm(key_data: bytes) -> bytes:
    """The first string of a key's encoding, RFC 4253, section 6.6."""
    return key_data[4 : 4 + int.from_bytes(key_data[:4], "big")]


def _is_certificate(key_data: bytes) -> bool:
    return _algorithm(key_data).endswith(b"-cert-v01@openssh.com")
