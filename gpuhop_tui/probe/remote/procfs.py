"""Whose a process is: user, command line, start, container and tmux pane, from /proc (proc(5)).

A process stuck in the kernel makes whoever reads its command line hang, too, so all of it is read
in a thread with a deadline; what can always be read comes first.
"""

import os
import pwd
import re
import time
from typing import Any, Dict, List, Optional, Tuple

from .text import decoded, visible
from .workers import Bell, Worker, wait_for

REFRESH_SECONDS = 30.0  # programs rewrite their command line to show progress
LONGEST_CHAIN = 64  # ancestors

ProcessKey = Tuple[int, int]
"""Process id and start in clock ticks after boot: an id is used again in time."""

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
# /kubepods/burstable/podUID/ID, or of systemd /kubepods.slice/kubepods-burstable-podU_I_D.slice/…
_POD = re.compile(
    r"kubepods[^\n]*?[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
)
_LXC_NAME = re.compile(r"/lxc(?:\.payload)?[./]([^/]+)")


class ProcessReader:
    """Keeps what is known of the processes on the GPUs."""

    def __init__(self, bell: Bell, root: str = "/proc") -> None:
        self._bell = bell
        self._root = root
        self._worker = Worker(bell)
        self._known: Dict[int, Known] = {}
        self._users = _users_of_passwd()
        self._boot_time = boot_time(root)

    def details(self, pids: List[int], seconds: float) -> Dict[str, Dict[str, Any]]:
        """Process id → user, command, ...: as much as could be read in `seconds`."""
        if self._worker.ask(lambda: self._read(pids)):
            wait_for([self._worker], self._bell, seconds)
        if self._worker.answered:
            self._worker.answer()
        known = self._known
        return {str(pid): dict(known[pid].details) for pid in pids if pid in known}

    def _read(self, pids: List[int]) -> None:
        """In the worker. Replaces whole entries only, since the other thread reads them."""
        fresh: Dict[int, Known] = {}
        for pid in pids:
            status = read_stat(self._root, pid)
            if status is None:
                continue  # ended
            known = self._known.get(pid)
            if known is None or known.started != status.started:
                known = Known(status.started, self._quick(pid, status))
            fresh[pid] = known
        self._known = fresh
        for pid, known in list(fresh.items()):
            if time.monotonic() >= known.read_again_at:
                details = self._slow(pid, known.details)
                fresh[pid] = Known(known.started, details, time.monotonic() + REFRESH_SECONDS)

    def _quick(self, pid: int, status: "Stat") -> Dict[str, Any]:
        """What never hangs."""
        details: Dict[str, Any] = {"command": "[%s]" % visible(status.name, 64)}
        uid = read_uid(self._root, pid)
        if uid is not None:
            details["user"] = self._users.get(uid) or "uid %d" % uid
        if self._boot_time:
            details["started_at"] = started_at(self._boot_time, status.started)
        return details

    def _slow(self, pid: int, details: Dict[str, Any]) -> Dict[str, Any]:
        """What may hang: name services, the memory of other processes."""
        details = dict(details)
        uid = read_uid(self._root, pid)
        if uid is not None and uid not in self._users:
            self._users[uid] = _user_name(uid)
            details["user"] = self._users[uid]
        details.update(container_of(_text(self._root, pid, "cgroup")))
        directory = _link(self._root, pid, "cwd")
        if directory:
            details["cwd"] = directory
        pane = tmux_pane(self._root, pid)
        if pane:
            details["tmux"] = pane
        command = command_line(_bytes(self._root, pid, "cmdline"))
        if command:
            details["command"] = command
        return details


class Known:
    """What is known of one process; `started` (ticks since boot) tells it from a later one."""

    def __init__(self, started: int, details: Dict[str, Any], read_again_at: float = 0.0) -> None:
        self.started = started
        self.details = details
        self.read_again_at = read_again_at


class Stat:
    """The fields of /proc/PID/stat that matter here."""

    def __init__(self, name: str, fields: List[str]) -> None:
        """`fields` are those after the name. Raises ValueError where they are no numbers."""
        self.name = name
        self.state = fields[0]  # R, S, D, Z, ...
        self.parent = int(fields[1])
        self.ticks = int(fields[11]) + int(fields[12])  # clock ticks of CPU, user and system
        self.started = int(fields[19])  # clock ticks after boot
        self.resident = int(fields[21])  # pages


def parse_stat(text: str) -> Optional[Stat]:
    """/proc/PID/stat. The name is in parentheses and may itself hold blanks and parentheses."""
    opening, closing = text.find("("), text.rfind(")")
    fields = text[closing + 1 :].split()
    if not 0 < opening < closing or len(fields) < 22:
        return None
    try:
        return Stat(text[opening + 1 : closing], fields)
    except ValueError:
        return None


def read_stat(root: str, pid: int) -> Optional[Stat]:
    return parse_stat(_text(root, pid, "stat"))


def read_uid(root: str, pid: int) -> Optional[int]:
    """The real user id, of /proc/PID/status: the owner of /proc/PID may be root instead."""
    for line in _text(root, pid, "status").splitlines():
        if line.startswith("Uid:"):
            try:
                return int(line.split()[1])
            except (IndexError, ValueError):
                return None
    return None


