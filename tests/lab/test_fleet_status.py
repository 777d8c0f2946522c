"""The main job on real parts: GPUs of nodes behind a bastion, by the real pynvml, in one answer."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.problem import ErrorKind
from tests.lab.driving import (
    all_live,
    fleet_of,
    fleet_reached,
    is_live,
    logins,
    status,
)
from tests.lab.fixtures import require_lab
from tests.lab.machine import INSIDE, Machine, Spec
from tests.lab.nvml import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    LIB_RM_VERSION_MISMATCH,
    NO_PERMISSION,
    FakeNvml,
    build,
)
from tests.lab.waiting import wait_until
from tests.lab.world import World

NODES = ("gpu-01", "gpu-02", "gpu-03")
GIB = 1 << 30

NODE_KEYS = {
    "name", "state", "error", "via", "connect_seconds", "source", "driver", "cuda", "sampled_at",
    "gpus",
}  # fmt: skip
GPU_KEYS = {
    "index", "uuid", "name", "utilization_percent", "memory_used_bytes", "memory_total_bytes",
    "temperature_celsius", "power_watts", "power_limit_watts", "fan_percent", "sm_clock_mhz",
    "throttle_reasons", "ecc_uncorrected", "mig", "missing", "processes",
}  # fmt: skip
PROCESS_KEYS = {
    "pid", "user", "command", "memory_bytes", "started_at", "container", "container_id",
    "tmux_session",
}  # fmt: skip


@dataclass
class Cluster:
    """A world whose nodes have the stand-in's GPUs: 2, 3 and 4 of them."""

    world: World
    nvml: dict[str, FakeNvml]

    def equip(self) -> None:
        for count, name in enumerate(NODES, start=2):
            path = self.world[name].directory / "nvml.conf"
            self.nvml[name] = FakeNvml(path, gpus=count)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    require_lab()
    library = build(tmp_path_factory.mktemp("nvml"))
    library.chmod(0o755)  # for the nodes' users
    with World(nodes=[_spec(name, library) for name in NODES]) as world:
        yield Cluster(world, {})


def _spec(name: str, library: Path) -> Spec:
    driver = {"LD_LIBRARY_PATH": "/opt/nvml", "GPUHOP_FAKE_NVML": f"{INSIDE}/nvml.conf"}
    return Spec(name, via="bastion", env=driver, mounts={"/opt/nvml": library})


@pytest.fixture(autouse=True)
def _as_it_was(cluster: Cluster) -> Iterator[None]:
    cluster.equip()
    yield
    for node in cluster.world.nodes:
        if not node.sshd.is_running:
            node.sshd.start()


def test_three_nodes_behind_the_bastion(cluster: Cluster) -> None:
    world = cluster.world
    before = logins(world.bastion.sshd)
    code, nodes = status(world.laptop, "--config", str(world.laptop.config_path))
    assert code == 0
    assert list(nodes) == list(NODES)
    for count, node in enumerate(nodes.values(), start=2):
        assert node.keys() >= NODE_KEYS
        assert (node["state"], node["error"], node["via"]) == ("up", None, ["bastion"])
        assert (node["source"], node["driver"], node["cuda"]) == ("nvml", "550.54.15", "12.4")
        assert abs(node["sampled_at"] - time.time()) < 30
        assert 0 < node["connect_seconds"] < 10
        assert len(node["gpus"]) == count
        for index, gpu in enumerate(node["gpus"]):
            assert gpu.keys() >= GPU_KEYS
            assert gpu["index"] == index
            assert gpu["name"] == "NVIDIA A100-SXM4-80GB"
            assert gpu["utilization_percent"] == 10 * (index + 1)
            assert gpu["memory_used_bytes"] == (index + 1) * GIB
            assert gpu["memory_total_bytes"] == 80 * GIB
            assert gpu["power_watts"] == 100 + index
            assert gpu["missing"] == {}
    assert logins(world.bastion.sshd) == before + 1


