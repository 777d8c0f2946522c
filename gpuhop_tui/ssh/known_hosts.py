"""Host keys: what the known_hosts files say of a hop, and writing down what a person accepted.

Formats and rules are those of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". asyncssh parses the lines;
where a line stands, and what is written, is decided here.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from gpuhop_tui.config.hops import Hop


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What the files hold for one hop."""

    trusted: list[asyncssh.SSHKey] = field(default_factory=list)
    authorities: list[asyncssh.SSHKey] = field(default_factory=list)  # @cert-authority
    revoked: list[asyncssh.SSHKey] = field(default_factory=list)  # @revoked

    def joined(self, other: KnownKeys) -> KnownKeys:
        return KnownKeys(
            self.trusted + other.trusted,
            self.authorities + other.authorities,
            self.revoked + other.revoked,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """Where an entry stands, to be shown as `file:number`."""

    file: Path
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


class KnownHosts:
    """All known_hosts files of a fleet, read again whenever they change. For any thread."""

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._files: dict[Path, tuple[tuple[int, int], asyncssh.SSHKnownHosts]] = {}
        self._accepted_once: dict[tuple[str, int | None], list[asyncssh.SSHKey]] = {}

    def lookup(self, hop: Hop) -> KnownKeys:
        """The keys on file for `hop`; an unreadable or missing file holds none."""
        known = self.beside_files(hop)
        if hop.pinned_host_key is None:
            for file in hop.known_hosts_files:
                known = known.joined(keys_for(hop, self._load(file)))
        return known

    def beside_files(self, hop: Hop) -> KnownKeys:
        """The keys of `hop` that stand in no file: the pinned one, or those accepted once."""
        if hop.pinned_host_key is not None:
            return KnownKeys(trusted=[asyncssh.import_public_key(hop.pinned_host_key)])
        return KnownKeys(trusted=list(self._accepted_once.get(_entry_name(hop), ())))

    def lines(self, hop: Hop) -> list[Line]:
        """Every line that speaks of `hop`, for telling a person which one no longer holds."""
        name, port = _entry_name(hop)
        found = []
        for file in hop.known_hosts_files:
            for number, text in enumerate(_read_lines(file), start=1):
                keys = _parse_line(text).match(name, "", port)
                if any(keys):
                    found.append(Line(file, number))
        return found

    def accept_once(self, hop: Hop, key: asyncssh.SSHKey) -> None:
        """Trusts `key` for `hop` for as long as this program runs."""
        self._accepted_once.setdefault(_entry_name(hop), []).append(key)

    def accept_always(self, hop: Hop, key: asyncssh.SSHKey) -> Path:
        """Appends `key` to the hop's first known_hosts file, hashed if that file is hashed or
        HashKnownHosts says so.

        Returns the file. Raises OSError where it cannot be written.
        """
        file = hop.known_hosts_files[0]
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry_name = known_hosts_name(hop)
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            content = stream.read()
            if hop.hash_known_hosts or any(
                line.startswith(b"|1|") for line in content.splitlines()
            ):
                entry_name = _hashed(entry_name)
            public = key.export_public_key("openssh").split()[:2]
            line = entry_name.encode() + b" " + b" ".join(public) + b"\n"
            # A last line without a newline must not swallow ours.
            stream.write((b"" if not content or content.endswith(b"\n") else b"\n") + line)
        return file

    def _load(self, file: Path) -> asyncssh.SSHKnownHosts:
        try:
            status = file.stat()
        except OSError:
            return asyncssh.SSHKnownHosts()
        version = (status.st_mtime_ns, status.st_size)
        with self._loading:
            cached = self._files.get(file)
            if cached and cached[0] == version:
                return cached[1]
            parsed = parse_lines(_read_lines(file))
            self._files[file] = (version, parsed)
            return parsed


def parse_lines(lines: Iterable[str]) -> asyncssh.SSHKnownHosts:
    """The entries of known_hosts lines; one broken line does not hide the others."""
    parsed = asyncssh.SSHKnownHosts()
    for text in lines:
        with contextlib.suppress(ValueError):
            parsed.load(text)
    return parsed


def keys_for(hop: Hop, entries: asyncssh.SSHKnownHosts) -> KnownKeys:
    """What the entries hold for `hop`."""
    name, port = _entry_name(hop)
    trusted, authorities, revoked, *_x509 = entries.match(name, "", port)
    return KnownKeys(list(trusted), list(authorities), list(revoked))


def is_host_key(text: str) -> bool:
    """Whether it is a public key, "TYPE BASE64"."""
    try:
        asyncssh.import_public_key(text)
    except asyncssh.KeyImportError:
        return False
    return True


def known_hosts_name(hop: Hop) -> str:
    """The name a known_hosts line has for `hop`: `host`, `[host]:port`, or its HostKeyAlias."""
    name, port = _entry_name(hop)
    return f"[{name}]:{port}" if port else name


def fingerprint(key: asyncssh.SSHKey) -> str:
    """`SHA256:…` as `ssh-keygen -lf` prints it."""
    return key.get_fingerprint("sha256")


def _entry_name(hop: Hop) -> tuple[str, int | None]:
    # ssh(1) looks an alias up without the port, and every name in lower case.
    if hop.host_key_alias:
        return hop.host_key_alias.lower(), None
    return hop.host.lower(), hop.port if hop.port != 22 else None


def _hashed(name: str) -> str:
    salt = os.urandom(hashlib.sha1().digest_size)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def _read_lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _parse_line(text: str) -> asyncssh.SSHKnownHosts:
    try:
        return asyncssh.import_known_hosts(text)
    except ValueError:
        return asyncssh.SSHKnownHosts()
