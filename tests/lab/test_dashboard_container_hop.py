"""Shells in containers from the dashboard: a real engine, real tmux, a real way to the node."""

from __future__ import annotations

from tests.lab.dashboard import dashboard
from tests.lab.docker.driving import start_box
from tests.lab.docker.fixtures import DockerWorld

READY = r"2/2 nodes"
PROMPT = r"bash-\S+#"


def test_hop_detach_and_start_again(docker_world: DockerWorld) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    start_box(dockerd, "box")
    with dashboard(world) as terminal:
        terminal.shows(READY)
        terminal.press("2")
        terminal.shows(r"box +running", "E hop as")
        terminal.press("2", "Enter")
        terminal.shows(PROMPT)
        terminal.press("hostname", "Enter")
        terminal.shows(r"(?m)^in-box$")
        terminal.press("C-]")
        terminal.shows("gpu-01 · container box", "d detach")
        terminal.press("d")
        terminal.shows("container box on gpu-01", "runs on", READY)
        dockerd.docker("stop", "-t", "0", "box")
        terminal.shows(r"box +exited")
        terminal.press("Enter")
        terminal.shows(r"Start container box on gpu-01\?")
        terminal.press("y")
        terminal.shows(PROMPT)
        dockerd.docker("kill", "box")
        terminal.shows("The container box on gpu-01 has stopped", READY)
        terminal.press("q")


def test_as_somebody_else_and_offered_after_a_kill(docker_world: DockerWorld) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    start_box(dockerd, "box")
    dockerd.docker("exec", "box", "sh", "-c", "echo mira:x:1234:1234::/tmp:/bin/sh >>/etc/passwd")
    with dashboard(world) as terminal:
        terminal.shows(READY)
        terminal.press("2")
        terminal.shows(r"box +running")
        terminal.press("2", "E")
        terminal.shows("Hop into box on gpu-01", "publishes no SSH server")
        terminal.press("mira", "Tab")
        terminal.shows("› directory")
        terminal.press("/tmp", "Enter")
        terminal.shows(r"bash-\S+\$")
        terminal.press("echo $USER:$PWD", "Enter")
        terminal.shows(r"(?m)^mira:/tmp$")
        terminal.kill()
    with dashboard(world) as terminal:
        terminal.shows(READY, r"b goes back into container box on gpu-01")
        terminal.press("b")
        terminal.shows(r"(?m)^mira:/tmp$")
        terminal.press("C-]")
        terminal.shows("d detach")
        terminal.press("d")
        terminal.shows(READY, "runs on")
        terminal.press("q")