def test_processes_have_their_users_and_commands(cluster: Cluster) -> None:
    node = cluster.world["gpu-01"]
    child = node.popen(node.as_user(["sleep", "3600"]))
    try:
        inside = int(wait_until(lambda: _pid_inside(node, "sleep"), "the process"))
        cluster.nvml["gpu-01"].processes(1, compute={inside: 3 * GIB})
        _, nodes = status(cluster.world.laptop, "gpu-01")
        (process,) = nodes["gpu-01"]["gpus"][1]["processes"]
        assert process.keys() >= PROCESS_KEYS
        assert process["pid"] == inside
        assert process["user"] == "researcher"
        assert process["command"] == "sleep 3600"
        assert process["memory_bytes"] == 3 * GIB
        assert abs(process["started_at"] - time.time()) < 60
        assert process["container"] is None
    finally:
        child.kill()
        child.wait()


def _pid_inside(node: Machine, name: str) -> str:
    """The pid as the node numbers it; "" where the program does not run."""
    return node.run(["pidof", name], check=False).stdout.strip()


def test_one_node_alone_is_asked_for(cluster: Cluster) -> None:
    before = [logins(cluster.world[name].sshd) for name in NODES]
    code, nodes = status(cluster.world.laptop, "gpu-02")
    assert code == 0
    assert list(nodes) == ["gpu-02"]
    after = [logins(cluster.world[name].sshd) for name in NODES]
    assert [late - early for early, late in zip(before, after, strict=True)] == [0, 1, 0]


def test_a_stopped_sshd_is_named_and_the_others_are_as_fast(cluster: Cluster) -> None:
    started = time.monotonic()
    assert status(cluster.world.laptop)[0] == 0
    healthy = time.monotonic() - started
    cluster.world["gpu-02"].sshd.stop()
    started = time.monotonic()
    code, nodes = status(cluster.world.laptop)
    assert time.monotonic() - started < 1.5 * healthy + 3.0
    assert code == 1
    assert [node["state"] for node in nodes.values()] == ["up", "down", "up"]
    error = nodes["gpu-02"]["error"]
    assert (error["hop"], error["kind"]) == ("gpu-02", "refused")
    assert error["message"]
    assert error["advice"]
    assert [len(node["gpus"]) for node in nodes.values()] == [2, 0, 4]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (DRIVER_NOT_LOADED, ErrorKind.NO_DRIVER),
        (LIB_RM_VERSION_MISMATCH, ErrorKind.DRIVER_MISMATCH),
        (NO_PERMISSION, ErrorKind.NO_PERMISSION),
    ],
)
def test_a_broken_driver_is_named(cluster: Cluster, code: int, kind: ErrorKind) -> None:
    cluster.nvml["gpu-03"].fail("nvmlInit", code)
    cluster.nvml["gpu-03"].fail("nvmlInitWithFlags", code)
    exit_code, nodes = status(cluster.world.laptop)
    assert exit_code == 1
    error = nodes["gpu-03"]["error"]
    assert (error["hop"], error["kind"]) == ("gpu-03", kind)
    assert nodes["gpu-03"]["host"] is not None  # the machine's own figures are there all the same
    assert nodes["gpu-01"]["error"] is None


def test_a_lost_gpu_hides_no_other(cluster: Cluster) -> None:
    cluster.nvml["gpu-03"].fail("", GPU_IS_LOST, gpu=1)
    _, nodes = status(cluster.world.laptop, "gpu-03")
    gpus = nodes["gpu-03"]["gpus"]
    assert [gpu["index"] for gpu in gpus] == [0, 1, 2, 3]
    assert [gpu["utilization_percent"] for gpu in gpus] == [10, None, 30, 40]
    assert gpus[1]["missing"]["utilization_percent"]


