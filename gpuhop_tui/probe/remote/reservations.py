"""Who has asked for which GPU, by courtesy: one small file each, which its user has written.

The directory is everybody's, as /tmp is, so a file proves nothing but its owner: that is the user,
whatever it says. It is never followed elsewhere, read no further than a note needs, and nobody's
files can crowd out those of others.
"""

import json
import os
import pwd
import stat
import time
from typing import Any, Dict, List, Optional, Tuple

from .text import visible
from .workers import Bell, Worker, wait_for

DIRECTORY = "/var/tmp/gpuhop-tui/reservations"
LONGEST_BYTES = 2048
MOST_ENTRIES = 4096  # looked at
MOST_OF_A_USER = 64
LONGEST_SECONDS = 31 * 86400.0
REREAD_SECONDS = 30.0  # also where nothing seems to have changed

Reservation = Dict[str, Any]


class ReservationReader:
    """Reads in a thread, with a deadline; what is known already is told where reading hangs."""

    def __init__(self, bell: Bell, directory: str = DIRECTORY) -> None:
        self._bell = bell
        self._directory = directory
        self._worker = Worker(bell)
        self._known: Dict[str, Reservation] = {}
        self._changed: Optional[int] = None  # when the directory did, in nanoseconds
        self._read_at = 0.0

    def read(self, seconds: float) -> Dict[str, Reservation]:
        """Those that have not expired: "GPU/UID" → gpu, user, until, note."""
        if self._worker.ask(self._look):
            wait_for([self._worker], self._bell, seconds)
        if self._worker.answered:
            try:
                self._worker.answer()
            except OSError:
                self._known = {}
        now = time.time()
        return {key: each for key, each in self._known.items() if each["until"] > now}

    def _look(self) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            directory = os.open(self._directory, flags)
        except OSError:
            self._known, self._changed = {}, None
            return
        try:
            changed = os.fstat(directory).st_mtime_ns
            fresh = time.monotonic() - self._read_at < REREAD_SECONDS
            if changed == self._changed and fresh:
                return
            self._read_at = time.monotonic()
            self._known = read_all(directory, time.time())
            self._changed = changed
        finally:
            os.close(directory)


def read_all(directory: int, now: float) -> Dict[str, Reservation]:
    """All that hold, of an open directory; of one user and GPU the latest."""
    found: Dict[str, Tuple[float, Reservation]] = {}
    counts: Dict[int, int] = {}
    for name in entries(directory):
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            continue  # gone since
        uid = status.st_uid
        counts[uid] = counts.get(uid, 0) + 1
        if not stat.S_ISREG(status.st_mode) or counts[uid] > MOST_OF_A_USER:
            continue
        reservation = read_one(directory, name, now)
        if reservation is None:
            continue
        key = "%s/%d" % (reservation["gpu"], uid)
        if key not in found or found[key][0] < status.st_mtime:
            found[key] = status.st_mtime, reservation
    return {key: reservation for key, (_, reservation) in found.items()}


def entries(directory: int) -> List[str]:
    """The names in it that do not begin with a dot."""
    names = []
    with os.scandir("/proc/self/fd/%d" % directory) as found:
        for number, entry in enumerate(found):
            if number >= MOST_ENTRIES:
                break
            if not entry.name.startswith("."):
                names.append(entry.name)
    return names


def read_one(directory: int, name: str, now: float) -> Optional[Reservation]:
    """One file; None where it is none, has expired, or cannot be its owner's own."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=directory)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        # A second name may be a link that another has made to somebody's file elsewhere.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return None
        raw = os.read(file, LONGEST_BYTES + 1)
    except OSError:
        return None
    finally:
        os.close(file)
    if len(raw) > LONGEST_BYTES:
        return None
    try:
        said = json.loads(raw.decode("utf-8"))
        gpu, until, note = said["gpu"], float(said["until"]), said.get("note", "")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    if not isinstance(gpu, str) or not isinstance(note, str):
        return None
    if not now < until <= now + LONGEST_SECONDS:
        return None
    return {
        "gpu": visible(gpu, 96),
        "user": user_name(status.st_uid),
        "until": int(until),
        "note": visible(note, 200),
    }


def user_name(uid: int) -> str:
    """The name of a user id; the number where it has none."""
    try:
        return visible(pwd.getpwuid(uid).pw_name, 64)
    except (KeyError, OSError):
        return str(uid)
