"""The audit log: one line of JSON a decision, appended, for its user's eyes only, rotated.

It holds names, fingerprints and reasons; never a key, a signature or what was signed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs

from gpuhop_tui.ssh.guard.model import SignatureEvent

SCHEMA = 1
ROTATE_BYTES = 1 << 20
KEPT = 5  # files, the one that is written to included
LOCK_SECONDS = 3.0  # how long another program may take to write its line
_LINE_LIMIT = 4096  # bytes of any one text: names come from remote hosts


def default_path() -> Path:
    """`agent.jsonl` in the user's state directory (XDG)."""
    return Path(platformdirs.user_state_dir("gpuhop-tui")) / "agent.jsonl"


class AuditLog:
    """Appends to one file, as several programs may at once. Blocks: not for the event loop."""

    def __init__(self, path: Path | None = None, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.path = path or default_path()
        self._rotate_bytes = rotate_bytes

    def append(self, event: SignatureEvent) -> None:
        """Raises OSError."""
        line = json.dumps(to_json(event), ensure_ascii=True).encode() + b"\n"
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            self._rotate()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self.path, flags, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
                if os.write(descriptor, line) != len(line):
                    raise OSError("the disk is full")
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path.with_suffix(".lock"), flags, 0o600)
        try:
            until = time.monotonic() + LOCK_SECONDS
            while not _lock(descriptor):
                if time.monotonic() > until:
                    raise OSError("another program holds its lock")
                time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    def _rotate(self) -> None:
        try:
            size = self.path.lstat().st_size
        except FileNotFoundError:
            return
        if size < self._rotate_bytes:
            return
        for number in range(KEPT - 2, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                _rotated(self.path, number).replace(_rotated(self.path, number + 1))
        self.path.replace(_rotated(self.path, 1))


def files(path: Path) -> list[Path]:
    """The log's files that there are, oldest first."""
    numbered = [_rotated(path, number) for number in range(KEPT - 1, 0, -1)]
    return [file for file in (*numbered, path) if file.exists()]


def to_json(event: SignatureEvent) -> dict[str, Any]:
    """One line. Times are seconds since the epoch; what is not known is null."""
    facts = event.facts
    line: dict[str, Any] = {
        "schema": SCHEMA,
        "time": round(event.at, 3),
        "decision": "allowed" if event.allowed else "denied",
        "reason": event.reason,
        "asked": event.asked,
        "node": event.node,
        "via": list(event.via),
        "lending": f"{os.getpid()}.{event.lending}",
        "request": "sign" if facts is not None else event.refused,
        "purpose": facts.purpose.value if facts else None,
        "destination": list(facts.destination) if facts else [],
        "host_key": (facts.host_key if facts else "") or None,
        "through": list(facts.through) if facts else [],
        "user": (facts.user if facts else "") or None,
        "namespace": (facts.namespace if facts else "") or None,
        "key": facts.key if facts else None,
        "key_comment": (facts.key_comment if facts else "") or None,
        "unlogged": event.unlogged,
    }
    return {name: _bounded(value) for name, value in line.items()}


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _rotated(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_LINE_LIMIT]
    if isinstance(value, list):
        return [_bounded(each) for each in value[:32]]
    return value
