"""Trees of processes and their ends, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuhop_tui.probe.job_parts import NOT_TOLD, read_endings, read_trees
from gpuhop_tui.probe.remote import endings
from gpuhop_tui.probe.remote.jobs import JobReader
from gpuhop_tui.probe.remote.workers import Bell

_RANKS = """
import subprocess, sys, time
ranks = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in (0, 1)]
print(*[rank.pid for rank in ranks], flush=True)
for rank in ranks:
    rank.wait()
"""


@pytest.fixture
def launcher() -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Two ranks below a launcher, which itself is below a shell."""
    shell = subprocess.Popen(
        ["sh", "-c", f"{sys.executable} -c '{_RANKS}'; exit $?"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert shell.stdout is not None
    ranks = [int(word) for word in shell.stdout.readline().split()]
    yield shell, ranks
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    shell.stdout.close()


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return value


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def tells_statuses() -> bool:
    release = os.uname().release.split(".")
    return (int(release[0]), int(release[1].split("-")[0])) >= (6, 15)


def test_ranks_belong_to_their_launcher_and_not_to_the_shell(
    launcher: tuple[subprocess.Popen[bytes], list[int]],
) -> None:
    _shell, ranks = launcher
    jobs = JobReader(Bell()).read(ranks, 10)["jobs"]
    ((root, tree),) = jobs.items()
    assert int(root) == parent_of(ranks[0])
    assert tree["pids"] == ranks
    assert tree["count"] == 3
    assert tree["memory"] >= 0


def test_the_end_of_a_process_that_is_not_ours_is_told_with_its_status(
    launcher: tuple[subprocess.Popen[bytes], list[int]],
) -> None:
    _shell, ranks = launcher
    reader = JobReader(Bell())
    assert not reader.read(ranks, 10)["ended"]
    os.kill(ranks[0], signal.SIGKILL)
    os.kill(ranks[1], signal.SIGTERM)
    ended = until(lambda: len(found := reader.read([], 10)["ended"]) == 3 and found)
    statuses = {each["pid"]: each.get("status") for each in ended.values()}
    if tells_statuses():
        assert statuses[ranks[0]] == signal.SIGKILL
        assert statuses[ranks[1]] == signal.SIGTERM
        assert 0 in statuses.values()  # the launcher itself, which waited for them
    else:
        assert all("6.15" in each["missing"] for each in ended.values())


def test_an_end_without_pidfd_is_told_without_a_status(
    monkeypatch: pytest.MonkeyPatch, launcher: tuple[subprocess.Popen[bytes], list[int]]
) -> None:
    monkeypatch.setattr(endings, "_PIDFD_OPEN", 1 << 20)  # no such system call
    monkeypatch.setattr(endings, "REAPED_SECONDS", 0.1)
    _shell, ranks = launcher
    reader = JobReader(Bell())
    reader.read(ranks, 10)
    os.kill(ranks[0], signal.SIGKILL)
    ended = until(lambda: reader.read(ranks[1:], 10)["ended"])
    (ending,) = ended.values()
    assert ending["pid"] == ranks[0]
    assert "status" not in ending
    assert ending["missing"]


def test_what_a_node_says_of_jobs_is_read_strictly() -> None:
    details = {"7": {"command": "python a.py --token abcdef12345", "user": "mira", "cwd": "/x"}}
    jobs = {"7": {"pids": [8, "9", -1], "count": 3, "cpu": 150}, "x": {}, "8": "nonsense"}
    trees = read_trees({"jobs": jobs, "processes": details})
    assert trees is not None
    first, second = trees
    assert (first.pid, first.gpu_pids, first.cpu_percent, first.waiting) == (7, (8,), 150, 0)
    assert first.command == "python a.py --token •••"
    assert (second.pid, second.gpu_pids, second.processes) == (8, (), None)
    assert read_trees({}) is None


def test_ends_are_told_by_the_clock_of_the_reader() -> None:
    ended = {
        "7@1": {"pid": 7, "at": 990.0, "status": 256},
        "8@1": {"pid": 8, "at": 980.0},
        "9@1": {"pid": 9},
        "x": 5,
    }
    first, second = read_endings({"time": 1000.0, "ended": ended}, 50.0)
    assert (first.pid, first.at, first.status, first.missing) == (8, 30.0, None, NOT_TOLD)
    assert (second.pid, second.at, second.status, second.missing) == (7, 40.0, 256, None)
