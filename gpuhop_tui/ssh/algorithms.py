"""The algorithms that a login proposes: asyncssh's own, or those that ssh_config leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncssh
from asyncssh.encryption import get_default_encryption_algs, get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import get_certificate_algs, get_public_key_algs

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.known_hosts import KnownKeys

_CERTIFICATE = "-cert-v01@openssh.com"

# Host keys as OpenSSH proposes them, without those that need a security key, nor SHA-1.
_PLAIN = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
]


def proposed(hop: Hop, known: KnownKeys) -> dict[str, list[str]]:
    """The options of asyncssh.connect that say which algorithms to propose to `hop`.

    Raises ProblemError where ssh_config leaves none that asyncssh has.
    """
    chosen = {
        "server_host_key_algs": _host_key_algorithms(hop, known),
        "encryption_algs": _quick_ciphers(),
    }
    # asyncssh would do GSSAPI's key exchanges only with Kerberos, and says so too late.
    kex = [name for name in get_kex_algs() if not name.startswith(b"gss-")]
    for option, setting, wanted, possible in (
        ("kex_algs", "KexAlgorithms", hop.kex_algorithms, kex),
        ("encryption_algs", "Ciphers", hop.ciphers, get_encryption_algs()),
        ("mac_algs", "MACs", hop.macs, get_mac_algs()),
    ):
        if wanted:
            chosen[option] = _supported(hop, setting, wanted, possible)
    return chosen


def restrictions(hop: Hop) -> list[str]:
    """The settings of ssh_config that restrict what is proposed to `hop`."""
    restricted = {
        "HostKeyAlgorithms": hop.host_key_algorithms,
        "KexAlgorithms": hop.kex_algorithms,
        "Ciphers": hop.ciphers,
        "MACs": hop.macs,
    }
    return [setting for setting, names in restricted.items() if names]


def only_accepted(
    pairs: Iterable[asyncssh.SSHKeyPair], accepted: Sequence[str]
) -> list[asyncssh.SSHKeyPair]:
    """The keys that may sign by PubkeyAcceptedAlgorithms (empty: all), each held to those."""
    if not accepted:
        return list(pairs)
    kept = []
    for pair in pairs:
        names = [
            name for name in pair.sig_algorithms if _as_offered(name, pair.has_cert) in accepted
        ]
        if names:
            pair.sig_algorithms = names
            pair.set_sig_algorithm(names[-1])  # for a server that does not say what it takes
            kept.append(pair)
    return kept


def _as_offered(name: bytes, certified: bool) -> str:
    """What a signature algorithm is called in PubkeyAcceptedAlgorithms."""
    text = name.decode()
    return text.removesuffix("@openssh.com") + _CERTIFICATE if certified else text


def _host_key_algorithms(hop: Hop, known: KnownKeys) -> list[str]:
    """Those we hold a key for first, as ssh(1) does, so that a server's other keys are no change.

    Certificates are proposed only where an authority for this host is known.
    """
    trusted = [name.decode() for key in known.trusted for name in key.sig_algorithms]
    certified = [name + _CERTIFICATE for name in _PLAIN] if known.authorities else []
    if not hop.host_key_algorithms:
        names = certified + trusted + _PLAIN
        return [name for name in dict.fromkeys(names) if name != "ssh-rsa"]
    possible = get_certificate_algs() + get_public_key_algs()
    allowed = _supported(hop, "HostKeyAlgorithms", hop.host_key_algorithms, possible)
    plain = [name for name in allowed if not name.endswith(_CERTIFICATE)]
    if plain and not known.authorities:
        allowed = plain
    first = [name for name in certified + trusted if name in allowed]
    return list(dict.fromkeys(first + allowed))


def _quick_ciphers() -> list[str]:
    """asyncssh's own, AES-GCM first: there a packet takes one call, with chacha20 it takes four,
    and every packet to a node is encrypted once a hop."""
    names = [name.decode() for name in get_default_encryption_algs()]
    return sorted(names, key=lambda name: "aes128-gcm" not in name)


def _supported(
    hop: Hop, setting: str, wanted: Iterable[str], possible: Iterable[bytes]
) -> list[str]:
    names = {name.decode() for name in possible}
    if found := [name for name in wanted if name in names]:
        return found
    raise ProblemError(
        Problem(
            hop.name,
            ErrorKind.UNRESOLVED,
            f"{setting} in ssh_config leaves nothing that gpuhop can do: {','.join(wanted)}",
            f"add an algorithm to {setting} for this host; it may be one of "
            f"{', '.join(sorted(names))}",
        )
    )
