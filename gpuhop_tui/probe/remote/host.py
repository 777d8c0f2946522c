"""The machine around the GPUs, from /proc and statvfs. Every blank gets a reason."""

import os
import time
from typing import Any, Dict, Optional, Tuple

from .text import visible
from .workers import Bell, Worker, clock, wait_for

MIB = 1 << 20
LEAST_TICKS = 20  # below this many clock ticks a CPU percentage would be noise

# Where container engines keep images, the first that exists is the container store.
STORES = (
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/containerd",
    "~/.local/share/docker",
    "~/.local/share/containers",
)


class HostReader:
    """Reads in a thread, with a deadline: statvfs hangs on a network file system that is gone."""

    def __init__(self, bell: Bell, root: str = "/proc") -> None:
        self._bell = bell
        self._root = root
        self._worker = Worker(bell)
        self._ticks = self._cpu_ticks()
        self._asked = False

    def ask(self) -> None:
        """Starts reading, so that it goes on while GPUs are read."""
        self._asked = self._worker.ask(self._read)

    def read(self, seconds: float) -> Dict[str, Any]:
        """The host part of a document; figures are left out, with a reason, where reading hangs."""
        if self._asked:  # one that has been stuck since an earlier sample is not waited for
            wait_for([self._worker], self._bell, seconds)
        if not self._worker.answered:
            since = self._worker.asked_at or time.time()
            reason = "not answering since " + clock(since)
            return {"missing": {name: reason for name in FIGURES}}
        host: Dict[str, Any] = self._worker.answer()
        return host

    def _read(self) -> Dict[str, Any]:
        host: Dict[str, Any] = {}
        missing: Dict[str, str] = {}
        for name, read in (
            ("hostname", self._hostname),
            ("boot_time", self._boot_time),
            ("cpu_count", os.cpu_count),
            ("cpu_percent", self._cpu_percent),
            ("load_1", lambda: round(os.getloadavg()[0], 2)),
            ("memory", self._memory),
            ("disks", self._disks),
        ):
            try:
                value: Any = read()
                if value is None:
                    raise ValueError("not known")
            except (OSError, ValueError, LookupError) as error:
                reason = _reason(error)
                if name == "memory":
                    missing["memory_used_bytes"] = missing["memory_total_bytes"] = reason
                else:
                    missing[name] = reason
            else:
                if name == "memory":
                    host["memory_used_bytes"], host["memory_total_bytes"] = value
                else:
                    host[name] = value
        if missing:
            host["missing"] = missing
        return host

    def _hostname(self) -> str:
        return visible(os.uname().nodename, 255)

    def _boot_time(self) -> int:
        return int(_fields(self._root + "/stat")["btime"][0])

    def _cpu_ticks(self) -> Optional[Tuple[int, int]]:
        """(busy, all) clock ticks since boot, of all CPUs (proc(5), /proc/stat)."""
        try:
            ticks = [int(word) for word in _fields(self._root + "/stat")["cpu"][:8]]
        except (OSError, ValueError, LookupError):
            return None
        total = sum(ticks)
        return total - ticks[3] - ticks[4], total  # all but idle and iowait

    def _cpu_percent(self) -> float:
        before, now = self._ticks, self._cpu_ticks()
        if before is None or now is None:
            self._ticks = now
            raise ValueError("/proc/stat is not readable")
        total = now[1] - before[1]
        if total < LEAST_TICKS:
            raise ValueError("not measured yet")
        self._ticks = now
        return round(min(100.0, max(0.0, 100.0 * (now[0] - before[0]) / total)), 1)

    def _memory(self) -> Tuple[int, int]:
        """(used, total) bytes; used is what MemAvailable leaves."""
        fields = _fields(self._root + "/meminfo")
        total, available = int(fields["MemTotal:"][0]), int(fields["MemAvailable:"][0])
        return (total - available) * 1024 // MIB * MIB, total * 1024

    def _disks(self) -> Dict[str, Any]:
        """path: [free, total] bytes; free is what users may still write."""
        disks: Dict[str, Any] = {}
        paths = [os.path.expanduser(path) for path in STORES]
        for path in ["/"] + [path for path in paths if _is_there(path)][:1]:
            status = os.statvfs(path)
            free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
            disks[visible(path, 255)] = [free // (16 * MIB) * 16 * MIB, total]
        return disks


FIGURES = (
    "hostname",
    "boot_time",
    "cpu_count",
    "cpu_percent",
    "load_1",
    "memory_used_bytes",
    "memory_total_bytes",
    "disks",
)


def _is_there(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except OSError:
        return False


def _fields(path: str) -> Dict[str, Any]:
    """The lines of a /proc file: first word → the others; the first line of a name counts."""
    fields: Dict[str, Any] = {}
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split()
            if words:
                fields.setdefault(words[0], words[1:])
    return fields


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return "%s: %s" % (error.filename or "the system", error.strerror or error)
    if isinstance(error, LookupError):
        return "this kernel does not say"
    return str(error)
