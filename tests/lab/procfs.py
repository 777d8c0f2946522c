"""What /proc says about processes: which namespace, which parent, which program."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

NamespaceKind = Literal["net", "pid"]


def pids_in(kind: NamespaceKind, inodes: Iterable[int]) -> list[int]:
    """Pids of all processes whose namespace of this kind has one of these inodes (no zombies)."""
    wanted = {f"{kind}:[{inode}]" for inode in inodes}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            namespace = str((entry / "ns" / kind).readlink())
        except OSError:  # ended meanwhile, or a zombie
            continue
        if namespace in wanted:
            found.append(int(entry.name))
    return found


def program(pid: int) -> str:
    """The program's name as the kernel has it (comm), or "" where the process is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def parent(pid: int) -> int:
    """The parent's pid, or 0 where the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])  # the name before it may hold anything


def state(pid: int) -> str:
    """The state letter of proc(5): R, S, D, Z, T; "" where the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def descendants(root: int, among: Iterable[int]) -> set[int]:
    """`root` and those of `among` that come from it."""
    parents = {pid: parent(pid) for pid in among}
    family = {root}
    while more := {pid for pid, above in parents.items() if above in family} - family:
        family |= more
    return family
