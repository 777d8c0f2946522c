"""The hop under every fault of its chain: the same screen comes back, nothing lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.lab.hop_driving import (
    HopTerminal,
    assert_nothing_lost,
    held_by_tmux,
    hop,
    is_counting,
    log_of,
    numbers,
    start_counter,
    tmux,
    under_job_control,
)
from tests.lab.machine import Spec
from tests.lab.waiting import wait_until
from tests.lab.world import World


@pytest.fixture
def one_node(make_world: Callable[..., World]) -> World:
    return make_world(1, 1)


@contextmanager
def counting(world: World, **options: object) -> Iterator[HopTerminal]:
    """A hop in which a counter runs; no traceback is in the log at the end."""
    with hop(world, "gpu-01", **options) as terminal:  # type: ignore[arg-type]
        start_counter(terminal)
        yield terminal
    with open(log_of(world.laptop)) as log:  # noqa: PTH123
        assert "Traceback" not in log.read()


def back(terminal: HopTerminal, seconds: float = 30.0) -> float:
    """Waits until the line of the lost link is gone and new lines come; returns the seconds."""
    began = time.monotonic()
    terminal.until_true(
        lambda: " lost " not in terminal.last_line and is_counting(terminal),
        "the link to be back",
        seconds,
    )
    return time.monotonic() - began


def lost(terminal: HopTerminal, seconds: float = 10.0) -> None:
    terminal.until_true(
        lambda: "gpu-01 lost" in terminal.last_line, "the line of the lost link", seconds
    )


def for_seconds(seconds: float) -> None:
    """Lets a fault last."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, "the time to pass", seconds + 5)


@pytest.mark.parametrize("seconds", [1.0, 20.0])
def test_the_network_is_away(one_node: World, seconds: float) -> None:
    world = one_node
    with counting(world) as terminal:
        world.laptop.cut()
        if seconds > 6:
            lost(terminal)
            frozen = terminal.lines[:-1]
            for_seconds(seconds - 6)
            assert terminal.lines[:-1] == frozen  # the last screen stays
        else:
            for_seconds(seconds)
        world.laptop.heal()
        took = back(terminal)
        assert took < 3.0  # SYNs go out twice a second; the rest is one login
        assert_nothing_lost(terminal, world["gpu-01"])


@pytest.mark.parametrize("who", ["bastion", "gpu-01"])
def test_an_sshd_is_killed_and_started_again(one_node: World, who: str) -> None:
    world = one_node
    with counting(world) as terminal:
        world[who].sshd.kill()
        lost(terminal)
        world[who].sshd.start()
        back(terminal)
        assert_nothing_lost(terminal, world["gpu-01"])


@pytest.mark.parametrize("who", ["bastion", "gpu-01"])
def test_an_sshd_s_connection_is_killed(one_node: World, who: str) -> None:
    world = one_node
    with counting(world) as terminal:
        for _ in range(3):
            world[who].sshd.drop_connections()
            back(terminal)
        assert_nothing_lost(terminal, world["gpu-01"])


def test_the_tmux_client_on_the_node_is_killed(one_node: World) -> None:
    world = one_node
    with counting(world) as terminal:
        pid = tmux(world["gpu-01"], "list-clients", "-F", "#{client_pid}").strip()
        world["gpu-01"].run(["kill", "-9", pid])
        wait_until(
            lambda: (
                tmux(world["gpu-01"], "list-clients", "-F", "#{client_pid}").strip()
                not in ("", pid)
            ),
            "another client",
        )
        back(terminal)
        assert_nothing_lost(terminal, world["gpu-01"])


def test_the_program_is_stopped_and_continued(one_node: World) -> None:
    world = one_node
    with counting(world, job_control=True) as terminal:
        pid = under_job_control(terminal)
        os.kill(pid, signal.SIGSTOP)
        terminal.until("Stopped")
        world["bastion"].sshd.drop_connections()  # what a long sleep does to a connection
        terminal.press("fg\n")
        back(terminal)
        assert_nothing_lost(terminal, world["gpu-01"])


def test_the_bastion_is_frozen_for_a_while(one_node: World) -> None:
    world = one_node
    with counting(world) as terminal:
        world["bastion"].freeze()
        lost(terminal)
        world["bastion"].thaw()
        back(terminal)
        assert_nothing_lost(terminal, world["gpu-01"])


def test_the_laptop_changes_its_address(one_node: World) -> None:
    world = one_node
    with counting(world) as terminal:
        world.laptop.readdress("10.90.0.77")
        back(terminal)
        assert_nothing_lost(terminal, world["gpu-01"])


