"""What is done to a container: ended, renamed, removed, read, measured, copied from and to."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TypeVar

import pytest

from gpuhop_tui.containers import actions
from gpuhop_tui.containers.copy import copy_in, copy_out
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.log_lines import LogLine
from gpuhop_tui.containers.logs import logs
from gpuhop_tui.containers.usage_points import usage
from tests.lab.docker.dockerd import BASE
from tests.lab.docker.driving import container, engine_of
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.waiting import await_until

Item = TypeVar("Item")


async def all_of(items: AsyncGenerator[Item, None]) -> list[Item]:
    async with contextlib.aclosing(items) as each:
        return [item async for item in each]


async def test_from_start_to_removal(docker_world: DockerWorld) -> None:
    docker = docker_world.dockerd.docker
    volumes = docker("volume", "ls", "-q")
    docker("run", "-d", "--name", "one", "-v", "/scratch", BASE, "sh", "-c", "cat /mark; sleep 100")
    async with engine_of(docker_world.world) as engine:
        one = await container(engine, "one")
        await actions.stop(engine, one, seconds=0)
        assert (await container(engine, "one")).state == "exited"
        await actions.start(engine, one)
        await actions.rename(engine, one, "two")
        two = await container(engine, "two")
        assert (two.id, two.state) == (one.id, "running")
        await actions.restart(engine, two, seconds=0)
        assert (await container(engine, "two")).started_at != two.started_at
        with pytest.raises(ContainerError, match="running container"):
            await actions.remove(engine, two)
        await asyncio.to_thread(docker, "exec", "two", "sh", "-c", "echo kept >/mark")
        made = await actions.commit(engine, two, "kept:7")
        assert made == await asyncio.to_thread(docker, "images", "-q", "--no-trunc", "kept:7")
        assert await asyncio.to_thread(docker, "run", "--rm", "kept:7", "cat", "/mark") == "kept"
        await actions.remove(engine, two, force=True)
        with pytest.raises(ContainerError) as raised:
            await actions.stop(engine, two)
        assert raised.value.is_gone
        assert await asyncio.to_thread(docker, "volume", "ls", "-q") == volumes
        await actions.remove_image(engine, "kept:7")
        with pytest.raises(ContainerError, match="No such image"):
            await actions.remove_image(engine, "kept:7")


async def test_what_would_be_lost(docker_world: DockerWorld) -> None:
    dockerd = docker_world.dockerd
    dockerd.docker("run", "-d", "--name", "busy", "-v", "/scratch", "-v", "/home:/h", BASE,
                   "sleep", "100")  # fmt: skip
    dockerd.docker("exec", "busy", "sh", "-c", "dd if=/dev/zero of=/result bs=1000 count=50")
    attached = dockerd.machine.popen(
        ["docker", "exec", "-i", "-u", "0", "busy", "sh", "-c", "cat"], stdin=-1
    )
    try:
        async with engine_of(docker_world.world) as engine:
            busy = await container(engine, "busy")

            async def seen() -> actions.Losses | None:
                losses = await actions.losses(engine, busy)
                return losses if losses.clients else None

            losses = await await_until(seen, "the client")
            assert losses is not None
            assert losses.running
            assert losses.anonymous_volumes == ("/scratch",)
            assert losses.changed_paths
            assert losses.layer_bytes is not None
            assert losses.layer_bytes >= 50_000
            client = losses.clients[0]
            assert (client.command, client.user, client.terminal) == ("sh -c cat", "0", False)
    finally:
        attached.communicate(timeout=10)


async def test_logs_are_followed_line_by_line(docker_world: DockerWorld) -> None:
    docker = docker_world.dockerd.docker
    talk = "echo one; echo two >&2; while [ ! -e /go ]; do sleep 0.05; done; printf 'é\\rlast'"
    docker("run", "-d", "--name", "talks", BASE, "sh", "-c", talk)
    docker("run", "-d", "-t", "--name", "terminal", BASE, "sh", "-c", "echo on a terminal")
    async with engine_of(docker_world.world) as engine:
        talks = await container(engine, "talks")
        lines: list[LogLine] = []

        async def follow() -> None:
            async with contextlib.aclosing(logs(engine, talks)) as each:
                async for line in each:
                    lines.append(line)

        following = asyncio.ensure_future(follow())
        await await_until(lambda: len(lines) == 2, "two lines")
        assert sorted(line.text for line in lines) == ["one", "two"]
        assert all(abs((line.at or 0) - (talks.started_at or 0)) < 5 for line in lines)
        # The container may end before touch(1) has, which is killed with it then.
        await asyncio.to_thread(docker, "exec", "talks", "touch", "/go", check=False)
        await following  # it ends with the container
        assert lines[-1].text == "é\rlast"
        tail = await all_of(logs(engine, talks, follow=False, tail=1))
        assert [line.text for line in tail] == ["é\rlast"]
        since = await all_of(logs(engine, talks, follow=False, since=lines[1].at))
        assert "é\rlast" in [line.text for line in since]
        terminal = await container(engine, "terminal")
        said = await all_of(logs(engine, terminal))
        assert [line.text for line in said] == ["on a terminal"]


async def test_usage_second_by_second(docker_world: DockerWorld) -> None:
    docker_world.dockerd.docker(
        "run", "-d", "--name", "works", BASE, "sh", "-c", "while :; do :; done"
    )
    async with engine_of(docker_world.world) as engine:
        works = await container(engine, "works")
        async with contextlib.aclosing(usage(engine, works)) as points:
            first = await anext(points)
            second = await anext(points)
            third = await anext(points)
        assert first.cpu_percent is None, "one look makes no figure"
        assert second.at is not None
        assert third.at is not None
        assert 0.5 < third.at - second.at < 5
        assert third.cpu_percent is not None
        assert third.cpu_percent > 5
        assert third.memory_bytes
        assert third.network_rate is not None
        assert third.pids == 1
        stopping = asyncio.ensure_future(actions.stop(engine, works, seconds=0))
        assert await all_of(usage(engine, works)) is not None, "it ends with the container"
        await stopping


async def test_files_in_and_out(docker_world: DockerWorld, tmp_path: Path) -> None:
    docker = docker_world.dockerd.docker
    docker("run", "-d", "--name", "one", BASE, "sleep", "100")
    source = tmp_path / "a tree"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "ñ.txt").write_text("text")
    big = os.urandom(3_000_000)
    (source / "big").write_bytes(big)
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o750)
    (source / "link").symlink_to("big")
    os.mkfifo(source / "fifo")
    async with engine_of(docker_world.world) as engine:
        one = await container(engine, "one")
        steps = await all_of(copy_in(engine, one, source, "/tmp"))
        last = steps[-1]
        assert (last.done, last.files, last.done_bytes) == (True, 3, last.total_bytes)
        assert last.skipped == ("a tree/fifo",)
        listed = await asyncio.to_thread(docker, "exec", "one", "find", "/tmp", "-type", "f")
        assert sorted(listed.splitlines()) == [
            "/tmp/a tree/big", "/tmp/a tree/deep/ñ.txt", "/tmp/a tree/run.sh",
        ]  # fmt: skip

        target = tmp_path / "out"
        target.mkdir()
        steps = await all_of(copy_out(engine, one, "/tmp/a tree", target))
        assert (steps[-1].done, steps[-1].total_bytes) == (True, None)
        assert (target / "a tree" / "big").read_bytes() == big
        assert (target / "a tree" / "deep" / "ñ.txt").read_text() == "text"
        assert (target / "a tree" / "run.sh").stat().st_mode & 0o777 == 0o750
        assert (target / "a tree" / "link").readlink() == Path("big")
        steps = await all_of(copy_out(engine, one, "/tmp/a tree/big", target))
        assert steps[-1].done_bytes == steps[-1].total_bytes == len(big)

        with pytest.raises(ContainerError, match="Could not find the file"):
            await all_of(copy_out(engine, one, "/nowhere", target))
        with pytest.raises(ContainerError, match="Could not find the file"):
            await all_of(copy_in(engine, one, source, "/nowhere"))
        with pytest.raises(ContainerError, match="cannot be read"):
            await all_of(copy_in(engine, one, tmp_path / "nothing", "/tmp"))


async def test_what_leads_out_of_the_target_is_not_written(
    docker_world: DockerWorld, tmp_path: Path
) -> None:
    docker = docker_world.dockerd.docker
    docker("run", "-d", "--name", "bad", BASE, "sleep", "100")
    make = f"mkdir /x; ln -s {tmp_path} /x/out; ln -s /etc/passwd /x/passwd; echo y >/x/fine"
    docker("exec", "bad", "sh", "-c", make)
    target = tmp_path / "in"
    target.mkdir()
    async with engine_of(docker_world.world) as engine:
        bad = await container(engine, "bad")
        steps = await all_of(copy_out(engine, bad, "/x", target))
    assert sorted(steps[-1].skipped) == ["x/out", "x/passwd"]
    assert sorted(path.name for path in target.rglob("*")) == ["fine", "x"]
