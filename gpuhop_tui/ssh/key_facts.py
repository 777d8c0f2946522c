"""What a public key says of itself: kind, size, fingerprint, and the certificate it may be part of.

Formats: RFC 4253 section 6.6, RFC 5656, PROTOCOL.certkeys and PROTOCOL.u2f of OpenSSH. Keys of
agents come in every kind, also in kinds that nobody here can use: those are shown all the same.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from gpuhop_tui.ssh.guard.wire import Fields, WireError, string

_CERTIFIED = b"-cert-v01@openssh.com"
_FOREVER = 2**64 - 1

# Kinds by their name on the wire, and how many fields follow it.
_KINDS = {
    b"ssh-ed25519": ("ed25519", 1),
    b"ssh-rsa": ("rsa", 2),
    b"ssh-dss": ("dsa", 4),
    b"ecdsa-sha2-nistp256": ("ecdsa", 2),
    b"ecdsa-sha2-nistp384": ("ecdsa", 2),
    b"ecdsa-sha2-nistp521": ("ecdsa", 2),
    b"sk-ssh-ed25519@openssh.com": ("ed25519-sk", 2),
    b"sk-ecdsa-sha2-nistp256@openssh.com": ("ecdsa-sk", 3),
}


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What an authority has vouched for. Times are seconds since the epoch."""

    key_id: str
    principals: tuple[str, ...]  # who may log in with it; none: everyone
    valid_after: int
    valid_before: int | None  # None: for ever

    def is_expired(self, now: float) -> bool:
        return self.valid_before is not None and now >= self.valid_before


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One public key or certificate."""

    kind: str  # "ed25519", "rsa", "ecdsa-sk"; the name on the wire where it is not known here
    bits: int | None  # as `ssh-keygen -l` counts; None: not known
    fingerprint: str  # "SHA256:…" of the key, for a certificate too
    comment: str = ""
    certificate: CertificateFacts | None = None

    @property
    def is_security_key(self) -> bool:
        """Its private half never leaves a device that wants to be touched."""
        return self.kind.endswith("-sk")

    @property
    def is_weak(self) -> bool:
        """Too short, or of a kind that OpenSSH has given up: RSA below 3072 bits, DSA."""
        return self.kind == "dsa" or (self.kind == "rsa" and (self.bits or 0) < 3072)


def key_facts(blob: bytes, comment: str = "") -> KeyFacts:
    """The facts of a public key blob, as an agent lists it. A broken one has only a fingerprint."""
    read = Fields(blob)
    name = b""
    try:
        name = read.string()
        plain = _plain_name(name)
        if plain not in _KINDS:
            raise WireError("of no kind that is known here")
        if plain != name:
            read.string()  # nonce
        kind, count = _KINDS[plain]
        fields = [read.string() for _ in range(count)]
        certificate = _certificate(read) if plain != name else None
    except WireError:
        words = name.decode("ascii", errors="replace") or "unknown"
        return KeyFacts(words, None, _fingerprint(blob), comment)
    key = b"".join(string(field) for field in (plain, *fields))
    return KeyFacts(kind, _bits(kind, fields), _fingerprint(key), comment, certificate)


def _plain_name(name: bytes) -> bytes:
    """The kind of key that a kind of certificate is for."""
    if not name.endswith(_CERTIFIED):
        return name
    plain = name.removesuffix(_CERTIFIED)
    return plain + b"@openssh.com" if plain.startswith(b"sk-") else plain


def _certificate(read: Fields) -> CertificateFacts:
    _uint64(read)  # serial
    read.uint32()  # for a user or a host
    key_id, principals = read.text(), read.string()
    after, before = _uint64(read), _uint64(read)
    return CertificateFacts(
        key_id, _texts(principals), after, None if before == _FOREVER else before
    )


def _texts(data: bytes) -> tuple[str, ...]:
    """The strings that a string is made of."""
    read = Fields(data)
    texts, taken = [], 0
    while taken < len(data):
        text = read.string()
        taken += 4 + len(text)
        texts.append(text.decode(errors="backslashreplace"))
    return tuple(texts)


def _uint64(read: Fields) -> int:
    return read.uint32() << 32 | read.uint32()


def _bits(kind: str, fields: list[bytes]) -> int:
    if kind in ("rsa", "dsa"):
        number = fields[1] if kind == "rsa" else fields[0]  # the modulus; the prime
        return int.from_bytes(number, "big").bit_length()
    if kind == "ecdsa":
        return int(fields[0].removeprefix(b"nistp") or 0) if fields[0][5:].isdigit() else 0
    return 256


def _fingerprint(blob: bytes) -> str:
    """As `ssh-keygen -lf` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
