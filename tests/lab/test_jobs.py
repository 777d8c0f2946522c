"""Jobs on real parts: real processes in a container's tmux session, in the host's, and another's,
their process ids given to the stand-in for NVML."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.fleet.jobs import book
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.jobs.signals import Signalled
from gpuhop_tui.problem import ProblemError
from tests.lab.dashboard import dashboard
from tests.lab.docker.driving import start_box
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.driving import fleet_of
from tests.lab.machine import Machine
from tests.lab.tmux import Tmux
from tests.lab.waiting import await_until, wait_until

GIB = 1 << 30
TRAIN = """
import subprocess, sys
ranks = [subprocess.Popen(["sleep", each]) for each in ("7002", "7003")]
print(" 71%|#######   | 7100/10000 [12:31<05:07,  9.45it/s]", flush=True)
for rank in ranks:
    rank.wait()
"""
RELEASE = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


@dataclass
class Jobs:
    """The process ids, as the node numbers them."""

    world: DockerWorld
    boxed: int  # a sleep in the tmux session of the container "box"
    root: int  # a Python in the tmux session "work" of the login user
    ranks: tuple[int, int]  # its children, on GPUs 1 and 2
    others: int  # of the user nobody

    @property
    def node(self) -> Machine:
        return self.world.world["gpu-01"]

    def show(self, *gone: int) -> None:
        """Tell the stand-in who is on which GPU."""
        places = zip(range(4), (self.boxed, *self.ranks, self.others), strict=True)
        for index, pid in places:
            self.node.gpus.processes(index, compute={} if pid in gone else {pid: 2 * GIB})


@pytest.fixture
def jobs(docker_world: DockerWorld) -> Iterator[Jobs]:
    node, dockerd = docker_world.world["gpu-01"], docker_world.dockerd
    start_box(dockerd, "box", "--label", "gpuhop.user=researcher")
    dockerd.docker("exec", "box", "tmux", "new-session", "-d", "-s", "inner",
                   "echo epoch 3/90; exec sleep 7001")  # fmt: skip
    node.write("train.py", TRAIN)
    tmux = Tmux(node, "-L", "jobs")
    command = "exec python3 train.py --token hf_abcdefghijklmnopqrst"
    words = ["-f", "/dev/null", "new-session", "-d", "-s", "work", command]
    node.run(tmux.argv(*words))
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    node.run([*nobody, "sh", "-c", "exec setsid -f sleep 7004 >/dev/null 2>&1 </dev/null"])
    found = Jobs(
        docker_world,
        pid_of(node, "sleep 7001"),
        pid_of(node, "python3 train.py .*"),
        (pid_of(node, "sleep 7002"), pid_of(node, "sleep 7003")),
        pid_of(node, "sleep 7004"),
    )
    found.show()
    yield found
    for index in range(4):
        node.gpus.processes(index, compute={})
    node.run(tmux.argv("kill-server"), check=False)
    for pid in (found.root, *found.ranks, found.others):
        node.run(["kill", "-KILL", str(pid)], check=False)


def pid_of(node: Machine, words: str) -> int:
    """The process of the machine whose command line is `words`."""

    def pids() -> list[str]:
        return node.run(["pgrep", "-x", "-f", words], check=False).stdout.split()

    wait_until(lambda: len(pids()) == 1, words)
    return int(pids()[0])


def job_of(fleet: Fleet, pid: int) -> Job | None:
    node = fleet.state.node("gpu-01")
    return next((job for job in node.jobs if job.pid == pid), None) if node else None


def named(fleet: Fleet, pid: int) -> Job:
    job = job_of(fleet, pid)
    assert job is not None
    return job


async def until_seen(fleet: Fleet, jobs: Jobs) -> None:
    """All three are there, with what sessions and containers tell of them."""
    fleet.watch_sessions(True)
    fleet.watch_containers(True)

    def seen() -> bool:
        each = [job_of(fleet, pid) for pid in (jobs.boxed, jobs.root, jobs.others)]
        boxed, mine, _ = each
        places = boxed and mine and (boxed.session, boxed.container, mine.session, mine.progress)
        return None not in each and bool(places) and None not in (places or ())

    await await_until(seen, "the jobs", 30)


async def test_each_is_named_rightly_and_its_end_is_told(jobs: Jobs) -> None:
    async with fleet_of(jobs.world.world.laptop) as fleet:
        await until_seen(fleet, jobs)
        boxed, mine, others = (named(fleet, pid) for pid in (jobs.boxed, jobs.root, jobs.others))
        assert (boxed.user, boxed.user_from) == ("researcher", "started box")
        assert (boxed.container, boxed.session, boxed.gpus) == ("box", "inner", (0,))
        assert boxed.progress is not None
        assert (boxed.last_line, boxed.progress.total) == ("epoch 3/90", 90)
        assert (mine.user, mine.container, mine.session) == ("researcher", None, "work")
        assert (mine.name, mine.gpus) == ("python train.py --token •••", (1, 2))
        assert (mine.memory_bytes, mine.processes) == (4 * GIB, 3)
        assert mine.progress is not None
        assert (mine.progress.percent, mine.eta_seconds) == (71, 307)
        assert mine.cwd == "/home/researcher"
        assert (others.user, others.container, others.session) == ("nobody", None, None)
        assert others.name == "sleep 7004"
        node = fleet.state.node("gpu-01")
        assert node is not None
        assert node.sample is not None
        assert {p.tmux_session for gpu in node.sample.gpus for p in gpu.processes} == {
            "inner", "work", None,
        }  # fmt: skip

        killed_at = time.monotonic()
        await jobs.node.arun(["kill", "-KILL", str(jobs.root)])
        jobs.show(*jobs.ranks)
        await await_until(lambda: named(fleet, jobs.root).is_over, "its end")
        assert time.monotonic() - killed_at < 12  # an interval and two seconds, on a slow machine
        told = named(fleet, jobs.root)
        if RELEASE >= (6, 15):
            assert (told.state, told.reason) == (JobState.KILLED, "SIGKILL")
        else:
            assert told.reason

        # By signals: one's own in a container, where its processes are root's; and not another's
        sessions = fleet.sessions("gpu-01")
        assert sessions is not None
        assert await sessions.signal(named(fleet, jobs.boxed), "TERM") is Signalled.SENT
        jobs.show(*jobs.ranks, jobs.boxed)
        await await_until(lambda: named(fleet, jobs.boxed).is_over, "the end in the container")
        if RELEASE >= (6, 15):
            assert named(fleet, jobs.boxed).signal == 15
        with pytest.raises(ProblemError, match="not permitted"):
            await sessions.signal(named(fleet, jobs.others), "TERM")
        assert await sessions.signal(told, "KILL") is Signalled.GONE
        assert named(fleet, jobs.others).state is not JobState.KILLED


async def test_what_leaves_the_gpu_goes_on_and_status_names_sessions(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "ABSENT_SECONDS", 1.0)
    argv = ["gpuhop-tui", "status", "gpu-01", "--json"]
    done = await jobs.world.world.laptop.arun(argv)
    (node,) = json.loads(done.stdout)["nodes"]
    processes = {p["pid"]: p for gpu in node["gpus"] for p in gpu["processes"]}
    assert processes[jobs.boxed]["tmux_session"] == "inner"
    assert processes[jobs.boxed]["container"] == "box"
    assert processes[jobs.ranks[0]]["tmux_session"] == "work"
    assert {job["pid"] for job in node["jobs"]} == {jobs.boxed, jobs.root, jobs.others}
    async with fleet_of(jobs.world.world.laptop) as fleet:
        await await_until(lambda: job_of(fleet, jobs.root), "the job")
        jobs.show(*jobs.ranks)
        await await_until(
            lambda: named(fleet, jobs.root).state is JobState.OFF_GPU, "it off the GPU", 30
        )
        jobs.show()
        await await_until(
            lambda: named(fleet, jobs.root).state is not JobState.OFF_GPU, "it back", 30
        )
        assert named(fleet, jobs.root).gpus == (1, 2)


def test_from_the_dashboard(jobs: Jobs) -> None:
    tmux = Tmux(jobs.node, "-L", "jobs")

    def clients(*words: str) -> str:
        return jobs.node.run([*words, "list-clients"], check=False).stdout

    with dashboard(jobs.world.world) as terminal:
        terminal.shows("2/2 nodes", r"1 jobs", r"researc\S+ +python train\.p")
        terminal.press("J")
        terminal.shows("Jobs  3", r"nobody +sleep 7004", r"71 %", "inner", "work", "epoch 3/90")
        terminal.press("Home", "Enter")  # the one in the container
        terminal.shows(r"(?m)^epoch 3/90$")
        terminal.press("C-]", "d")
        terminal.shows("Jobs  3")
        terminal.press("/", "s", "e", "s", "s", "i", "o", "n", ":", "w", "o", "r", "k", "Enter")
        terminal.shows("1 of 3")
        terminal.press("Enter")
        terminal.shows(r"(?m)^ 71%\|#######")
        wait_until(lambda: "work" in clients(*tmux.argv()), "a client of its own session")
        terminal.press("C-]", "d")
        terminal.shows("1 of 3")
        terminal.press("Escape")
        terminal.shows("Jobs  3")
        terminal.press("End")
        terminal.shows("command sleep 7004")
        terminal.press("x")
        terminal.shows("it belongs to nobody", "you are researcher")
        terminal.press("Home", "Down")
        terminal.shows("command python3 train.py")
        terminal.press("x")
        terminal.shows("End a job on gpu-01", r"Process \d+ of researcher", "send SIGINT")
        terminal.press("y")
        terminal.shows("SIGINT was sent|It is over")
        wait_until(
            lambda: (
                not jobs.node.run(["pgrep", "-x", "-f", "python3 train.py .*"], check=False).stdout
            ),
            "its end",
        )
        jobs.show(*jobs.ranks)
        terminal.shows("It is over")
        terminal.press("Escape", "q", "q")
