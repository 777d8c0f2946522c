"""Alerts and notes on real parts: a process that is killed, and users who see others' notes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gpuhop_tui.config.schema import AlertsConfig
from gpuhop_tui.fleet.alerts.desk import AlertDesk
from gpuhop_tui.fleet.alerts.model import Alert, AlertKind
from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.fleet.reservations import reserve_script
from gpuhop_tui.probe.sample import Gpu
from tests.lab.driving import all_live, fleet_of, fleet_reached, status
from tests.lab.fixtures import require_lab
from tests.lab.machine import INSIDE, Machine, Spec
from tests.lab.nvml import FakeNvml, build
from tests.lab.waiting import await_until, wait_until
from tests.lab.world import World

GIB = 1 << 30
INTERVAL = 0.5
SLOW = 5  # times slower than wanted a machine may be
RELEASE = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One node with two GPUs and a /var/tmp of its own."""
    require_lab()
    library = build(tmp_path_factory.mktemp("nvml"))
    library.chmod(0o755)  # for the node's users
    driver = {"LD_LIBRARY_PATH": "/opt/nvml", "GPUHOP_FAKE_NVML": f"{INSIDE}/nvml.conf"}
    spec = Spec("gpu-01", via="bastion", env=driver, mounts={"/opt/nvml": library})
    with World(nodes=[spec]) as world:
        world["gpu-01"].run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/var/tmp"])
        yield world


@pytest.fixture
def nvml(world: World) -> FakeNvml:
    return FakeNvml(Path(world["gpu-01"].directory) / "nvml.conf", gpus=2)


def started(node: Machine, who: Sequence[str], words: str) -> int:
    """A process of the node that is nobody's child there but init's, by its id there."""
    node.run([*who, "sh", "-c", f"exec setsid -f {words} >/dev/null 2>&1 </dev/null"])
    find = ["pgrep", "-x", "-f", words]
    return int(wait_until(lambda: node.run(find, check=False).stdout.strip(), words))


async def test_a_job_that_is_killed_is_told_with_its_exit_in_time(
    world: World, nvml: FakeNvml, tmp_path: Path
) -> None:
    node = world["gpu-01"]
    mine, others = (
        started(node, node.as_user([]), "sleep 7301"),
        started(node, NOBODY, "sleep 7302"),
    )
    nvml.processes(0, compute={mine: 3 * GIB})
    nvml.processes(1, compute={others: 3 * GIB})
    told: list[Alert] = []
    log = tmp_path / "log"
    script = f'echo "$GPUHOP_KIND $GPUHOP_NODE $GPUHOP_SIGNAL $GPUHOP_USER" >>{log}'
    desk = AlertDesk(AlertsConfig(command=("sh", "-c", script)), on_alerts=told.extend)
    async with fleet_of(world.laptop, sample_interval=INTERVAL) as fleet:
        await await_until(lambda: len(_jobs(fleet)) == 2, "the jobs")
        desk.observe(fleet.state)
        desk.start(fleet)
        try:
            killed_at = time.monotonic()
            node.run(["kill", "-KILL", str(mine), str(others)])
            nvml.processes(0, compute={})
            nvml.processes(1, compute={})
            await await_until(lambda: desk.observe(fleet.state) or told, "an alert")
            took = time.monotonic() - killed_at
            await await_until(lambda: len(_jobs(fleet)) == 0, "the end of both")
            await await_until(log.exists, "the user's own program")
        finally:
            await desk.close()
    (alert,) = told  # another's job is no news
    assert took < (INTERVAL + 2.0) * SLOW
    assert (alert.node, alert.gpus, alert.user, alert.pid) == ("gpu-01", (0,), "researcher", mine)
    if RELEASE >= (6, 15):
        assert (alert.kind, alert.signal) == (AlertKind.JOB_KILLED, 9)
        assert alert.words.startswith("sleep 7301 (researcher, GPU 0) was killed by SIGKILL")
        assert log.read_text() == "job-killed gpu-01 9 researcher\n"


def _jobs(fleet: Fleet) -> list[int]:
    node = fleet.state.node("gpu-01")
    return [job.pid for job in node.jobs if not job.is_over] if node is not None else []


async def test_a_note_of_one_user_is_seen_by_another(world: World, nvml: FakeNvml) -> None:
    node = world["gpu-01"]
    async with fleet_of(world.laptop, sample_interval=INTERVAL) as fleet:
        await fleet_reached(fleet, all_live, "live")
        gpu = _gpu(fleet)
        script = reserve_script(gpu.uuid or "", 3600, "evaluation run", "a1")
        node.run([*NOBODY, "sh", "-c", script])
        await await_until(lambda: _notes(fleet) == [("nobody", "evaluation run")], "the note")

        sessions = fleet.sessions("gpu-01")
        assert sessions is not None
        await sessions.reserve(_gpu(fleet), 7200, "mine")
        both = [("researcher", "mine"), ("nobody", "evaluation run")]
        await await_until(lambda: _notes(fleet) == both, "both notes")
        _, nodes = status(world.laptop, "gpu-01")
        told = nodes["gpu-01"]["gpus"][0]["reservations"]
        assert [(each["user"], each["note"]) for each in told] == both
        assert told[0]["until"] - told[1]["until"] == pytest.approx(3600, abs=60)

        await sessions.end_reservation(_gpu(fleet))
        await await_until(lambda: _notes(fleet) == both[1:], "the other's alone")


def _gpu(fleet: Fleet) -> Gpu:
    node = fleet.state.node("gpu-01")
    assert node is not None
    assert node.sample is not None
    return node.sample.gpus[0]


def _notes(fleet: Fleet) -> list[tuple[str, str]]:
    return [(each.user, each.note) for each in _gpu(fleet).reservations]
