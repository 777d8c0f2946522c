"""Containers from the dashboard: a real engine behind the real bastion."""

from __future__ import annotations

import re

from tests.lab.dashboard import dashboard
from tests.lab.docker.dockerd import BASE
from tests.lab.docker.driving import start_box
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.waiting import wait_until

READY = r"2/2 nodes"


def test_listed_marked_stopped_renamed_committed_and_removed(docker_world: DockerWorld) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    for name in ("first", "second", "third"):
        start_box(dockerd, name)
    dockerd.docker("exec", "first", "touch", "/made-here")
    with dashboard(world) as terminal:
        terminal.shows(READY)
        terminal.press("2")
        terminal.shows("3 of 3 run", r"third +running", r"first +running", "1 image")
        terminal.shows(r"first +running.* \d+ %.* \d+ M")  # CPU and memory, once measured

        terminal.press("2", "Space", "Space")  # the newest are first
        terminal.shows("2 marked", "✓ third", "✓ second")
        terminal.press("x")
        terminal.shows(
            r"Stop, kill or remove 2 containers on gpu-01\?", r"(?s)changed in it.*changed in it"
        )
        terminal.press("k")
        terminal.shows(r"third +exited 137", r"second +exited 137", r"first +running")
        terminal.press("Escape")

        terminal.press("Home", "m")
        terminal.shows("first on gpu-01", "rename…")
        terminal.press("n")
        terminal.shows("Its new name")
        terminal.press("second", "Enter")
        terminal.shows("already in use", "Choose another name")
        terminal.press(".b", "Enter")  # what was typed is still there
        terminal.shows(r"second\.b +running")

        terminal.press("m")
        terminal.shows(r"second\.b on gpu-01", "make an image of…")
        terminal.press("c")
        terminal.shows(r"second\.b:latest")
        terminal.press("Enter")
        terminal.shows("2 images", "is now an image, too")
        assert "second.b:latest" in dockerd.docker("images", "--format", "{{.Repository}}:{{.Tag}}")

        terminal.press("x")
        terminal.shows(r"remove second\.b on gpu-01\?", r"\d+ paths? changed in it")
        terminal.press("r")
        terminal.shows("0 of 2 run")
        assert "second.b" not in dockerd.docker("ps", "-a", "--format", "{{.Names}}")

        terminal.press("i")
        terminal.shows("On disk: images", r"second\.b:latest +.* nothing")
        terminal.press("Home", "x")
        terminal.shows(r"Remove image second\.b:latest on gpu-01\?")
        terminal.press("y")
        wait_until(
            lambda: not re.search(r"second\.b:latest +\d", terminal.screen()), "the image to go"
        )
        terminal.press("q")


def test_an_engine_that_restarts_and_a_node_without_one(docker_world: DockerWorld) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    dockerd.docker("create", "--name", "quiet", BASE, "true")
    with dashboard(world, 80, 24) as terminal:
        terminal.shows(READY)
        terminal.press("2")
        terminal.shows(r"quiet +created")
        dockerd.kill()
        terminal.shows("What was there", r"quiet +created", "It is tried again")
        dockerd.start()
        wait_until(lambda: "What was there" not in terminal.screen(), "the engine to be back", 40)
        terminal.shows("0 of 1 run")
        terminal.press("Down")
        terminal.shows("gpu-02", "No docker", "→ Start the engine")
        terminal.press("q")
