"""A container from the dashboard alone: the form filled in, started, and as `docker inspect` has
it; pulls in the background."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.dashboard import Terminal, dashboard
from tests.lab.docker.dockerd import BASE
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.test_containers_images import publish
from tests.lab.waiting import wait_until

TEMPLATES = [
    {
        "name": "train",
        "image": BASE,
        "gpus": "pick",
        "shm_size": "2gb",
        "ports": ["2222:22"],
        "volumes": ["/home:/mnt/home:ro"],
        "env": {"HF_HOME": "/mnt/hf"},
        "command": ["sleep", "1000"],
    },
    {
        "name": "fails",
        "image": BASE,
        "gpus": 0,
        "command": ["sh", "-c", "echo no such data; exit 3"],
    },
]
UUID = "GPU-00000000-0000-0000-0000-{:012d}"  # of the stand-in's GPUs
READY = r"2/2 nodes"


@contextmanager
def with_templates(
    docker_world: DockerWorld, width: int = 120, height: int = 40
) -> Iterator[Terminal]:
    """The dashboard on gpu-01, with templates."""
    world = docker_world.world
    path = world.laptop.home / "templates.toml"
    world.laptop.write_config(world.config(templates=TEMPLATES), path)
    with dashboard(world, width, height, f"gpuhop-tui --config {path}") as terminal:
        terminal.shows(READY, r"10 ?%|0 ?%")
        yield terminal


def command(terminal: Terminal, words: str) -> None:
    """Run a command of the palette."""
    terminal.press("C-p")
    terminal.shows("Search for commands")
    terminal.press("-l", words)
    terminal.shows(words)
    terminal.press("Enter")


def test_what_the_form_says_is_what_runs(docker_world: DockerWorld) -> None:
    dockerd = docker_world.dockerd
    with with_templates(docker_world, 80, 24) as terminal:
        terminal.press("n")
        terminal.shows("from which template", "train +base:1", "an empty form")
        terminal.press("Enter")
        terminal.shows(r"\[ \] +0 ", "pick them in the list", "New container on gpu-01")
        terminal.press("Space", "Down", "Down", "Space")
        terminal.shows(r"\[x\] +0 ", r"\[ \] +1 ", r"\[x\] +2 ", "Nothing stands in the way")
        terminal.press("Tab", "Tab")
        terminal.shows("› ports")
        terminal.press("End", "x")
        terminal.shows(r"'2222:22x' is not")
        terminal.press("BSpace")
        terminal.shows("Nothing stands in the way")
        terminal.press("Space", "8888:88")
        terminal.shows("2222:22 8888:88", "Nothing stands in the way")
        terminal.press("Tab")
        terminal.shows("› volumes")
        terminal.press("Enter", "named:/mnt/named")
        terminal.shows("named:/mnt/named")
        terminal.press("C-s")
        terminal.shows(r"train runs +GPUs 0,2", timeout=30)
        terminal.shows("2 containers", r"train +\S+")
    facts = dockerd.inspect("train")
    host = facts["HostConfig"]
    assert facts["State"]["Running"]
    assert host["DeviceRequests"][0]["DeviceIDs"] == [UUID.format(0), UUID.format(2)]
    assert host["ShmSize"] == 2 << 30
    assert host["PortBindings"] == {
        "22/tcp": [{"HostIp": "", "HostPort": "2222"}],
        "88/tcp": [{"HostIp": "", "HostPort": "8888"}],
    }
    assert host["Binds"] == ["/home:/mnt/home:ro", "named:/mnt/named"]
    assert "HF_HOME=/mnt/hf" in facts["Config"]["Env"]
    assert facts["Config"]["Labels"]["gpuhop.template"] == "train"


def test_a_container_that_dies_is_told_and_its_form_stays(docker_world: DockerWorld) -> None:
    dockerd = docker_world.dockerd
    with with_templates(docker_world) as terminal:
        terminal.press("n")
        terminal.shows("from which template")
        terminal.press("Down", "Enter")
        terminal.shows("New container on gpu-01", "Nothing stands in the way")
        terminal.press("C-s")
        terminal.shows("fails ended at once", "no such data", "exit status 3", timeout=30)
        assert dockerd.docker("ps", "-aq", "--filter", "name=fails")
        terminal.press("r")
        terminal.shows("› image", "fails was removed", "ended at once")
        wait_until(lambda: not dockerd.docker("ps", "-aq", "--filter", "name=fails"), "its removal")
        terminal.press("C-t")
        terminal.shows("Save as a template")
        terminal.press("-l", "--", "-2")
        terminal.press("Enter")
        terminal.shows("The template fails-2 was saved")
    path = docker_world.world.laptop.home / "templates.toml"
    saved = tomllib.loads(path.read_text())["templates"]
    assert [each["name"] for each in saved] == ["train", "fails", "fails-2"]
    assert saved[2]["command"] == TEMPLATES[1]["command"]


def test_a_pull_goes_on_and_is_cancelled(docker_world: DockerWorld) -> None:
    dockerd = docker_world.dockerd
    image = publish(dockerd, docker_world.registry, "slow", 30)
    with with_templates(docker_world) as terminal:
        command(terminal, "Pull image on gpu-01")
        terminal.shows("Pull an image on gpu-01")
        terminal.press("-l", image)
        terminal.press("Enter")
        terminal.shows(r"⇣ pull \d+ %")
        terminal.press("q")
        terminal.shows("Leave while 1 job still runs", rf"Pull {image} on gpu-01, at \d+ %")
        terminal.press("n")
        terminal.press("w")
        terminal.shows("1 job under way", r"MB of \d+", "MB/s", "Downloading")
        terminal.press("x")
        terminal.shows(f"Cancel: Pull {image}")
        terminal.press("y")
        terminal.shows("nothing is under way", "cancelled")
        terminal.press("x")
        terminal.shows("Nothing was begun")
        terminal.press("Escape")
        terminal.shows(READY)
        terminal.press("q")
    assert image not in dockerd.docker("images", "--format", "{{.Repository}}:{{.Tag}}")
