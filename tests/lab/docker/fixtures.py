"""Fixtures with engines. One engine serves all tests of a session that leave it as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.docker.dockerd import Dockerd, missing
from tests.lab.fixtures import require_lab
from tests.lab.machine import Spec
from tests.lab.world import World


@dataclass
class DockerWorld:
    """gpu-01 has an engine, four stand-in GPUs and a registry; gpu-02 has neither."""

    world: World
    dockerd: Dockerd
    registry: str


def require_engine() -> None:
    """Skip where no engine can run; in CI, where every test has to run, fail."""
    require_lab()
    if reason := missing():
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"{reason} (a skip is a failure in CI)", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_docker_world() -> Iterator[DockerWorld]:
    require_engine()
    nodes = [Spec("gpu-01", via="bastion", gpus=4), Spec("gpu-02", via="bastion")]
    with World(nodes=nodes) as world:
        dockerd = Dockerd(world["gpu-01"])
        try:
            yield DockerWorld(world, dockerd, dockerd.registry())
        finally:
            dockerd.close()


@pytest.fixture
def docker_world(shared_docker_world: DockerWorld) -> Iterator[DockerWorld]:
    """The shared one, emptied after the test."""
    yield shared_docker_world
    shared_docker_world.dockerd.clear()


@pytest.fixture
def short_first_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that has lived for a moment counts as started."""
    monkeypatch.setattr("gpuhop_tui.containers.start.FIRST_MOMENTS_SECONDS", 0.2)
