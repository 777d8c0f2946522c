"""The network and the servers fail; links notice in time, say where, and come back alone."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh import login, wake
from gpuhop_tui.ssh import network as network_module
from gpuhop_tui.ssh.status import LinkState
from tests.lab.driving import (
    Person,
    all_live,
    fleet_of,
    fleet_reached,
    gpu_nodes,
    is_live,
    logins,
    simulate,
    status,
)
from tests.lab.waiting import wait_until
from tests.lab.world import World

MakeWorld = Callable[..., World]

FOUND_SECONDS = 6.0  # the design's limit for finding a dead peer
SLACK_SECONDS = 4.0  # of a machine that is busy with other things
BACKOFF_SECONDS = 8.0  # the longest wait after as few failures as these tests make


@pytest.fixture
def fleet_world(make_world: MakeWorld) -> World:
    """A bastion and three nodes with simulated GPUs."""
    world = make_world(nodes=gpu_nodes(3))
    simulate(*world.nodes)
    return world


def none_up(state: FleetState) -> bool:
    return all(node.link.state is not LinkState.UP for node in state.nodes)


def ups(fleet: Fleet, name: str) -> int:
    """How often the node's link has come up so far."""
    node = fleet.state.node(name)
    assert node is not None
    return sum(event.text.startswith("up after") for event in node.events)


# The bastion


async def test_all_are_live_again_when_the_bastions_sshd_was_killed_and_started(
    fleet_world: World,
) -> None:
    sshd = fleet_world.bastion.sshd
    person = Person()
    async with fleet_of(fleet_world.laptop, person) as fleet:
        await fleet_reached(fleet, all_live, "live")
        sshd.kill()
        state = await fleet_reached(fleet, none_up, "down")
        state = await fleet_reached(
            fleet,
            lambda state: all(
                n.problem is not None and n.problem.kind is ErrorKind.REFUSED for n in state.nodes
            ),
            "refused at the bastion",
        )
        assert {node.problem.hop for node in state.nodes if node.problem} == {"bastion"}
        assert all(node.stale and node.sample for node in state.nodes)
        sshd.start()
        await fleet_reached(fleet, all_live, "live", seconds=BACKOFF_SECONDS + 10)
        assert sshd.connections() == 1
    assert person.asked == []


async def test_a_bastion_that_drops_its_connections_is_back_within_a_second_or_two(
    fleet_world: World,
) -> None:
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        fleet_world.bastion.sshd.drop_connections()
        started = time.monotonic()
        await fleet_reached(fleet, none_up, "down")
        await fleet_reached(fleet, all_live, "live")
        assert time.monotonic() - started < 3.0 + SLACK_SECONDS


async def test_a_frozen_bastion_is_found_and_thaws(fleet_world: World) -> None:
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        fleet_world.bastion.freeze()
        try:
            started = time.monotonic()
            state = await fleet_reached(fleet, none_up, "down")
            assert time.monotonic() - started < FOUND_SECONDS + SLACK_SECONDS
            assert all(node.problem and node.problem.hop == "bastion" for node in state.nodes)
        finally:
            fleet_world.bastion.thaw()
        await fleet_reached(fleet, all_live, "live", seconds=30)


def test_a_bastion_that_is_off(fleet_world: World) -> None:
    fleet_world.bastion.sshd.stop()
    code, nodes = status(fleet_world.laptop)
    assert code == 1
    errors = {(node["error"]["hop"], node["error"]["kind"]) for node in nodes.values()}
    assert errors == {("bastion", "refused")}
    fleet_world.bastion.power_off()
    code, nodes = status(fleet_world.laptop, "--timeout", "8")
    assert code == 1
    errors = {(node["error"]["hop"], node["error"]["kind"]) for node in nodes.values()}
    assert errors <= {("bastion", "unreachable"), ("bastion", "timeout")}
    assert len(errors) == 1


# The nodes


