"""Ending a job by signals, with real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.jobs.signals import Signalled, may_end, send_signal
from gpuhop_tui.probe.remote.procfs import boot_time, read_stat, started_at
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.shell import Answer

_TREE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
JOB = Job("gpu-01", 7, 1000.0, user="ann", process_user="ann")


class Shell:
    """Runs scripts here, as the shell on a node does."""

    async def run(self, script: str) -> Answer:
        done = await asyncio.to_thread(
            subprocess.run, ["sh"], input=script.encode(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout)


@pytest.fixture
def tree() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process and its child."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _TREE], stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    yield parent, child
    with contextlib.suppress(ProcessLookupError):
        os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()


def job_of(pid: int) -> Job:
    status = read_stat("/proc", pid)
    assert status is not None
    return Job("gpu-01", pid, float(started_at(boot_time("/proc"), status.started)))


async def test_an_interrupt_goes_to_the_root_alone(
    tree: tuple[subprocess.Popen[bytes], int],
) -> None:
    parent, child = tree
    assert await send_signal(Shell(), job_of(parent.pid), "INT") is Signalled.SENT
    assert parent.wait(30) == -signal.SIGINT
    assert read_stat("/proc", child) is not None


async def test_a_kill_takes_the_whole_tree(tree: tuple[subprocess.Popen[bytes], int]) -> None:
    parent, child = tree
    job = job_of(parent.pid)
    assert await send_signal(Shell(), job, "KILL") is Signalled.SENT
    assert parent.wait(30) == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while (status := read_stat("/proc", child)) is not None and status.state != "Z":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert await send_signal(Shell(), job, "KILL") is Signalled.GONE


async def test_another_process_with_that_id_is_left_alone(
    tree: tuple[subprocess.Popen[bytes], int],
) -> None:
    parent, _ = tree
    job = job_of(parent.pid)
    assert job.started_at is not None
    other = replace(job, started_at=job.started_at - 60)
    assert await send_signal(Shell(), other, "KILL") is Signalled.OTHER
    assert parent.poll() is None


async def test_a_refusal_is_told() -> None:
    class Refusing:
        async def run(self, script: str) -> Answer:
            return Answer(5, b"sh: kill: Operation not permitted\n")

    with pytest.raises(ProblemError, match="not permitted"):
        await send_signal(Refusing(), JOB, "TERM")


@pytest.mark.parametrize(
    ("job", "login", "why"),
    [
        (JOB, "ann", None),
        (JOB, "root", None),
        (JOB, "bob", "it belongs to ann, and you are bob on gpu-01"),
        (replace(JOB, process_user="root"), "ann", None),  # started its container
        (replace(JOB, state=JobState.FAILED), "ann", "it is over"),
        (replace(JOB, started_at=None), "ann", "when it began"),
    ],
)
def test_only_ones_own_unless_root(job: Job, login: str, why: str | None) -> None:
    said = may_end(job, login)
    assert said == why if why is None else said is not None and why in said
