"""Names for a host key: what the config and the known_hosts files call the server that has it.

Formats are those of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import asyncssh

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh.guard.host_key import HostKey
from gpuhop_tui.ssh.known_hosts import (
    KnownHosts,
    KnownKeys,
    keys_for,
    known_hosts_name,
    parse_lines,
)

# Hashed entries give a name away only to who guesses it: these are where people push to.
_GUESSES = (
    "github.com",
    "ssh.github.com",
    "[ssh.github.com]:443",
    "gitlab.com",
    "[altssh.gitlab.com]:443",
    "bitbucket.org",
    "codeberg.org",
    "git.sr.ht",
    "hf.co",
    "huggingface.co",
    "ssh.dev.azure.com",
)
_PRINCIPALS = 16  # of a certificate, that are looked up


@dataclass(frozen=True, slots=True)
class Named:
    """`names`: the config's first, then those of known_hosts. `revoked`: a line says so."""

    names: tuple[str, ...] = ()
    revoked: bool = False


class HostNames:
    """Looks host keys up. Reads files: not for the event loop."""

    def __init__(self, known_hosts: KnownHosts, hops: Iterable[Hop] = ()) -> None:
        """`hops`: the servers of the config, which have names of their own."""
        self._known_hosts = known_hosts
        self._hops = tuple(dict.fromkeys(hops))

    def of(self, key: HostKey) -> Named:
        """What the server with this key is called."""
        files = dict.fromkeys(file for hop in self._hops for file in hop.known_hosts_files)
        lines = {
            file: list(_lines_with(key, file))
            for file in files or (Path.home() / ".ssh" / "known_hosts",)
        }
        # Of a big file only the few lines with this key are worth parsing.
        parsed = {file: parse_lines(line.text for line in found) for file, found in lines.items()}
        names: list[str] = []
        for hop in self._hops:
            known = self._known_hosts.beside_files(hop)
            if hop.pinned_host_key is None:
                for file in hop.known_hosts_files:
                    known = known.joined(keys_for(hop, parsed[file]))
            if _is_of(key, hop, known):
                names += [hop.name, known_hosts_name(hop)]
        guesses = [*map(known_hosts_name, self._hops), *_GUESSES]
        revoked = False
        for file, found in lines.items():
            for line in found:
                if line.marker == "@revoked":
                    revoked = True
                elif not line.marker and line.key == key.blob:
                    names += line.names(guesses)
            names += _certified(key, parsed[file])
        return Named(tuple(dict.fromkeys(names)), revoked)


def _is_of(key: HostKey, hop: Hop, known: KnownKeys) -> bool:
    """Whether a hop's server may show this key; a certificate only if it is for that host."""
    if key.blob in {each.public_data for each in known.trusted}:
        return True
    if key.authority not in {each.public_data for each in known.authorities}:
        return False
    host = (hop.host_key_alias or hop.host).lower()
    # Host certificates may be for `*.example.org` (ssh-keygen(1), CERTIFICATES).
    return any(fnmatchcase(host, principal.lower()) for principal in key.principals)


def _certified(key: HostKey, entries: asyncssh.SSHKnownHosts) -> Iterator[str]:
    """The hosts that a certificate is for, as far as its authority may speak of them."""
    for principal in key.principals[:_PRINCIPALS]:
        _trusted, authorities, *_ = entries.match(principal.lower(), "", None)
        if key.authority in {each.public_data for each in authorities}:
            yield principal


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    marker: str  # "", "@cert-authority" or "@revoked"
    hosts: str
    key: bytes

    def names(self, guesses: Iterable[str]) -> Iterator[str]:
        """Its names; of a hashed one those of the guesses that it is."""
        if self.hosts.startswith("|1|"):
            yield from (guess for guess in guesses if _is_hash_of(self.hosts, guess))
        else:
            yield from (name for name in self.hosts.split(",") if name and name[0] != "!")


def _lines_with(key: HostKey, file: Path) -> Iterator[_Line]:
    """The lines for a key, or for the authority of its certificate."""
    blobs = {base64.b64encode(blob).decode(): blob for blob in (key.blob, key.authority) if blob}
    try:
        text = file.read_text(errors="replace") if file.is_file() else ""
    except OSError:
        return
    for line in text.splitlines():
        if not any(blob in line for blob in blobs):
            continue
        words = line.split()
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or words[2] not in blobs:
            continue
        if marker in ("", "@cert-authority", "@revoked"):
            yield _Line(line, marker, words[0], blobs[words[2]])


def _is_hash_of(hashed: str, name: str) -> bool:
    """`|1|salt|HMAC-SHA1 of the name|`, as ssh-keygen -H writes it."""
    try:
        _, _, salt, digest = hashed.split("|")
        key = base64.b64decode(salt)
        return base64.b64decode(digest) == hmac.new(key, name.encode(), hashlib.sha1).digest()
    except ValueError:
        return False
