"""Names for a host key: what the config and the known_hosts files call the server that has it.

Formats are those of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh.guard.host_key import HostKey
from gpuhop_tui.ssh.known_hosts import KnownHosts, known_hosts_name

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
        names: list[str] = []
        revoked = False
        for hop in self._hops:
            known = self._known_hosts.lookup(hop)
            trusted = {each.public_data for each in known.trusted}
            authorities = {each.public_data for each in known.authorities}
            if key.blob in trusted or (key.authority is not None and key.authority in authorities):
                names += [hop.name, known_hosts_name(hop)]
        guesses = [*map(known_hosts_name, self._hops), *_GUESSES]
        files = dict.fromkeys(file for hop in self._hops for file in hop.known_hosts_files)
        for file in files or (Path.home() / ".ssh" / "known_hosts",):
            for entry in _entries(file):
                if entry.marker == "@revoked":
                    revoked |= entry.key in (key.blob, key.authority)
                elif entry.key == (key.authority if entry.marker else key.blob):
                    names += entry.names(guesses)
        return Named(tuple(dict.fromkeys(names)), revoked)


@dataclass(frozen=True, slots=True)
class _Entry:
    marker: str  # "", "@cert-authority" or "@revoked"
    hosts: str
    key: bytes

    def names(self, guesses: Iterable[str]) -> Iterator[str]:
        """Its names; of a hashed one those of the guesses that it is."""
        if self.hosts.startswith("|1|"):
            yield from (guess for guess in guesses if _is_hash_of(self.hosts, guess))
        else:
            yield from (name for name in self.hosts.split(",") if name and name[0] != "!")


def _entries(file: Path) -> Iterator[_Entry]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        if marker not in ("", "@cert-authority", "@revoked"):
            continue
        try:
            key = base64.b64decode(words[2], validate=True)
        except ValueError:
            continue
        yield _Entry(marker, words[0], key)


def _is_hash_of(hashed: str, name: str) -> bool:
    """`|1|salt|HMAC-SHA1 of the name|`, as ssh-keygen -H writes it."""
    try:
        _, _, salt, digest = hashed.split("|")
        key = base64.b64decode(salt)
        return base64.b64decode(digest) == hmac.new(key, name.encode(), hashlib.sha1).digest()
    except ValueError:
        return False
