"""A directory for sockets that nobody else may enter. It is gone when its process is: at its end,
or, where that came by SIGKILL, at the next start of another one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import time
from pathlib import Path

_LOCK = "lock"
_LONGEST_BASE = 60  # a socket's path has 103 characters on macOS, unix(4)
_YOUNG_SECONDS = 10.0  # between its making and its lock a directory looks abandoned


class PrivateDirectory:
    """Mode 0700, held by an flock(2) for as long as its process lives."""

    def __init__(self, base: Path | None = None) -> None:
        """Makes it below `base`, by default the user's runtime directory, and removes those that
        dead processes have left there. Raises OSError."""
        base = base or _runtime_directory()
        _sweep(base)
        self.path = base / f"{_prefix()}{secrets.token_hex(4)}"
        self.path.mkdir(mode=0o700)
        self.path.chmod(0o700)
        self._lock = _locked(self.path / _LOCK, create=True)

    def close(self) -> None:
        """Removes it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _prefix() -> str:
    return f"gpuhop-{os.getuid()}-"


def _runtime_directory() -> Path:
    """$XDG_RUNTIME_DIR where it is ours alone and its path is short, else /tmp."""
    named = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    if named.is_absolute() and len(str(named)) <= _LONGEST_BASE and _is_ours(named):
        return named
    return Path("/tmp")


def _is_ours(path: Path) -> bool:
    """Whether it is a directory of this user that no other user may enter."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077


def _sweep(base: Path) -> None:
    for path in base.glob(f"{_prefix()}*"):
        with contextlib.suppress(OSError):
            if not _is_ours(path) or time.time() - path.stat().st_mtime < _YOUNG_SECONDS:
                continue
            lock = _locked(path / _LOCK, create=False)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _locked(path: Path, *, create: bool) -> int | None:
    """A descriptor that holds the lock; None where another process holds it."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT
    descriptor = os.open(path, flags if create or not path.exists() else flags & ~os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