def test_keys_typed_while_away_are_held_shown_and_sent_or_dropped(one_node: World) -> None:
    world = one_node
    with hop(world, "gpu-01") as terminal:
        terminal.until("$")
        for keys, answer in (("echo sent", "\r"), ("echo drop", "\x1b")):
            world.laptop.cut()
            terminal.press("echo ")
            terminal.until("does not answer since")  # long before the link is given up
            terminal.press(keys.removeprefix("echo "))
            terminal.until_true(lambda keys=keys: keys in terminal.last_line, "the held keys")
            lost(terminal)
            world.laptop.heal()
            terminal.until("Enter sends them · Esc drops them")
            terminal.press(answer)
            terminal.until_true(lambda: "Esc drops" not in terminal.text, "the answer to be taken")
        terminal.press("\r")
        terminal.until("\nsent")
        assert "\ndrop" not in terminal.text
        assert terminal.lines == held_by_tmux(world["gpu-01"])


def test_a_rebooted_node_is_said_and_a_new_session_offered(one_node: World) -> None:
    world = one_node
    node = world["gpu-01"]
    fake = node.directory / "boot_id"

    def boots_as(name: str) -> None:
        fake.write_text(f"{name}\n")
        node.run(["mount", "--bind", "/opt/lab/boot_id", "/proc/sys/kernel/random/boot_id"])

    boots_as("first")
    with counting(world) as terminal:
        node.power_off()
        lost(terminal)
        world.boot(node)
        boots_as("second")
        terminal.until("Enter opens a new one · Esc leaves", 60)
        assert "gpuhop on gpu-01 is gone: the node was rebooted" in terminal.last_line
        terminal.press("\r")
        terminal.until_true(lambda: terminal.lines[0].endswith("$"), "a new shell")
        assert numbers(terminal.lines) == []


def test_a_session_that_ended_meanwhile_is_said(one_node: World) -> None:
    world = one_node
    with counting(world) as terminal:
        world["bastion"].sshd.kill()
        lost(terminal)
        tmux(world["gpu-01"], "kill-server")
        world["bastion"].sshd.start()
        terminal.until("it ended while the link was away · Enter opens a new one · Esc leaves")
        terminal.press("\x1b")
        assert terminal.wait() == 0
        assert terminal.mode == terminal.before


def test_a_command_that_ended_meanwhile_gives_its_status(one_node: World) -> None:
    world = one_node
    go = world["gpu-01"].home / "go"
    with hop(
        world, "gpu-01", "--", "echo began; while [ ! -e go ]; do sleep 0.1; done; echo end; exit 6"
    ) as terminal:
        terminal.until("began")
        world["bastion"].sshd.kill()
        lost(terminal)
        go.touch()
        wait_until(
            lambda: tmux(world["gpu-01"], "list-sessions", check=False) == "", "the command to end"
        )
        world["bastion"].sshd.start()
        assert terminal.wait() == 6
        assert "began\nend\n" in terminal.text


def test_a_shell_without_tmux_is_said_to_have_ended(make_world: Callable[..., World]) -> None:
    world = make_world(1, [Spec("gpu-01", via="bastion", hide=("tmux",))])
    with hop(world, "gpu-01") as terminal:
        terminal.until("will not survive")
        world["bastion"].sshd.drop_connections()
        terminal.until("a shell without tmux ends with its link")
        terminal.press("\r")
        terminal.until_true(lambda: "Enter opens" not in terminal.text, "a new shell")
        terminal.press("exit 3\r")
        assert terminal.wait() == 3


def test_leaving_while_the_link_is_away(one_node: World) -> None:
    world = one_node
    with counting(world) as terminal:
        world.laptop.cut()
        lost(terminal)
        terminal.menu("d")
        assert terminal.wait() == 0
        assert terminal.mode == terminal.before


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_line_that_delays_and_breaks_at_random(one_node: World, seed: int) -> None:
    world = one_node
    relay = world.relay(world["bastion"], seed=seed)
    config = world.config()
    config["bastions"][0].update(host=relay.host, port=relay.port)
    world.laptop.write_config(config)
    with world.laptop.known_hosts.open("a") as file:
        kind, blob, *_ = world["bastion"].sshd.host_key.public.split()
        file.write(f"[{relay.host}]:{relay.port} {kind} {blob}\n")
    chance = random.Random(seed)
    with counting(world) as terminal:
        for _ in range(8):
            relay.delay(chance.choice([0.0, 0.02, 0.05]))
            relay.drop(chance.choice([0.0, 0.01, 0.05]))
            for_seconds(chance.uniform(0.3, 1.5))
        relay.drop(0.0)
        relay.delay(0.0)
        back(terminal)
        assert_nothing_lost(terminal, world["gpu-01"])