def command_of(root: str, pid: int) -> bytes:
    """/proc/PID/cmdline. May hang, as all that looks into the memory of another process."""
    return _bytes(root, pid, "cmdline")


def cgroup_path(root: str, pid: int) -> str:
    """The path of a process's cgroup of version 2, or "" where it is at the top or there is none:
    cgroups(7)."""
    for line in _text(root, pid, "cgroup").splitlines():
        if line.startswith("0::/"):
            return line[3:].rstrip("/").replace("/..", "")
    return ""


def command_line(raw: bytes) -> str:
    """/proc/PID/cmdline as one line: arguments end with NUL, a rewritten title may not."""
    return visible(" ".join(decoded(word) for word in raw.rstrip(b"\0").split(b"\0"))).strip()


def container_of(cgroup: str) -> Dict[str, str]:
    """The container of /proc/PID/cgroup, of version 1 or 2: its id, or the name that LXC gives; and
    the uid of its Kubernetes pod.

    Docker, Podman, containerd and Kubernetes put the 64 digits of the id into the path. Of a
    container in a container the outer one counts: it is the node's.
    """
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        found = _CONTAINER_ID.search(path)
        if found:
            pod = _POD.search(path)
            known = {"container_id": found.group()}
            return dict(known, pod=pod.group(1).replace("_", "-")) if pod else known
    for line in cgroup.splitlines():
        name = _LXC_NAME.search(line.split(":", 2)[-1])
        if name:
            return {"container": visible(name.group(1), 255)}
    return {}


def tmux_pane(root: str, pid: int) -> str:
    """The tmux pane above a process, as "SOCKET,$SESSION,%PANE" of its TMUX variables, or "".

    The pane's own process is the ancestor whose parent is the server. Sessions have names only in
    the server's memory; whoever lists them there can join these ids with their names. Another
    user's variables are not ours to read, root's in a container among them: then "@PID" is told,
    the pane's process as its server numbers it.
    """
    for _ in range(LONGEST_CHAIN):
        status = read_stat(root, pid)
        if status is None or status.parent <= 1:
            return ""
        above = read_stat(root, status.parent)
        if above is not None and (above.name == "tmux" or above.name.startswith("tmux: server")):
            return pane_of(_bytes(root, pid, "environ")) or "@%d" % innermost_pid(root, pid)
        pid = status.parent
    return ""


def innermost_pid(root: str, pid: int) -> int:
    """The process id in the process's own namespace: NSpid of /proc/PID/status, from Linux 4.1."""
    for line in _text(root, pid, "status").splitlines():
        if line.startswith("NSpid:") and line.split()[-1].isdigit():
            return int(line.split()[-1])
    return pid


def pane_of(environ: bytes) -> str:
    """ "SOCKET,$SESSION,%PANE" of the environment of a pane's process (tmux(1))."""
    variables = dict(word.split(b"=", 1) for word in environ.split(b"\0") if b"=" in word)
    parts = decoded(variables.get(b"TMUX", b"")).rsplit(",", 2)  # socket, server's pid, session
    pane = decoded(variables.get(b"TMUX_PANE", b""))
    if len(parts) != 3 or not re.match(r"%\d+$", pane) or not parts[2].isdigit():
        return ""
    return visible("%s,$%s,%s" % (parts[0], parts[2], pane), 300)


def _text(root: str, pid: int, name: str) -> str:
    return decoded(_bytes(root, pid, name))


def _bytes(root: str, pid: int, name: str) -> bytes:
    try:
        with open("%s/%d/%s" % (root, pid, name), "rb") as file:
            return file.read(1 << 16)
    except OSError:  # ended, or not ours to read
        return b""


def _link(root: str, pid: int, name: str) -> str:
    try:
        return visible(os.readlink("%s/%d/%s" % (root, pid, name)), 300)
    except (OSError, UnicodeError):  # ended, or not ours to see
        return ""


def started_at(boot_time: int, ticks: int) -> int:
    """Seconds since the epoch of a start in clock ticks after boot; 0 where that is not known."""
    return int(boot_time + ticks / float(os.sysconf("SC_CLK_TCK"))) if boot_time else 0


def boot_time(root: str) -> int:
    """Seconds since the epoch, 0 where it is not known: btime of /proc/stat (proc(5))."""
    try:
        with open(root + "/stat", "rb") as file:
            found = re.search(rb"^btime (\d+)", file.read(), re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def _users_of_passwd() -> Dict[int, str]:
    """Local users, without asking name services that may hang."""
    users: Dict[int, str] = {}
    try:
        with open("/etc/passwd", "rb") as file:
            for line in file.read(1 << 20).splitlines():
                fields = line.split(b":")
                if len(fields) > 2 and fields[2].isdigit():
                    users.setdefault(int(fields[2]), visible(decoded(fields[0]), 64))
    except OSError:
        pass
    return users


def _user_name(uid: int) -> str:
    try:
        return visible(pwd.getpwuid(uid).pw_name, 64)
    except KeyError:
        return "uid %d" % uid