@pytest.mark.parametrize("how", ["stopped", "off", "frozen"])
async def test_one_dead_node_changes_nothing_for_the_others(
    fleet_world: World, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others' figures come as regularly as before, and the dead one is named."""
    monkeypatch.setattr(login, "LOGIN_SECONDS", 5.0)
    dead = fleet_world["gpu-02"]
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        {"stopped": dead.sshd.kill, "off": dead.power_off, "frozen": dead.freeze}[how]()
        await fleet_reached(
            fleet,
            lambda state: not is_live(state.node("gpu-02")),
            "without gpu-02",
            seconds=FOUND_SECONDS + SLACK_SECONDS,
        )
        seen = {name: _sampled(fleet, name) for name in ("gpu-01", "gpu-03")}
        started = time.monotonic()
        await fleet_reached(
            fleet,
            lambda _: all(_sampled(fleet, name) >= at + 2 for name, at in seen.items()),
            "sampled for two seconds more",
        )
        assert time.monotonic() - started < 2 + 0.5 + SLACK_SECONDS
        assert ups(fleet, "gpu-01") == ups(fleet, "gpu-03") == 1
        state = await fleet_reached(
            fleet,
            lambda state: (
                (node := state.node("gpu-02")) is not None
                and node.problem is not None
                and node.problem.kind is not ErrorKind.LOST
            ),
            "told why gpu-02 is gone",
            seconds=30,
        )
        node = state.node("gpu-02")
        assert node is not None
        assert node.problem is not None
        assert node.problem.hop == "gpu-02"
        wanted = {
            "stopped": {ErrorKind.REFUSED},
            "off": {ErrorKind.UNREACHABLE, ErrorKind.TIMEOUT},
            "frozen": {ErrorKind.TIMEOUT},
        }
        assert node.problem.kind in wanted[how]
        if how == "frozen":
            dead.thaw()


def _sampled(fleet: Fleet, name: str) -> float:
    node = fleet.state.node(name)
    assert node is not None
    assert node.sample is not None
    return node.sample.sampled_at


def test_status_with_a_node_down_is_as_fast_as_without(fleet_world: World) -> None:
    started = time.monotonic()
    code, _ = status(fleet_world.laptop)
    healthy = time.monotonic() - started
    assert code == 0
    fleet_world["gpu-02"].sshd.stop()
    started = time.monotonic()
    code, nodes = status(fleet_world.laptop)
    assert time.monotonic() - started < 1.5 * healthy + SLACK_SECONDS
    assert code == 1
    assert [node["state"] for node in nodes.values()] == ["up", "down", "up"]
    error = nodes["gpu-02"]["error"]
    assert (error["hop"], error["kind"]) == ("gpu-02", "refused")
    assert len(nodes["gpu-01"]["gpus"]) == len(nodes["gpu-03"]["gpus"]) == 2


async def test_a_node_that_boots_again(fleet_world: World) -> None:
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        fleet_world["gpu-02"].power_off()
        await fleet_reached(fleet, lambda state: not all_live(state), "without gpu-02")
        await asyncio.to_thread(fleet_world.boot, fleet_world["gpu-02"])
        await fleet_reached(fleet, all_live, "live", seconds=40)


# The network


async def test_a_cut_line_is_found_in_six_seconds_and_heals(fleet_world: World) -> None:
    laptop, bastion = fleet_world.laptop, fleet_world.bastion
    async with fleet_of(laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        laptop.cut(bastion)
        started = time.monotonic()
        state = await fleet_reached(fleet, none_up, "down")
        assert time.monotonic() - started < FOUND_SECONDS + SLACK_SECONDS
        assert all(node.problem and node.problem.hop == "bastion" for node in state.nodes)
        laptop.heal()
        await fleet_reached(fleet, all_live, "live", seconds=40)


async def test_a_short_gap_loses_nothing(fleet_world: World) -> None:
    """TCP mends what lasts less than the keepalive's patience: nobody logs in again."""
    laptop, bastion = fleet_world.laptop, fleet_world.bastion
    async with fleet_of(laptop) as fleet:
        state = await fleet_reached(fleet, all_live, "live")
        laptop.cut(bastion)
        with pytest.raises(AssertionError):
            await fleet_reached(fleet, none_up, "down", seconds=1.0)
        laptop.heal()
        before = {node.name: _sampled(fleet, node.name) for node in state.nodes}
        await fleet_reached(
            fleet,
            lambda _: all(_sampled(fleet, name) > at + 1 for name, at in before.items()),
            "sampled again",
        )
        assert logins(bastion.sshd) == 1


async def test_the_laptop_moves_to_another_network(fleet_world: World) -> None:
    """Its address changes: the old connections are dead, and nothing says so but the clock."""
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        fleet_world.laptop.readdress("10.90.0.77")
        started = time.monotonic()
        await fleet_reached(fleet, none_up, "down")
        assert time.monotonic() - started < 1 + 2 + SLACK_SECONDS  # one tick, one short patience
        await fleet_reached(fleet, all_live, "live")
        (bastion,) = fleet.state.bastions
        assert any("network changed" in event.text for event in bastion.events)


async def test_wifi_goes_and_comes(fleet_world: World) -> None:
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        fleet_world.laptop.link_down()
        await fleet_reached(fleet, none_up, "down")
        fleet_world.laptop.link_up()
        started = time.monotonic()
        await fleet_reached(fleet, all_live, "live", seconds=30)
        # The route's return cuts the wait short.
        assert time.monotonic() - started < 3.0 + SLACK_SECONDS


async def test_a_slow_line_is_no_dead_line(fleet_world: World) -> None:
    """Half a second each way: seven round trips to log in, and every keepalive answered."""
    relay = fleet_world.relay(fleet_world.bastion)
    relay.delay(0.25)
    _through(fleet_world, relay.host, relay.port)
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live", seconds=40)
        (bastion,) = fleet.state.bastions
        state = await fleet_reached(
            fleet, lambda state: bool(state.bastions[0].link.rtt_seconds), "measured"
        )
        (bastion,) = state.bastions
        assert bastion.link.rtt_seconds is not None
        assert bastion.link.rtt_seconds >= 0.5


async def test_a_severed_line_is_back_at_once(fleet_world: World) -> None:
    relay = fleet_world.relay(fleet_world.bastion)
    _through(fleet_world, relay.host, relay.port)
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        relay.sever()
        started = time.monotonic()
        await fleet_reached(fleet, none_up, "down")
        await fleet_reached(fleet, all_live, "live")
        assert time.monotonic() - started < 3.0 + SLACK_SECONDS


def _through(world: World, host: str, port: int) -> None:
    """Let the config lead to the bastion by another address, under its own host key."""
    config = world.config()
    config["bastions"][0] |= {"host": host, "port": port}
    world.laptop.write_config(config)
    kind, blob = world.bastion.sshd.host_key.public.split()[:2]
    with world.laptop.known_hosts.open("a") as file:
        file.write(f"[{host}]:{port} {kind} {blob}\n")


# Time


async def test_a_jump_of_the_clock_tests_every_link_at_once(
    fleet_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a sleep: here the line died meanwhile, and is found in two seconds."""
    asleep = [0.0]
    clocks = wake.ClockWatch(wall=lambda: time.time() + asleep[0])
    monkeypatch.setattr(network_module, "watch", functools.partial(wake.watch, clocks=clocks))
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        fleet_world.laptop.cut()
        asleep[0] = 3600.0
        started = time.monotonic()
        state = await fleet_reached(fleet, none_up, "down")
        assert time.monotonic() - started < 1 + 2 + SLACK_SECONDS
        assert any("woke up" in event.text for event in state.bastions[0].events)
        fleet_world.laptop.heal()
        await fleet_reached(fleet, all_live, "live", seconds=20)


async def test_a_jump_of_the_clock_drops_no_link_that_lives(
    fleet_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = [0.0]
    clocks = wake.ClockWatch(wall=lambda: time.time() + asleep[0])
    monkeypatch.setattr(network_module, "watch", functools.partial(wake.watch, clocks=clocks))
    async with fleet_of(fleet_world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")
        for jump in (3600.0, -3600.0):  # forth, and set back by hand
            asleep[0] += jump
            seen = {node.name: _sampled(fleet, node.name) for node in fleet.state.nodes}
            await fleet_reached(
                fleet,
                lambda _, seen=seen: all(_sampled(fleet, n) > at + 1.5 for n, at in seen.items()),
                "sampled on",
            )
        assert logins(fleet_world.bastion.sshd) == 1
        assert all(ups(fleet, node.name) == 1 for node in fleet.state.nodes)


class Follower:
    """`gpuhop-tui status --follow` as a process, and its lines."""

    def __init__(self, world: World) -> None:
        self.process = world.laptop.popen(
            ["gpuhop-tui", "status", "--follow"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._lines.put(line)

    def wait_for_all(self, names: set[str], seconds: float = 40.0) -> None:
        """Reads until each of these nodes has shown a fresh sample."""
        started, left, seen = time.time(), set(names), list[str]()
        while left:
            try:
                seen.append(self._lines.get(timeout=started + seconds - time.time()))
            except (queue.Empty, ValueError):
                raise AssertionError(f"no samples of {left}: {seen[-5:]}") from None
            (node,) = json.loads(seen[-1])["nodes"]
            if node["state"] == "up" and (node["sampled_at"] or 0) > started:
                left.discard(node["name"])

    def end(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        self._reader.join()


@pytest.fixture
def follower(fleet_world: World) -> Iterator[Follower]:
    follower = Follower(fleet_world)
    yield follower
    follower.end()


def test_stopped_and_continued(fleet_world: World, follower: Follower) -> None:
    names = {node.name for node in fleet_world.nodes}
    follower.wait_for_all(names)
    os.kill(follower.process.pid, signal.SIGSTOP)
    # Longer than any patience: what ends first is the nodes' probes, which hear nothing.
    wait_until(lambda: not any(_probes(fleet_world, name) for name in names), "probes to end", 40)
    os.kill(follower.process.pid, signal.SIGCONT)
    follower.wait_for_all(names)


def _probes(world: World, name: str) -> list[int]:
    """Pids of probes that run on a node."""
    found = []
    for pid in world[name].processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].rpartition(b"/")[2].startswith(b"python") or b"gpuhop-probe" in words:
            found.append(pid)
    return found


def test_nothing_runs_on_when_the_app_is_killed(fleet_world: World, follower: Follower) -> None:
    names = {node.name for node in fleet_world.nodes}
    follower.wait_for_all(names)
    assert all(_probes(fleet_world, name) for name in names)
    follower.process.kill()
    for name in names:
        wait_until(lambda name=name: not _probes(fleet_world, name), f"the probe of {name} to end")
        wait_until(
            lambda name=name: fleet_world[name].sshd.connections() == 0, f"{name}'s session to end"
        )


def test_nothing_runs_on_when_the_line_is_cut(fleet_world: World, follower: Follower) -> None:
    """No FIN arrives and sshd waits for ever: the probe ends by its own heartbeat."""
    names = {node.name for node in fleet_world.nodes}
    follower.wait_for_all(names)
    fleet_world.laptop.cut()
    follower.process.kill()
    for name in names:
        wait_until(
            lambda name=name: not _probes(fleet_world, name), f"the probe of {name} to end", 40
        )


def test_it_ends_quietly_by_ctrl_c(fleet_world: World, follower: Follower) -> None:
    names = {node.name for node in fleet_world.nodes}
    follower.wait_for_all(names)
    follower.process.send_signal(signal.SIGINT)
    assert follower.process.wait(timeout=10) == 0
    for name in names:
        wait_until(lambda name=name: not _probes(fleet_world, name), f"the probe of {name} to end")
