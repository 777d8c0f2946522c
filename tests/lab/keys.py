"""Keys and certificates, made by ssh-keygen."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Key:
    """A key pair in files. `certificate` is where a certificate for it would be."""

    path: Path
    passphrase: str = ""

    @property
    def public_path(self) -> Path:
        return self.path.with_name(self.path.name + ".pub")

    @property
    def public(self) -> str:
        """The public key's one line, `type base64 comment`."""
        return self.public_path.read_text().strip()

    @property
    def certificate(self) -> Path:
        return self.path.with_name(self.path.name + "-cert.pub")

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as ssh-add -l and the questions about host keys show it."""
        return _keygen("-l", "-f", self.public_path).split()[1]


def generate(path: Path, *, kind: str = "ed25519", passphrase: str = "", comment: str = "") -> Key:
    """Make a key pair at `path` (and `path`.pub). kind: ed25519, rsa, ecdsa."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bits = ("-b", "2048") if kind == "rsa" else ()
    _keygen("-q", "-t", kind, *bits, "-N", passphrase, "-C", comment or path.name, "-f", path)
    return Key(path, passphrase)


def certify(
    key: Key,
    authority: Key,
    *,
    principals: Sequence[str],
    host: bool = False,
    validity: str = "-5m:+1h",
    options: Sequence[str] = (),
) -> Path:
    """Sign `key` with `authority`; returns the certificate's path (beside the key).

    principals: login names, or host names with `host`. validity and options: as of -V and -O in
    ssh-keygen(1).
    """
    flags = ["-h"] if host else []
    for option in options:
        flags += ["-O", option]
    _keygen(
        "-q", "-s", authority.path, "-I", key.path.name, "-n", ",".join(principals),
        "-V", validity, *flags, key.public_path,
    )  # fmt: skip
    return key.certificate


def _keygen(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["ssh-keygen", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise RuntimeError(f"ssh-keygen: {done.stderr.strip()}")
    return done.stdout
