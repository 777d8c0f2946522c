"""The main job as a user sees it: real servers, a real agent, the real pynvml, a real terminal."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.lab.dashboard import dashboard
from tests.lab.waiting import wait_until
from tests.lab.world import World

INTERVAL_SECONDS = 1.0  # sample_interval of a world's config


def status(world: World) -> tuple[int, dict[str, dict[str, Any]], float]:
    """`status --json`: its exit code, the nodes by name, and the seconds it took."""
    started = time.monotonic()
    done = world.laptop.run(["gpuhop-tui", "status", "--json"], check=False)
    nodes = json.loads(done.stdout)["nodes"]
    return done.returncode, {node["name"]: node for node in nodes}, time.monotonic() - started


def test_status_prints_the_gpus_of_three_nodes_behind_the_bastion(world: World) -> None:
    code, nodes, _seconds = status(world)
    assert code == 0
    assert list(nodes) == ["gpu-01", "gpu-02", "gpu-03"]
    for node in nodes.values():
        assert (node["state"], node["error"], node["via"]) == ("up", None, ["bastion"])
        assert (node["source"], node["driver"], node["cuda"]) == ("nvml", "550.54.15", "12.4")
        assert [gpu["name"] for gpu in node["gpus"]] == ["NVIDIA A100-SXM4-80GB"] * 2
        assert [gpu["utilization_percent"] for gpu in node["gpus"]] == [10, 20]
        assert node["host"]["memory_total_bytes"] > 0


def test_with_one_sshd_stopped_the_other_nodes_answer_as_fast(fresh_world: World) -> None:
    status(fresh_world)  # the probe is in each node's cache from now on
    _code, _nodes, whole = status(fresh_world)
    fresh_world["gpu-02"].sshd.stop()
    code, nodes, crippled = status(fresh_world)
    assert code == 1
    assert [nodes[name]["state"] for name in ("gpu-01", "gpu-03")] == ["up", "up"]
    dead = nodes["gpu-02"]
    assert dead["state"] == "down"
    assert (dead["error"]["hop"], dead["error"]["kind"]) == ("gpu-02", "refused")
    assert dead["error"]["advice"]
    assert crippled < 1.5 * whole + 3.0  # far from any timeout


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_a_change_on_the_gpu_is_on_the_screen_within_an_interval_and_a_second(
    world: World, width: int, height: int
) -> None:
    gpu = world["gpu-01"].gpus
    assert gpu is not None
    with dashboard(world, width, height) as terminal:
        terminal.shows("gpu-01", "gpu-02", "gpu-03", r"10 ?%")
        gpu.gpu(0, utilization=87)
        try:
            terminal.shows(r"87 ?%", timeout=INTERVAL_SECONDS + 1.0)
        finally:
            gpu.gpu(0, utilization=10)


def test_all_nodes_are_live_again_after_the_bastion_came_back(fresh_world: World) -> None:
    with dashboard(fresh_world) as terminal:
        terminal.shows(r"3/3 nodes", r"10 ?%")
        fresh_world.bastion.sshd.kill()
        terminal.shows(r"0/3 nodes", r"old")
        fresh_world.bastion.sshd.start()
        terminal.shows(r"3/3 nodes", timeout=40)
        for name in ("gpu-01", "gpu-02", "gpu-03"):
            hardware = fresh_world[name].gpus
            assert hardware is not None
            hardware.gpu(0, utilization=93)
        terminal.shows(r"93 ?%")


def test_quitting_gives_the_terminal_back_and_leaves_nothing_on_the_nodes(
    fresh_world: World,
) -> None:
    with dashboard(fresh_world, command="sh -c 'gpuhop-tui; echo exit=$?; cat'") as terminal:
        terminal.shows(r"3/3 nodes")
        terminal.press("q")
        terminal.shows(r"exit=0")
    for machine in fresh_world.machines:
        wait_until(lambda sshd=machine.sshd: not sshd.connections(), f"no login on {machine.name}")
