"""However a world ends, nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.machine import Spec
from tests.lab.procfs import pids_in
from tests.lab.waiting import wait_until
from tests.lab.world import World

MakeWorld = Callable[..., World]


def test_nothing_is_left_after_close(make_world: MakeWorld) -> None:
    world = make_world()
    inodes = [Path(f"/proc/{m.pid}/ns/net").stat().st_ino for m in (world.laptop, *world.machines)]
    world.laptop.run(["ssh", "gpu-01", "setsid sleep 600 >/dev/null 2>&1 &"])
    stray = world.laptop.popen(["sleep", "600"])
    world.close()
    assert pids_in("net", inodes) == []
    assert not world.directory.exists()
    assert stray.wait(timeout=5) == -signal.SIGKILL


_OWNER = """
import json, os, sys, time
from pathlib import Path
from tests.lab.world import World

world = World(nodes=1)
world.laptop.run(["ssh", "gpu-01", "setsid sleep 600 >/dev/null 2>&1 &"])
world.laptop.popen(["sleep", "600"], start_new_session=True)
machines = [world.laptop, *world.machines]
inodes = [Path(f"/proc/{m.pid}/ns/net").stat().st_ino for m in machines]
print(json.dumps([str(world.directory), inodes]), flush=True)
time.sleep(600)
"""


@pytest.mark.usefixtures("world")  # for its check that there can be a lab
def test_nothing_is_left_when_the_owner_is_killed() -> None:
    root = Path(__file__).resolve().parents[2]
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    with owner.stdout:
        directory, inodes = json.loads(owner.stdout.readline())
        assert len(pids_in("net", inodes)) > 6
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        wait_until(lambda: not pids_in("net", inodes), "the world's processes to end")
        wait_until(lambda: not Path(directory).exists(), "the world's files to go")


def test_nothing_is_left_of_a_world_that_cannot_be_built(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = tmp_path / "world"
    directory.mkdir()
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: str(directory))
    with pytest.raises(RuntimeError, match="Nonsense"):
        make_world(nodes=[Spec("gpu-01", sshd={"Nonsense": "yes"})])
    assert not directory.exists()


@pytest.mark.usefixtures("world")
def test_by_hand() -> None:
    root = Path(__file__).resolve().parents[2]
    lab = subprocess.Popen(
        [sys.executable, "-m", "tests.lab", "--nodes", "1"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert lab.stdout is not None
    with lab.stdout:
        told = list(iter(lab.stdout.readline, "Ctrl+C ends it, and leaves nothing behind.\n"))
        said = dict(line.split(maxsplit=1) for line in told if len(line.split()) == 2)
        on_laptop = said["on-laptop"].strip()
        there = subprocess.run(
            [on_laptop, "ssh", "gpu-01", "hostname"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert there.stdout == "gpu-01\n", there.stderr
        os.killpg(lab.pid, signal.SIGINT)  # as the terminal does
        assert lab.wait(timeout=30) == 0
    assert not Path(said["files"].strip()).exists()
