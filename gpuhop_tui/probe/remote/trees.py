"""What belongs to a GPU process: the launcher above it, and all that both have started.

A job is a tree of processes. Its root is the highest ancestor that is still a program of the same
user's job: a launcher (torchrun, mpirun) or a Python; shells, tmux, sshd and container runtimes are
where jobs are started from, and no part of them.
"""

import os
import re
import time
from typing import Any, Dict, Iterable, List, Optional, Tuple

from .procfs import LONGEST_CHAIN, ProcessKey, Stat, command_of, read_stat, read_uid

LOOK_SECONDS = 20.0  # between two looks at all processes for new children
SOON_SECONDS = 4.0  # where a job is new
FIGURE_SECONDS = 3.0  # CPU shares of a shorter time would be noise

_PART_OF_A_JOB = re.compile(
    r"(python[\d.]*|pypy[\d.]*|pt_main_thread|torchrun|accelerate|deepspeed|horovodrun|composer"
    r"|mpirun|mpiexec[\w.]*|orterun|prterun|hydra_pmi_proxy|orted|prted)$"
)
_NO_PART = re.compile(rb"jupyter|ipykernel|ray::|raylet|supervisord|code-server|vscode-server")
_TICKS = float(os.sysconf("SC_CLK_TCK"))
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1 << 20


class TreeReader:
    """Keeps the trees of the processes on the GPUs. In one thread only: reading may hang."""

    def __init__(self, root: str = "/proc") -> None:
        self._root = root
        self.roots: Dict[ProcessKey, ProcessKey] = {}  # of each process on a GPU
        self._members: Dict[ProcessKey, Dict[int, "_Member"]] = {}
        self._looked_at = -1e9
        self._figures: Dict[ProcessKey, Dict[str, Any]] = {}
        self._measured_at = -1e9

    def read(self, pids: List[int]) -> Dict[ProcessKey, Dict[str, Any]]:
        """Root → the GPU processes of its tree and its figures, as far as they are known yet."""
        trees: Dict[ProcessKey, List[int]] = {}
        roots: Dict[ProcessKey, ProcessKey] = {}
        for pid in pids:
            status = read_stat(self._root, pid)
            if status is None:
                continue
            key = (pid, status.started)
            top = self.roots.get(key)
            if top is None or not self._is_alive(top):
                top = self._root_of(pid, status)
            roots[key] = top
            trees.setdefault(top, []).append(pid)
        new = not set(trees) <= set(self._members)
        self.roots = roots
        self._look(set(trees), SOON_SECONDS if new else LOOK_SECONDS)
        self._measure()
        return {top: dict(self._figures.get(top, {}), pids=inside) for top, inside in trees.items()}

    def _is_alive(self, key: ProcessKey) -> bool:
        status = read_stat(self._root, key[0])
        return status is not None and status.started == key[1] and status.state != "Z"

    def _root_of(self, pid: int, status: Stat) -> ProcessKey:
        uid = read_uid(self._root, pid)
        for _ in range(LONGEST_CHAIN):
            above = read_stat(self._root, status.parent) if status.parent > 1 else None
            if above is None or not _PART_OF_A_JOB.match(above.name):
                break
            if read_uid(self._root, status.parent) != uid:
                break
            if _NO_PART.search(command_of(self._root, status.parent)):
                break
            pid, status = status.parent, above
        return pid, status.started

    def _look(self, tops: Iterable[ProcessKey], seconds: float) -> None:
        """Find the members of each tree, where the last look is that long ago."""
        now = time.monotonic()
        if now - self._looked_at < seconds:
            self._members = {top: self._members[top] for top in tops if top in self._members}
            return
        self._looked_at = now
        children: Dict[int, List[Tuple[int, Stat]]] = {}
        for name in os.listdir(self._root):
            status = read_stat(self._root, int(name)) if name.isdigit() else None
            if status is not None:
                children.setdefault(status.parent, []).append((int(name), status))
        self._members = {top: self._tree(top, children) for top in tops}

    def _tree(
        self, top: ProcessKey, children: Dict[int, List[Tuple[int, Stat]]]
    ) -> Dict[int, "_Member"]:
        known = self._members.get(top, {})
        found: Dict[int, _Member] = {}
        waiting = [(top[0], top[1])]
        while waiting:
            pid, started = waiting.pop()
            if pid in found:
                continue
            before = known.get(pid)
            found[pid] = before if before and before.started == started else _Member(started)
            waiting += [(each, status.started) for each, status in children.get(pid, [])]
        return found

    def _measure(self) -> None:
        """Figures of every tree since the last time; fewer than `FIGURE_SECONDS` say nothing."""
        now = time.monotonic()
        seconds = now - self._measured_at
        if seconds < FIGURE_SECONDS and set(self._figures) == set(self._members):
            return
        self._measured_at = now
        self._figures = {
            top: self._figures_of(members, seconds) for top, members in self._members.items()
        }

    def _figures_of(self, members: Dict[int, "_Member"], seconds: float) -> Dict[str, Any]:
        count = waiting = memory = 0
        total = busiest = 0.0
        measured = False
        for pid, member in list(members.items()):
            status = read_stat(self._root, pid)
            if status is None or status.started != member.started:
                del members[pid]
                continue
            count += 1
            memory += status.resident * _PAGE
            waiting += status.state == "D"
            if member.ticks is not None:
                share = max(0.0, (status.ticks - member.ticks) / _TICKS / seconds * 100)
                total, busiest, measured = total + share, max(busiest, share), True
            member.ticks = status.ticks
        figures: Dict[str, Any] = {"count": count, "memory": memory // (16 * _MIB) * 16 * _MIB}
        if waiting:
            figures["waiting"] = waiting
        if measured:
            figures["cpu"], figures["busiest"] = int(round(total)), int(round(busiest))
        return figures


class _Member:
    """One process of a tree; `ticks` of CPU at the last measure."""

    def __init__(self, started: int) -> None:
        self.started = started
        self.ticks: Optional[int] = None
