"""What happens to containers' views and work when engine, disk or link fail."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gpuhop_tui.config.schema import BuildConfig
from gpuhop_tui.containers import again
from gpuhop_tui.containers.build import build
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.spec import ContainerSpec, read_port
from gpuhop_tui.containers.start import start_container
from gpuhop_tui.problem import ErrorKind, ProblemError
from tests.lab.docker.dockerd import BASE, Dockerd
from tests.lab.docker.driving import engine_of, watched
from tests.lab.docker.fixtures import DockerWorld, require_engine
from tests.lab.machine import Spec
from tests.lab.waiting import await_until
from tests.lab.world import World

MakeWorld = Callable[..., World]


def dockerfile(folder: Path, *steps: str) -> BuildConfig:
    path = folder / "Dockerfile"
    path.write_text("\n".join([f"FROM {BASE}", *steps, ""]))
    return BuildConfig(dockerfile=path)


async def drained(steps: AsyncIterator[object]) -> None:
    async for _ in steps:
        pass


async def test_a_daemon_killed_in_a_build_goes_on_when_it_is_back(
    docker_world: DockerWorld, tmp_path: Path
) -> None:
    dockerd = docker_world.dockerd
    config = dockerfile(tmp_path, "RUN echo first", "RUN echo begun; sleep 2")
    waits = []
    async with engine_of(docker_world.world) as engine:
        last = None
        async with contextlib.aclosing(build(engine, "mine:1", config, [])) as steps:
            async for last in steps:
                if "begun" in last.lines and last.attempt == 1 and dockerd.is_running and not waits:
                    await asyncio.to_thread(dockerd.kill)
                if last.waiting and not dockerd.is_running:
                    waits.append(last.waiting)
                    await asyncio.to_thread(dockerd.start)
    assert last is not None
    assert last.done
    assert last.attempt > 1
    assert "does not answer" in waits[0]
    assert dockerd.docker("images", "-q", "mine:1")


async def test_a_daemon_that_stays_away_ends_a_build_with_a_clear_outcome(
    docker_world: DockerWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "ENGINE_SECONDS", 1.0)
    dockerd = docker_world.dockerd
    config = dockerfile(tmp_path, "RUN echo begun; sleep 100")

    async def killed() -> None:
        async with engine_of(docker_world.world) as engine:
            async for step in build(engine, "mine:1", config, []):
                if "begun" in step.lines and dockerd.is_running:
                    await asyncio.to_thread(dockerd.kill)

    try:
        with pytest.raises(ProblemError) as raised:
            await killed()
    finally:
        dockerd.start()
    problem = raised.value.problem
    assert problem.kind is ErrorKind.REFUSED
    assert problem.message.startswith("building mine:1 broke off: ")
    assert "begin again" in problem.advice


async def test_a_full_disk_is_named(make_world: MakeWorld, tmp_path: Path) -> None:
    require_engine()
    world = make_world(nodes=[Spec("gpu-01", via="bastion")])
    dockerd = Dockerd(world["gpu-01"], disk_megabytes=64)
    try:
        config = dockerfile(tmp_path, "RUN dd if=/dev/zero of=/big bs=1000000 count=100")
        async with engine_of(world) as engine:
            steps = build(engine, "mine:1", config, [])
            with pytest.raises(ContainerError, match="No space left on device") as raised:
                await drained(steps)
            assert "disk is full" in raised.value.advice
            assert await engine.call("listing", lambda client: client.images())
    finally:
        dockerd.close()


async def test_conflicts_that_the_checks_could_not_see(
    docker_world: DockerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name and port are taken between the checks and the start."""
    monkeypatch.setattr("gpuhop_tui.containers.start.check", lambda spec, around: [])
    docker_world.dockerd.docker(
        "run", "-d", "--name", "first", "-p", "8080:80", BASE, "sleep", "1000"
    )
    spec = ContainerSpec(BASE, "first", command=("sleep", "1000"))
    async with engine_of(docker_world.world) as engine:
        with pytest.raises(ContainerError, match="already in use by container") as raised:
            await start_container(engine, spec)
        assert "another name" in raised.value.advice
        port = ContainerSpec(BASE, "second", ports=(read_port("8080:1"),), command=("sleep", "9"))
        with pytest.raises(ContainerError, match="port is already allocated") as raised:
            await start_container(engine, port)
        assert "another port" in raised.value.advice
    assert docker_world.dockerd.docker("ps", "-a", "--format", "{{.Names}}") == "first"


async def test_two_hundred_containers_are_listed_while_the_loop_breathes(
    docker_world: DockerWorld,
) -> None:
    def make(client: object, first: int) -> None:
        for number in range(first, first + 25):
            client.create_container(BASE, "sleep 1000", name=f"many-{number}")  # type: ignore[attr-defined]

    async with engine_of(docker_world.world) as engine:
        await asyncio.gather(
            *(
                engine.call("making", lambda client, k=k: make(client, k), timeout=60)
                for k in range(0, 200, 25)
            )
        )
        longest = 0.0
        async with watched(engine) as watch:
            start = last = time.monotonic()
            while watch.listing is None:
                await asyncio.sleep(0.005)
                now = time.monotonic()
                longest, last = max(longest, now - last), now
            assert len(watch.listing.containers) == 200
            assert now - start < 10
            assert longest < 0.5
            told = watch.told
            await engine.call("renaming", lambda client: client.rename("many-7", "one-of-many"))
            listing = await watch.until(
                lambda listing: any(each.name == "one-of-many" for each in listing.containers),
                "the change",
            )
            assert len(listing.containers) == 200
            assert watch.told - told <= 3, "one change is told once, not two hundred times"
        names = [each.name for each in listing.containers]
        halves = (names[:100], names[100:])

        def remove(client: object, some: list[str]) -> None:
            for name in some:
                client.remove_container(name)  # type: ignore[attr-defined]

        await asyncio.gather(
            *(
                engine.call("removing", lambda client, some=some: remove(client, some), timeout=60)
                for some in halves
            )
        )


async def test_a_cut_link_ends_every_thread_that_waits_for_the_engine(
    docker_world: DockerWorld,
) -> None:
    docker_world.dockerd.docker("run", "-d", "--name", "one", BASE, "sleep", "1000")
    async with engine_of(docker_world.world) as engine, watched(engine) as watch:
        await watch.until(lambda listing: listing.containers, "a listing")
        (await engine.link.connection()).abort()
        with pytest.raises(ProblemError) as raised:
            await watch.task
        assert raised.value.problem.kind in (ErrorKind.LOST, ErrorKind.TIMEOUT)
        assert engine._open_streams == 0
    await await_until(
        lambda: not any(each.name.startswith("stream gpu-01") for each in threading.enumerate()),
        "the threads' end",
    )


async def test_a_daemon_that_hangs_holds_up_nothing_else(docker_world: DockerWorld) -> None:
    async with engine_of(docker_world.world) as engine:
        await engine.facts()
        docker_world.dockerd.freeze()
        try:
            with pytest.raises(ProblemError) as raised:
                await engine.call("listing", lambda client: client.images(), timeout=0.5)
            assert raised.value.problem.kind is ErrorKind.TIMEOUT
            assert engine.link.is_up
        finally:
            docker_world.dockerd.thaw()
        assert await engine.call("listing", lambda client: client.images())
