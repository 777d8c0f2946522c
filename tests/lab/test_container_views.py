"""A container's log and figures, and files in and out: a real engine behind the real bastion."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gpuhop_tui.containers.copy import copy_out
from gpuhop_tui.containers.following import FollowState
from gpuhop_tui.containers.log_follow import ContainerLog, LogMark
from gpuhop_tui.containers.log_lines import LogLine
from gpuhop_tui.containers.paths import directory_names, path_facts
from gpuhop_tui.containers.usage_points import ContainerUsage
from gpuhop_tui.problem import ErrorKind, ProblemError
from tests.lab.dashboard import dashboard
from tests.lab.docker.dockerd import BASE
from tests.lab.docker.driving import container, engine_of
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.waiting import await_until, wait_until

READY = r"2/2 nodes"
TALK = """
trap 'echo bye >&2; exit 3' TERM
i=1
while [ ! -e /begun ] && [ $i -le 30 ]; do echo "past $i of thirty"; i=$((i+1)); done
touch /begun
sleep 0.2; echo careful >&2; sleep 0.2  # two streams come in no certain order
echo begin; printf '\\033[31mred\\033[0m\\n'
while :; do
  if [ -e /say ]; then cat /say; rm /say; fi
  sleep 0.05
done
"""


def talks(docker: DockerWorld, name: str = "talks") -> None:
    """A container that says what is written to its /say."""
    docker.dockerd.docker(
        "run", "-d", "--name", name, "--stop-timeout", "5", BASE, "sh", "-c", TALK
    )


def say(docker: DockerWorld, words: str, name: str = "talks") -> None:
    command = f"echo '{words}' >/say.new; mv /say.new /say"
    docker.dockerd.docker("exec", name, "sh", "-c", command)


@asynccontextmanager
async def followed(docker: DockerWorld) -> AsyncIterator[ContainerLog]:
    async with engine_of(docker.world) as engine:
        log = ContainerLog(engine, await container(engine, "talks"))
        log.start()
        try:
            yield log
        finally:
            await log.close()


def texts(log: ContainerLog) -> list[str]:
    return [each.text for each in log.entries if isinstance(each, LogLine)]


def marks(log: ContainerLog) -> list[str]:
    return [each.text for each in log.entries if isinstance(each, LogMark)]


@pytest.mark.usefixtures("quick_to_miss")
async def test_a_log_outlives_link_engine_and_container(docker_world: DockerWorld) -> None:
    """Nothing is lost, nothing doubled."""
    dockerd, laptop = docker_world.dockerd, docker_world.world.laptop
    talks(docker_world)
    async with followed(docker_world) as log:
        await await_until(lambda: len(texts(log)) == 33, "all of it")
        assert {each.stream for each in log.entries if isinstance(each, LogLine)
                and each.text == "careful"} == {"stderr"}  # fmt: skip

        laptop.cut()
        say(docker_world, "one\ntwo\ntwo")
        await await_until(lambda: log.view.state is FollowState.AWAY, "the link to be missed")
        laptop.heal()
        await await_until(lambda: texts(log)[-1:] == ["two"], "what was said meanwhile")
        await await_until(lambda: log.view.state is FollowState.LIVE, "to be live again")
        assert texts(log)[-3:] == ["one", "two", "two"]
        assert "no line is missing" in marks(log)[-1]

        dockerd.kill()
        dockerd.start()
        say(docker_world, "three")
        await await_until(lambda: texts(log)[-1:] == ["three"], "the engine to be back")

        dockerd.docker("stop", "talks")
        await await_until(lambda: log.view.state is FollowState.ENDED, "the end")
        assert (log.view.exit_code, texts(log)[-1]) == (3, "bye")
        assert marks(log)[-1] == "the container ended with exit code 3"
        dockerd.docker("start", "talks")
        await await_until(lambda: log.view.state is FollowState.LIVE, "the container to be back")
        await await_until(lambda: texts(log).count("begin") == 2, "its second beginning")
        assert marks(log)[-1] == "the container was started again"
        await await_until(lambda: len(texts(log)) == 41, "all that it says")
        assert sorted(texts(log)) == sorted(
            [f"past {number} of thirty" for number in range(1, 31)]
            + ["one", "two", "two", "three", "bye"] + 2 * ["begin", "careful", "\x1b[31mred\x1b[0m"]
        )  # fmt: skip
        dockerd.docker("rm", "-f", "talks")
        await await_until(lambda: log.view.state is FollowState.REMOVED, "its removal")


async def test_earlier_lines_are_read_on_demand(
    docker_world: DockerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuhop_tui.containers.log_follow.TAIL", 5)
    talks(docker_world)
    wait_until(lambda: "red" in docker_world.dockerd.docker("logs", "talks"), "its first words")
    async with followed(docker_world) as log:
        await await_until(lambda: len(texts(log)) == 5, "the last lines")
        assert [each.text for each in await log.earlier(20)] == [
            f"past {number} of thirty" for number in range(9, 29)
        ]
        assert not log.view.whole
        assert len(await log.earlier(20)) == 8
        assert log.view.whole
        assert await log.earlier(20) == []
        assert texts(log)[:2] == ["past 1 of thirty", "past 2 of thirty"]
        assert len(texts(log)) == 33


async def test_figures_and_paths(docker_world: DockerWorld) -> None:
    talks(docker_world)
    async with engine_of(docker_world.world) as engine:
        it = await container(engine, "talks")
        usage = ContainerUsage(engine, it)
        usage.start()
        try:
            await await_until(lambda: len(usage.points) >= 3, "three looks")
            point = usage.points[-1][1]
            assert point is not None
            assert point.cpu_percent is not None
            figures = ("memory_bytes", "network_rate", "disk_rate", "pids", "memory_limit_bytes")
            for name in figures:
                assert (getattr(point, name) is None) == (name in point.missing), name
            docker_world.dockerd.docker("stop", "talks")
            await await_until(lambda: usage.view.state is FollowState.ENDED, "the end")
            assert usage.points[-1][1] is None  # a gap, no zero
        finally:
            await usage.close()
        docker_world.dockerd.docker("start", "talks")
        assert "passwd" in await directory_names(engine, it, "/etc/")
        assert "tmp/" in await directory_names(engine, it, "/")
        found = await path_facts(engine, it, "/etc/passwd")
        assert found is not None
        assert not found.is_directory
        assert found.size_bytes > 0
        assert await path_facts(engine, it, "/nowhere/x") is None
        docker_world.dockerd.docker("exec", "talks", "ln", "-s", "/etc", "/link")
        linked = await path_facts(engine, it, "/link")
        assert linked is not None
        assert linked.is_directory


@pytest.mark.usefixtures("quick_to_miss")
async def test_a_copy_over_a_line_that_is_cut_leaves_no_half_file(
    docker_world: DockerWorld, tmp_path: Path
) -> None:
    laptop, docker = docker_world.world.laptop, docker_world.dockerd.docker
    talks(docker_world)
    docker("exec", "talks", "dd", "if=/dev/zero", "of=/big", "bs=1000000", "count=400")
    (tmp_path / "big").write_text("what was there before")
    async with engine_of(docker_world.world) as engine:
        it = await container(engine, "talks")

        async def copy() -> None:
            async with contextlib.aclosing(copy_out(engine, it, "/big", tmp_path)) as steps:
                async for step in steps:
                    if step.done_bytes:
                        laptop.cut()

        try:
            with pytest.raises(ProblemError) as raised:
                await copy()
        finally:
            laptop.heal()
    assert raised.value.problem.kind in (ErrorKind.LOST, ErrorKind.TIMEOUT)
    assert (tmp_path / "big").read_text() == "what was there before"
    wait_until(lambda: [each.name for each in tmp_path.iterdir()] == ["big"], "the part to go")


def test_all_of_it_from_the_dashboard(docker_world: DockerWorld) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    talks(docker_world)
    content = os.urandom(3_000_000)
    home = world.laptop.home
    (home / "model.bin").write_bytes(content)
    with dashboard(world, 100, 30) as terminal:
        terminal.shows(READY)
        terminal.press("2")
        terminal.shows(r"talks +running")
        terminal.press("2", "l")
        terminal.shows("log of talks on gpu-01", "● live", r"┃ careful", r"(?m)^  red", "following")
        say(docker_world, "epoch one\nloss is 0.31")
        terminal.shows(r"(?m)^  loss is 0\.31")
        terminal.press("/")
        terminal.shows("search upwards")
        terminal.press("epoch")
        terminal.shows("(?m)^ epoch", "enter search")
        terminal.press("Enter")
        terminal.shows("1 of 1 “epoch”", "held at line")
        terminal.press("Escape")  # and a key right behind it would be another key
        terminal.shows("following")
        terminal.press("t")
        terminal.shows(r"\d\d:\d\d:\d\d\.\d{3} loss is 0\.31", "following")
        terminal.press("t")
        dockerd.docker("restart", "talks")
        terminal.shows("ended with exit code 3", "was started again", r"┃ bye", "● live")
        say(docker_world, "again")
        terminal.shows(r"(?m)^  again")
        terminal.press("Escape")
        terminal.shows(r"talks +running")
        terminal.press("S")
        terminal.shows("stats of talks", r"CPU", r"peak", r"\d+ processes, peak", "now")
        terminal.press("Escape")

        terminal.shows(r"talks +running")
        terminal.press(">")
        terminal.shows("Copy into talks on gpu-01")
        terminal.press("~/mod")
        terminal.shows("~/mod")
        terminal.press("Tab")
        terminal.shows(r"~/model\.bin")
        terminal.press("Enter")
        terminal.shows("› into there")
        terminal.press("/roo")
        terminal.shows(r"› into there +/roo")
        terminal.press("Tab")
        terminal.shows("/root/")
        terminal.press("C-s")
        terminal.shows(r"1 file \(2\.9 M\) copied to /root/")
        sum_inside = dockerd.docker("exec", "talks", "sha256sum", "/root/model.bin").split()[0]
        assert sum_inside == hashlib.sha256(content).hexdigest()

        terminal.press("<")
        terminal.shows("Copy out of talks on gpu-01")
        terminal.press("/root/model.bin")
        terminal.shows("/root/model.bin")
        terminal.press("Enter")
        terminal.shows("› into here")
        terminal.press("~")
        terminal.shows("› into here +~")
        terminal.press("C-s")
        terminal.shows(r"Overwrite on this machine\?")
        (home / "model.bin").unlink()
        terminal.press("y")
        wait_until((home / "model.bin").exists, "the file to be back")
        assert (home / "model.bin").read_bytes() == content
        terminal.press("w")
        screen = terminal.shows("Copy model.bin into talks", "Copy model.bin out of talks")
        assert not re.search("failed", screen)
        terminal.press("Escape")
        terminal.shows(READY)
        terminal.press("q")
