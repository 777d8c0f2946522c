"""`gpuhop-tui hop NODE/CONTAINER`: a shell in a real container that outlives the link, by docker's
own exec inside a tmux session of the node."""

from __future__ import annotations

import subprocess

import pytest

from tests.lab.docker.dockerd import BASE
from tests.lab.docker.driving import start_box
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.docker.sshd import start_sshd
from tests.lab.hop_driving import (
    HopTerminal,
    assert_nothing_lost,
    hop,
    is_counting,
    numbers,
    tmux,
)
from tests.lab.waiting import wait_until
from tests.lab.world import World

COUNTER = "i=0; while sleep 0.1; do i=$((i+1)); echo line $i; done"


def sessions(world: DockerWorld) -> list[str]:
    said = tmux(world.world["gpu-01"], "list-sessions", "-F", "#{session_name}", check=False)
    return said.split()


@pytest.fixture
def box(docker_world: DockerWorld) -> str:
    return start_box(docker_world.dockerd, "box")


def piped(world: DockerWorld, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return world.world.laptop.run(["gpuhop-tui", "hop", *words], input=text, check=False)


def at_prompt(terminal: HopTerminal) -> None:
    """Its shell is there: the lab's image has no name in the prompt."""
    terminal.until("bash-")


def leave(terminal: HopTerminal) -> None:
    terminal.menu("d")
    assert terminal.wait() == 0


def test_a_shell_in_it_outlives_the_link(docker_world: DockerWorld, box: str) -> None:
    world = docker_world.world
    with hop(world, "gpu-01/box", size=(90, 25)) as terminal:
        at_prompt(terminal)
        assert sessions(docker_world) == [f"box-{box[:8]}"]
        terminal.press("echo $USER-$TERM; hostname; stty size\r")
        for text in ("root-tmux-256color", "in-box", "25 90"):
            terminal.until(text)
        terminal.resize(70, 20)
        terminal.press("until [ '20 70' = \"$(stty size)\" ]; do sleep 0.1; done; echo res''ized\r")
        terminal.until("resized")
        terminal.press(f"clear; {COUNTER}\r")
        terminal.until("line 8")
        last = max(numbers(terminal.lines))
        world["gpu-01"].sshd.drop_connections()
        terminal.until_true(lambda: b"gpu-01 lost" in terminal.raw, "the loss to be told")
        terminal.until_true(lambda: max(numbers(terminal.lines), default=0) > last, "new lines")
        leave(terminal)
        terminal.until_true(
            lambda: "back: gpuhop-tui hop gpu-01/box" in "".join(terminal.lines), "the way back"
        )
    with hop(world, f"gpu-01/{box[:6]}", size=(70, 20)) as terminal:
        terminal.until_true(lambda: is_counting(terminal), "the counter")
        assert_nothing_lost(terminal, world["gpu-01"], f"box-{box[:8]}")
        terminal.press("exit\r")
        assert terminal.wait() == 0
    assert sessions(docker_world) == []


def test_user_directory_and_a_command_s_status(docker_world: DockerWorld, box: str) -> None:
    dockerd = docker_world.dockerd
    dockerd.docker("exec", "box", "sh", "-c",
                   "echo mira:x:1234:1234::/tmp:/bin/sh >>/etc/passwd; mkdir /data")  # fmt: skip
    options = ("--user", "mira", "--directory", "/data", "gpu-01/box")
    done = piped(
        docker_world, *options, "--", "cat; id -un; pwd; echo err >&2; exit 3", text="in\n" * 999
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        3,
        "in\n" * 999 + "mira\n/data\n",
        "err\n",
    )
    with hop(docker_world.world, *options, "--", "id -un; pwd; seq 500; exit 7") as terminal:
        assert terminal.wait() == 7
        terminal.until("exited with 7")
        assert b"mira" in terminal.raw
    with hop(docker_world.world, *options) as terminal:
        at_prompt(terminal)
        assert sessions(docker_world) == [f"box-{box[:8]}-mira-data"]
        terminal.press("exit\r")
        assert terminal.wait() == 0
    for wrong, says in (
        (("--user", "nobody-here", "gpu-01/box"), "unable to find user nobody-here"),
        (("--directory", "/nowhere", "gpu-01/box"), "/nowhere"),
    ):
        with hop(docker_world.world, *wrong, size=(200, 20)) as terminal:
            assert terminal.wait() == 255
            terminal.until("no shell starts in the container box on gpu-01")
            terminal.until(says)
    assert sessions(docker_world) == []


def test_what_is_not_there_or_does_not_run_is_said(docker_world: DockerWorld, box: str) -> None:
    done = piped(docker_world, "gpu-01/bix", "--", "true")
    assert done.returncode == 2
    assert "no container on gpu-01 is named 'bix'" in done.stderr
    assert "Did you mean 'box'?" in done.stderr
    done = piped(docker_world, "gpu-02/box", "--", "true")
    assert done.returncode == 255
    assert "there is no socket" in done.stderr or "there is no Docker" in done.stderr
    docker_world.dockerd.docker("stop", "-t", "0", "box")
    with hop(docker_world.world, "gpu-01/box") as terminal:
        assert terminal.wait() == 255
        terminal.until("the container box on gpu-01 has stopped")
        terminal.until("docker start box")


def test_a_container_that_ends_or_restarts_under_a_shell(
    docker_world: DockerWorld, box: str
) -> None:
    dockerd = docker_world.dockerd
    with hop(docker_world.world, "gpu-01/box") as terminal:
        at_prompt(terminal)
        dockerd.docker("restart", "-t", "0", "box")
        assert terminal.wait() == 255
        terminal.until("the container box on gpu-01 was restarted")
    with hop(docker_world.world, "gpu-01/box") as terminal:
        at_prompt(terminal)
        dockerd.docker("rm", "-f", "box")
        assert terminal.wait() == 255
        terminal.until("there is no container box")
    assert sessions(docker_world) == []


def test_the_way_back_after_a_kill_is_into_the_container(
    docker_world: DockerWorld, box: str
) -> None:
    world = docker_world.world
    with hop(world, "gpu-01/box") as terminal:
        at_prompt(terminal)
        terminal.press("echo still-$((40 + 2))\r")
        terminal.until("still-42")
        terminal.process.kill()
        terminal.wait()
    with hop(world) as terminal:
        terminal.until("still-42")
        terminal.press("hostname; exit\r")
        assert terminal.wait() == 0
        terminal.until("back to container box on gpu-01")


# By SSH


@pytest.mark.parametrize("at", ["", "127.0.0.1"], ids=["beside the node", "through the node"])
def test_by_its_own_sshd_with_the_key_that_it_has_made(docker_world: DockerWorld, at: str) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    start_sshd(dockerd, "door", world.laptop.key.public, port=2222, at=at)
    known = world.laptop.known_hosts.read_text()
    done = piped(docker_world, "--ssh", "gpu-01/door", "--", "hostname; exit 4")
    assert (done.returncode, done.stdout, done.stderr) == (4, "in-door\n", "")
    if at:  # the rest does not depend on the way
        return
    with hop(world, "--ssh", "gpu-01/door") as terminal:
        at_prompt(terminal)
        terminal.press("echo $TMUX-$SSH_CONNECTION\r")
        terminal.until("/gpuhop,")
        leave(terminal)
        terminal.until("detached from gpuhop on gpu-01/door; it runs on; back: gpuhop-tui hop")
    with hop(world, "--ssh", "gpu-01/door") as terminal:
        terminal.until("/gpuhop,")  # the same shell, kept by the container's own tmux
        leave(terminal)
    assert world.laptop.known_hosts.read_text() == known  # nothing was asked or written
    dockerd.docker("exec", "door", "sh", "-c",
                   "cd /etc/gpuhop; ssh-keygen -q -t ed25519 -N '' -f other;"
                   " mv other.pub host_key.pub")  # fmt: skip
    done = piped(docker_world, "--ssh", "gpu-01/door", "--", "true")
    assert done.returncode == 255
    assert "is not the one that gpu-01/door has made" in done.stderr


def test_a_key_that_is_not_known_is_asked_about(docker_world: DockerWorld) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    identity = start_sshd(dockerd, "door", world.laptop.key.public, port=2222)
    dockerd.docker("exec", "door", "rm", "/etc/gpuhop/host_key.pub")
    with hop(world, "--ssh", "gpu-01/door", "--session", "own", size=(160, 24)) as terminal:
        terminal.until(f"The host key of gpu-01-door-{identity[:12]} (through bastion)")
        terminal.press("once\r")
        at_prompt(terminal)
        terminal.press("hostname; exit\r")
        assert terminal.wait() == 0
    done = piped(docker_world, "--ssh", "gpu-01/box", "--", "true")
    assert done.returncode == 2
    start_box(dockerd, "box")
    done = piped(docker_world, "--ssh", "gpu-01/box", "--", "true")
    assert done.returncode == 2
    assert "publishes no SSH server" in done.stderr


# The agent inside


def lending_box(world: DockerWorld) -> None:
    """A template's container with the agent in it, on a node that is lent it, unasked."""
    laptop = world.world.laptop
    config = world.world.config()
    config["nodes"][0] |= {"forward_agent": True, "guard": "allow"}
    template = {"name": "box", "image": BASE, "gpus": 0, "command": ["sleep", "1000"]}
    config["templates"] = [template | {"forward_agent": True}]
    laptop.write_config(config)
    done = laptop.run(["gpuhop-tui", "run", "box", "gpu-01"], check=False)
    assert done.returncode == 0, done.stderr


def keys_inside(world: DockerWorld, user: str = "root") -> str:
    """What `ssh-add -l` says in the container."""
    argv = ["docker", "exec", "-u", user, "box", "ssh-add", "-l"]
    done = world.dockerd.machine.run(argv, check=False, timeout=20)
    return done.stdout + done.stderr


def an_sshd_that_forbids_it_is_named(world: World) -> None:
    sshd = world["gpu-01"].sshd
    sshd.options["AllowStreamLocalForwarding"] = "local"  # the engine's socket, but none of ours
    sshd.restart()
    try:
        with hop(world, "gpu-01/box", size=(120, 24)) as terminal:
            terminal.until("no agent in containers of gpu-01: its sshd does not forward sockets")
            leave(terminal)
    finally:
        del sshd.options["AllowStreamLocalForwarding"]
        sshd.restart()


def test_the_agent_is_there_while_it_is_lent(docker_world: DockerWorld) -> None:
    world = docker_world.world
    key = world.laptop.agent.fingerprints()[0]
    lending_box(docker_world)
    try:
        assert key not in keys_inside(docker_world)
        with hop(world, "gpu-01/box") as terminal:
            at_prompt(terminal)
            wait_until(lambda: key in keys_inside(docker_world), "the key inside")
            assert key in keys_inside(docker_world, "1234:1234")
            terminal.press("clear; ssh-add -l\r")
            terminal.until("lab@laptop")
            world["gpu-01"].sshd.drop_connections()
            wait_until(lambda: key in keys_inside(docker_world), "the key again")
            with hop(world, "gpu-01", "--session", "other") as other:
                other.until("$")
                leave(other)
            wait_until(lambda: key in keys_inside(docker_world), "the key of the first")
            leave(terminal)
        assert key not in keys_inside(docker_world)
        left = world["gpu-01"].run(
            ["sh", "-c", "ls -A /home/*/.cache/gpuhop-tui/gpu-01/containers"]
        )
        assert left.stdout == ""
        an_sshd_that_forbids_it_is_named(world)
    finally:
        tmux(world["gpu-01"], "kill-server", check=False)
        world.laptop.write_config(world.config())
