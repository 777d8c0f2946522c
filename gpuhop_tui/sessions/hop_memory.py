"""Which hops are open, so that they can be offered after the program was killed.

One small JSON file under the user's state directory, written atomically, for this user only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs

from gpuhop_tui.config.atomic import write_atomically
from gpuhop_tui.sessions.hop_target import HopTarget

KEPT = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenHop:
    """A hop that was open when its program last said so."""

    node: str
    target: HopTarget
    opened_at: float  # seconds since the epoch
    pid: int  # of the program
    started: str  # when that process started, so that a pid used again is not taken for it

    @property
    def is_orphaned(self) -> bool:
        """Whether its program has gone without leaving it."""
        return _started(self.pid) != self.started

    @property
    def way_back(self) -> HopTarget:
        """The same session, if it is still there: it is not made anew, nor a command run twice."""
        return replace(self.target, create=False)


def open_hops(path: Path | None = None) -> list[OpenHop]:
    """Hops whose program was killed, the latest first. Never raises."""
    orphans = [hop for hop in _read(path or _file()) if hop.is_orphaned]
    return sorted(orphans, key=lambda hop: hop.opened_at, reverse=True)


def remember(node: str, target: HopTarget, path: Path | None = None) -> OpenHop:
    """Notes that a hop is open; an orphan to the same place is the same hop."""
    hop = OpenHop(node, target, time.time(), os.getpid(), _started(os.getpid()))

    def edit(hops: list[OpenHop]) -> None:
        hops[:] = [h for h in hops if (h.node, h.target) != (node, target) or not h.is_orphaned]
        hops.append(hop)

    _change(path or _file(), edit)
    return hop


def forget(hop: OpenHop, path: Path | None = None) -> None:
    """Notes that a hop was left, or is not wanted back."""

    def edit(hops: list[OpenHop]) -> None:
        hops[:] = [other for other in hops if other != hop]

    _change(path or _file(), edit)


def _file() -> Path:
    return Path(platformdirs.user_state_dir("gpuhop-tui")) / "hops.json"


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot (proc(5)); empty where it is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
        with contextlib.suppress(OSError):  # no procfs: alive is all that can be told
            os.kill(pid, 0)
            return "alive"
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]  # dead, and only not yet waited for


def _read(path: Path) -> list[OpenHop]:
    try:
        entries = json.loads(path.read_text())
        return [_parsed(entry) for entry in entries][-KEPT:]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        _log.warning("%s cannot be read: %s", path, error)
        return []


def _parsed(entry: dict[str, Any]) -> OpenHop:
    return OpenHop(
        str(entry["node"]),
        HopTarget.from_json(entry["target"]),
        float(entry["opened_at"]),
        int(entry["pid"]),
        str(entry["started"]),
    )


def _change(path: Path, edit: Callable[[list[OpenHop]], None]) -> None:
    """Reads, edits and writes back. Not being able to is no failure of a hop."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            hops = _read(path)
            edit(hops)
            _write(path, hops[-KEPT:])
    except OSError as error:
        _log.warning("open hops cannot be remembered: %s", error)


def _write(path: Path, hops: list[OpenHop]) -> None:
    entries = [
        {
            "node": hop.node,
            "target": hop.target.to_json(),
            "opened_at": hop.opened_at,
            "pid": hop.pid,
            "started": hop.started,
        }
        for hop in hops
    ]
    write_atomically(path, json.dumps(entries, indent=1).encode())