def test_the_table_says_the_same(cluster: Cluster) -> None:
    done = cluster.world.laptop.run(["gpuhop-tui", "status"])
    for name in NODES:
        assert name in done.stdout
    cluster.world["gpu-02"].sshd.stop()
    done = cluster.world.laptop.run(["gpuhop-tui", "status"], check=False)
    assert done.returncode == 1
    assert "refuse" in done.stdout


def test_following_shows_a_change_within_an_interval_and_a_second(cluster: Cluster) -> None:
    follower = cluster.world.laptop.popen(
        ["gpuhop-tui", "status", "gpu-01", "--follow"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    try:
        _read_until(follower.stdout, lambda utilization: utilization == 10)
        cluster.nvml["gpu-01"].gpu(0, utilization=77)
        changed = time.monotonic()
        _read_until(follower.stdout, lambda utilization: utilization == 77)
        assert time.monotonic() - changed < 1.0 + 1.0  # the world's interval, and a second
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(timeout=10) == 0
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()


def _read_until(lines: Iterator[str], condition: Callable[[int], bool]) -> None:
    for line in lines:
        (node,) = json.loads(line)["nodes"]
        if node["gpus"] and condition(node["gpus"][0]["utilization_percent"]):
            return
    raise AssertionError("the follower has ended")


# The fleet in this process


async def test_a_change_is_seen_within_an_interval_and_a_second(cluster: Cluster) -> None:
    async with fleet_of(cluster.world.laptop, sample_interval=0.5) as fleet:
        await fleet_reached(fleet, all_live, "live")
        for utilization in (5, 95, 0):
            cluster.nvml["gpu-02"].gpu(1, utilization=utilization)
            changed = time.monotonic()
            await fleet_reached(
                fleet,
                lambda _, wanted=utilization: _utilization(fleet, "gpu-02", 1) == wanted,
                f"at {utilization} %",
            )
            assert time.monotonic() - changed < 0.5 + 1.0
        points = fleet.history("gpu-02", 1)
        assert {5.0, 95.0, 0.0} <= {point[1] for point in points}
        assert [point[0] for point in points] == sorted(point[0] for point in points)


def _utilization(fleet: Fleet, name: str, index: int) -> float | None:
    node = fleet.state.node(name)
    assert node is not None
    assert node.sample is not None
    return node.sample.gpus[index].utilization_percent


async def test_a_driver_that_goes_and_comes_back(cluster: Cluster) -> None:
    """A driver update: the figures go with a reason, and return without another login."""
    async with fleet_of(cluster.world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        before = logins(cluster.world["gpu-01"].sshd)
        cluster.nvml["gpu-01"].fail("", LIB_RM_VERSION_MISMATCH)

        def named(state: FleetState) -> bool:
            node = state.node("gpu-01")
            return (
                node is not None
                and node.problem is not None
                and node.problem.kind is ErrorKind.DRIVER_MISMATCH
            )

        await fleet_reached(fleet, named, "told of the mismatch")
        assert is_live(fleet.state.node("gpu-02"))
        cluster.nvml["gpu-01"].heal("")
        await fleet_reached(
            fleet,
            lambda state: all(node.problem is None for node in state.nodes),
            "without problems",
            seconds=30,
        )
        assert logins(cluster.world["gpu-01"].sshd) == before


async def test_old_figures_are_marked_and_kept(cluster: Cluster) -> None:
    async with fleet_of(cluster.world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        cluster.world["gpu-03"].sshd.kill()
        state = await fleet_reached(
            fleet, lambda state: not is_live(state.node("gpu-03")), "without gpu-03"
        )
        node = state.node("gpu-03")
        assert node is not None
        assert node.stale
        assert node.sample is not None
        assert len(node.sample.gpus) == 4
        assert fleet.history("gpu-03", 0)[-1][1] is None  # a gap, not a last value held
        await asyncio.to_thread(cluster.world["gpu-03"].sshd.start)
        await fleet_reached(fleet, all_live, "live", seconds=30)
