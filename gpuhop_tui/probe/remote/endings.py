"""How processes of other people ended: their wait status, which the kernel gives only to parents.

A pidfd (pidfd_open(2), Linux 5.3) becomes readable when its process ends, whatever takes its id
afterwards, and tells the status even when the parent has reaped it (PIDFD_GET_INFO, Linux 6.15).
On an older kernel it is known only that it ended.
"""

import ctypes
import fcntl
import os
import select
import struct
import time
from typing import Any, Dict, Iterable, Optional, Tuple

from .procfs import ProcessKey, cgroup_path, read_stat

MOST_WATCHED = 512  # each costs a file descriptor
KEPT_SECONDS = 120.0  # an ending is told for so long
REAPED_SECONDS = 3.0  # the status is there once the parent has taken note; most do at once

_PIDFD_OPEN = 434  # the same number on every architecture
_INFO_SIZE = 64  # PIDFD_INFO_SIZE_VER0
_GET_INFO = 3 << 30 | _INFO_SIZE << 16 | 0xFF << 8 | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11, ...)
_WITH_EXIT = 1 << 3  # PIDFD_INFO_EXIT
_EXIT_CODE_AT = 60
_SIGKILL = 9


class EndingReader:
    """Watches processes until they end. Used from one thread only."""

    def __init__(self, root: str = "/proc") -> None:
        self._root = root
        self._library = ctypes.CDLL(None, use_errno=True)
        self._watched: Dict[ProcessKey, "_Watched"] = {}
        self._ended: Dict[ProcessKey, Dict[str, Any]] = {}

    def read(self, processes: Iterable[Tuple[ProcessKey, int]]) -> Dict[str, Any]:
        """Begins to watch `processes` (key, start in seconds since the epoch); tells of those that
        have ended: "PID@TICKS" → pid, when, status or why there is none."""
        for key, started_at in processes:
            if key not in self._watched and len(self._watched) < MOST_WATCHED:
                self._watched[key] = _Watched(self._open(key), started_at, self._kills(key[0]))
        for key, watched in list(self._watched.items()):
            if not self._is_over(key, watched):
                continue
            watched.over_at = watched.over_at or time.time()
            ending = self._ending(key, watched)
            if "missing" in ending and time.time() < watched.over_at + REAPED_SECONDS:
                continue
            del self._watched[key]
            self._ended[key] = ending
            if watched.fd is not None:
                os.close(watched.fd)
        oldest = time.time() - KEPT_SECONDS
        self._ended = {key: each for key, each in self._ended.items() if each["at"] > oldest}
        return {"%d@%d" % key: dict(each) for key, each in self._ended.items()}

    def _open(self, key: ProcessKey) -> Optional[int]:
        """A pidfd of the process; None where there is none to be had."""
        fd = self._library.syscall(_PIDFD_OPEN, key[0], 0)
        if fd < 0:
            return None
        status = read_stat(self._root, key[0])
        if status is None or status.started != key[1]:  # its id has been taken over meanwhile
            os.close(fd)
            return None
        return int(fd)

    def _is_over(self, key: ProcessKey, watched: "_Watched") -> bool:
        if watched.fd is not None:
            poll = select.poll()  # select() takes no descriptor above 1023
            poll.register(watched.fd, select.POLLIN)
            return bool(poll.poll(0))
        status = read_stat(self._root, key[0])
        return status is None or status.started != key[1]

    def _ending(self, key: ProcessKey, watched: "_Watched") -> Dict[str, Any]:
        ending: Dict[str, Any] = {"pid": key[0], "at": round(watched.over_at, 1)}
        if watched.started_at:
            ending["started_at"] = watched.started_at
        status = None if watched.fd is None else _exit_status(watched.fd)
        if status is None and _is_zombie(self._root, key):
            ending["missing"] = "its parent has not taken note of its end"
        elif status is None:
            ending["missing"] = (
                "Linux tells how another's process ended from 6.15 on; this is "
                + os.uname().release
            )
        else:
            ending["status"] = status
        if watched.kills is not None and (status is None or status & 0x7F == _SIGKILL):
            now = _oom_kills(watched.kills[0])
            if now is not None and now > watched.kills[1]:
                ending["oom"] = True
        return ending

    def _kills(self, pid: int) -> Optional[Tuple[str, int]]:
        """Where the kernel counts what it killed for memory in the process's cgroup, and how many
        so far. Of the root cgroup there is no such file: then it is the whole machine's."""
        path = cgroup_path(self._root, pid)
        for counter in (
            "/sys/fs/cgroup%s/memory.events.local" % path,
            "/sys/fs/cgroup%s/memory.events" % path,
            self._root + "/vmstat",
        ):
            count = _oom_kills(counter)
            if count is not None:
                return counter, count
        return None


class _Watched:
    def __init__(
        self, fd: Optional[int], started_at: int, kills: Optional[Tuple[str, int]]
    ) -> None:
        self.fd = fd
        self.started_at = started_at
        self.kills = kills
        self.over_at = 0.0  # when its end was seen


def _is_zombie(root: str, key: ProcessKey) -> bool:
    status = read_stat(root, key[0])
    return status is not None and status.started == key[1] and status.state == "Z"


def _exit_status(fd: int) -> Optional[int]:
    """The status as wait(2) has it, of a process that has ended; None where the kernel is too old.
    struct pidfd_info: mask, cgroupid (64 bit), eleven ids, exit_code (32 bit)."""
    info = bytearray(struct.pack("=Q", _WITH_EXIT).ljust(_INFO_SIZE, b"\0"))
    try:
        fcntl.ioctl(fd, _GET_INFO, info)
    except OSError:
        return None
    if not struct.unpack_from("=Q", info)[0] & _WITH_EXIT:
        return None
    status: int = struct.unpack_from("=i", info, _EXIT_CODE_AT)[0]
    return status


def _oom_kills(path: str) -> Optional[int]:
    """`oom_kill` of a cgroup's memory.events (cgroup v2) or of /proc/vmstat."""
    try:
        with open(path, "rb") as file:
            for line in file.read(1 << 16).splitlines():
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None
