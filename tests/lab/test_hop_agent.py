"""The agent in a hop: lent only while it is open, and behind one path that lives as long as the
laptop is there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from tests.lab.hop_driving import HopTerminal, hop, lend_agent, tmux
from tests.lab.machine import Machine
from tests.lab.procfs import program
from tests.lab.waiting import wait_until
from tests.lab.world import World

GONE_SECONDS = 10.0  # a laptop that is away has to be noticed by then


@pytest.fixture
def lending(make_world: Callable[..., World]) -> World:
    world = make_world(1, 1)
    lend_agent(world, "gpu-01")
    return world


def old_session(world: World, name: str = "old") -> None:
    """A session that stays, made while the agent was there."""
    with hop(world, "gpu-01", "--session", name) as terminal:
        terminal.until("$")
        terminal.menu("d")
        assert terminal.wait() == 0


def socket_of(machine: Machine, session: str = "old") -> str:
    """What SSH_AUTH_SOCK is inside a session, as a shell started in it has it."""
    pid = tmux(machine, "display-message", "-p", "-t", session, "#{pane_pid}").strip()
    environment = machine.run(["cat", f"/proc/{pid}/environ"]).stdout.split("\0")
    found = [line for line in environment if line.startswith("SSH_AUTH_SOCK=")]
    return found[0].partition("=")[2] if found else ""


def ssh_add(machine: Machine, socket: str) -> subprocess.CompletedProcess[str]:
    """`ssh-add -l` as the user, with a socket by its path; given up after GONE_SECONDS."""
    return machine.run(
        machine.as_user(["env", f"SSH_AUTH_SOCK={socket}", "ssh-add", "-l"]),
        check=False,
        timeout=GONE_SECONDS,
    )


def has_key(world: World, socket: str) -> bool:
    done = ssh_add(world["gpu-01"], socket)
    return done.returncode == 0 and world.laptop.agent.fingerprints()[0] in done.stdout


def forwarded_sockets(machine: Machine) -> list[str]:
    done = machine.run(["sh", "-c", "ls -d /tmp/ssh-*/agent.* 2>/dev/null"], check=False)
    return done.stdout.split()


def test_an_old_session_has_the_agent_again_after_each_reattach(lending: World) -> None:
    world, node = lending, lending["gpu-01"]
    with hop(world, "gpu-01", "--session", "old") as terminal:
        terminal.until("$")
        socket = socket_of(node)
        assert socket.endswith("/gpuhop-tui/gpu-01/agent.sock")
        wait_until(lambda: has_key(world, socket), "the key")
        for break_it in (node.sshd.drop_connections, world.bastion.sshd.restart):
            break_it()
            wait_until(lambda: has_key(world, socket), "the key", 20)
        terminal.press("clear; ssh-add -l\r")
        terminal.until("lab@laptop")


def test_the_lend_ends_with_the_hop(lending: World) -> None:
    world, node = lending, lending["gpu-01"]
    old_session(world)
    socket = socket_of(node)
    began = time.monotonic()
    done = ssh_add(node, socket)
    assert done.returncode != 0
    assert time.monotonic() - began < 1.0
    wait_until(lambda: forwarded_sockets(node) == [], "no socket to be left")


def test_while_the_laptop_is_away_it_fails_and_does_not_hang(lending: World) -> None:
    world, node = lending, lending["gpu-01"]
    with hop(world, "gpu-01", "--session", "old") as terminal:
        terminal.until("$")
        socket = socket_of(node)
        wait_until(lambda: has_key(world, socket), "the key")
        world.laptop.cut()
        began = time.monotonic()
        assert ssh_add(node, socket).returncode != 0  # it had begun to ask when it was cut off
        assert time.monotonic() - began < GONE_SECONDS
        wait_until(lambda: forwarded_sockets(node) == [], "no socket to be left", GONE_SECONDS)
        again = time.monotonic()
        assert ssh_add(node, socket).returncode != 0
        assert time.monotonic() - again < 1.0
        world.laptop.heal()
        wait_until(lambda: has_key(world, socket), "the key", 20)


def test_a_program_that_is_stopped_or_killed_leaves_no_hanging_socket(lending: World) -> None:
    world, node = lending, lending["gpu-01"]
    with hop(world, "gpu-01", "--session", "old") as terminal:
        terminal.until("$")
        socket = socket_of(node)
        wait_until(lambda: has_key(world, socket), "the key")
        terminal.process.kill()
        terminal.wait()
        wait_until(lambda: ssh_add(node, socket).returncode != 0, "no key")
        wait_until(lambda: forwarded_sockets(node) == [], "no socket to be left")


def test_two_programs_do_not_fight(lending: World) -> None:
    world, node = lending, lending["gpu-01"]
    with (
        hop(world, "gpu-01", "--session", "old") as first,
        hop(world, "gpu-01", "--session", "new") as second,
    ):
        for terminal in (first, second):
            terminal.until("$")
        socket = socket_of(node)
        assert socket_of(node, "new") == socket
        wait_until(lambda: has_key(world, socket), "the key")
        leave(second)
        wait_until(lambda: has_key(world, socket), "the key of the first", 3)
        with hop(world, "gpu-01", "--session", "third") as third:
            third.until("$")
            wait_until(lambda: len(forwarded_sockets(node)) == 2, "two sockets")
            leave(first)
            wait_until(lambda: has_key(world, socket), "the key of the third", 3)
            leave(third)
        wait_until(lambda: ssh_add(node, socket).returncode != 0, "no key")


def leave(terminal: HopTerminal) -> None:
    terminal.menu("d")
    assert terminal.wait() == 0


def test_a_keeper_that_is_killed_is_replaced(lending: World) -> None:
    world, node = lending, lending["gpu-01"]
    with hop(world, "gpu-01", "--session", "old") as terminal:
        terminal.until("$")
        socket = socket_of(node)
        keepers = wait_until(lambda: agents_of(node), "a keeper")
        node.run(["kill", "-9", *keepers])
        node.run(["rm", socket])
        wait_until(lambda: agents_of(node) not in ([], keepers), "another keeper")
        wait_until(lambda: has_key(world, socket), "the key")
        assert len(agents_of(node)) == 1


def agents_of(machine: Machine) -> list[str]:
    directory = machine.home / ".cache/gpuhop-tui" / machine.name / "agents"
    return [path.name for path in directory.iterdir()] if directory.exists() else []


def test_a_node_that_shall_not_have_it_has_no_variable(lending: World) -> None:
    world, node = lending, lending["gpu-01"]
    lend_agent(world)
    old_session(world)
    assert socket_of(node) == ""
    assert forwarded_sockets(node) == []


def test_a_server_that_refuses_forwarding_is_said(lending: World) -> None:
    world = lending
    world["gpu-01"].sshd.options["AllowAgentForwarding"] = "no"
    world["gpu-01"].sshd.restart()
    with hop(world, "gpu-01") as terminal:
        terminal.until("gpu-01 refuses agent forwarding: no agent in this shell")
        terminal.press("echo [$SSH_AUTH_SOCK]\r")
        terminal.until("\n[]")


def test_only_our_own_sshd_is_ended(lending: World) -> None:
    """Another login of the same user is nobody's to end."""
    world, node = lending, lending["gpu-01"]
    other = world.laptop.popen(["ssh", "gpu-01", "cat"], stdin=subprocess.PIPE)
    try:
        wait_until(lambda: sum(program(p) == "cat" for p in node.processes()) == 1, "its cat")
        old_session(world)
        wait_until(lambda: forwarded_sockets(node) == [], "the hop's sshd to end")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_bastion_is_lent_the_agent_where_the_config_says_so(
    make_world: Callable[..., World],
) -> None:
    world = make_world(1, 1)
    run = ["gpuhop-tui", "hop", "bastion", "--", "ssh-add -l"]
    done = world.laptop.run(run, input="", check=False)
    assert done.returncode != 0
    assert world.laptop.agent.fingerprints()[0] not in done.stdout

    config = world.config()
    config["bastions"][0]["forward_agent"] = True
    config["bastions"][0]["guard"] = "allow"
    world.laptop.write_config(config)
    assert world.laptop.agent.fingerprints()[0] in world.laptop.run(run, input="").stdout
    warning = "root on bastion can use your agent now; `via` leads onward without forward_agent"
    assert warning in world.laptop.run(run, input="").stderr
    onward = f"ssh -o StrictHostKeyChecking=no {world.nodes[0].address} hostname"
    done = world.laptop.run([*run[:-1], onward], input="", check=False)
    assert (done.returncode, done.stdout) == (0, "gpu-01\n"), done.stderr

    config["bastions"][0]["guard"] = "deny"
    world.laptop.write_config(config)
    assert world.laptop.run(run, input="", check=False).returncode != 0
