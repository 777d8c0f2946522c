"""From a template to a running container: the same as by docker's own hand, or told why not."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from gpuhop_tui.containers import start as start_module
from gpuhop_tui.containers.checks import check
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.spec import ContainerSpec, Gpus, docker_run_line, read_port
from gpuhop_tui.containers.start import DiedAtOnceError, start_container
from gpuhop_tui.containers.surroundings import look_around
from tests.lab.docker.dockerd import BASE
from tests.lab.docker.driving import GPUS, engine_of
from tests.lab.docker.fixtures import DockerWorld

pytestmark = pytest.mark.usefixtures("short_first_moments")

SLEEP = ("sleep", "1000")
PLAIN = ContainerSpec(BASE, "plain", command=SLEEP, ipc="host")
RICH = ContainerSpec(
    image=BASE,
    name="rich",
    gpus=Gpus(ids=("0", "2")),
    shm_size=2 << 30,
    ports=(read_port("2222:22"), read_port("127.0.0.1:5353:53/udp"), read_port("8888")),
    volumes=("/home:/mnt/my home:ro", "named:/mnt/named"),
    env={"EMPTY": "", "TOKEN": 'it\'s "q" $HOME\\n', "HF_HOME": "/mnt/data/hf"},
    command=("-c", "echo $0; sleep 1000", "a b"),
    entrypoint=("sh", "-e"),
    user="0:0",
    working_dir="/tmp",
    restart="on-failure:3",
    ulimits=("nofile=1024:2048",),
    labels={"team": "nlp & more"},
    ssh_port=2222,
    template="pytorch",
)


def comparable(facts: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, of an inspection: what differs by name, time and place left out."""
    host, config = facts["HostConfig"], facts["Config"]
    asked = {
        name: value
        for name, value in host.items()
        # docker(1) sends a zero where the API is sent nothing, and asks the daemon what it means.
        if name not in ("ConsoleSize", "LogConfig", "ContainerIDFile", "NetworkMode")
        and value not in (None, 0, "", [], {}, False)
    }
    asked["Binds"] = sorted(asked.get("Binds", ()))  # docker(1) sends them in any order
    for request in asked.get("DeviceRequests", ()):
        request.pop("Options", None)
    settings = {
        name: value
        for name, value in config.items()
        if name not in ("Hostname", "AttachStdout", "AttachStderr")
        and value not in (None, "", [], {}, False)
    }
    if "Env" in settings:
        settings["Env"] = sorted(settings["Env"])
    return {"HostConfig": asked, "Config": settings}


@pytest.mark.parametrize(
    "spec",
    [
        RICH,
        replace(PLAIN, gpus=Gpus(all=True)),
        replace(PLAIN, gpus=Gpus(count=2), ipc="", restart="unless-stopped"),
        PLAIN,
    ],
    ids=["rich", "all", "count", "plain"],
)
async def test_it_is_what_the_docker_run_line_makes(
    docker_world: DockerWorld, spec: ContainerSpec
) -> None:
    """`docker inspect` on the node tells the two apart by nothing that was asked for."""
    dockerd = docker_world.dockerd
    async with engine_of(docker_world.world) as engine:
        started = await start_container(engine, spec)
        ours = await asyncio.to_thread(dockerd.inspect, spec.name)
    assert started.container.state == "running"
    assert ours["State"]["Running"]
    dockerd.docker("rm", "-f", spec.name)
    line = docker_run_line(started.spec)
    dockerd.machine.run(["sh", "-c", line])
    theirs = dockerd.inspect(spec.name)
    assert comparable(ours) == comparable(theirs)
    if spec is RICH:
        assert ours["HostConfig"]["ShmSize"] == 2 << 30
        assert ours["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["0", "2"]
        assert ours["Config"]["Labels"]["gpuhop.user"] == "researcher"
        shm = dockerd.docker("exec", "rich", "grep", " /dev/shm ", "/proc/mounts")
        assert "size=2097152k" in shm


async def test_each_thing_in_the_way_is_a_named_finding(docker_world: DockerWorld) -> None:
    dockerd = docker_world.dockerd
    dockerd.docker("run", "-d", "--name", "other", "-p", "8080:80", "--gpus", '"device=1"', BASE,
                   *SLEEP)  # fmt: skip
    bad = replace(
        PLAIN,
        name="other",
        image="nothing:1",
        gpus=Gpus(ids=("1", "3", "7")),
        ports=(read_port("8080:1"), read_port("22:2"), read_port("9999:3")),
        volumes=("~/not there:/a", "/home:/b", "named:/c"),
        ipc="",
        shm_size=1 << 50,
    )
    busy = replace(GPUS[3], free=False, users=("mira",))
    async with engine_of(docker_world.world) as engine:
        around = await look_around(engine, bad, (*GPUS[:3], busy))
        found = {finding.name: finding for finding in check(bad, around)}
        assert set(found) == {
            "name-taken", "image-missing", "gpu-missing", "gpu-given", "gpu-busy", "port-taken",
            "path-missing", "shm-large",
        }  # fmt: skip
        ports = [f.message for f in check(bad, around) if f.name == "port-taken"]
        assert ports == [
            "port 8080 of the node is taken by the container other",
            "port 22 of the node is taken by a program on the node",
        ]
        assert "8081" in found["port-taken"].advice or "23" in found["port-taken"].advice
        assert "~/not there" in found["path-missing"].message
        assert "GPU 7" in found["gpu-missing"].message
        assert "mira" in found["gpu-busy"].message
        assert "other" in found["gpu-given"].message
        with pytest.raises(ContainerError):
            await start_container(engine, bad, GPUS)
        small = replace(PLAIN, gpus=Gpus(ids=("0",)), ipc="")
        around = await look_around(engine, small, GPUS)
        assert [(f.name, f.stops) for f in check(small, around)] == [("shm-small", False)]
    assert dockerd.docker("ps", "-a", "--format", "{{.Names}}") == "other"


async def test_a_count_gets_the_freest_gpus_by_their_uuids(docker_world: DockerWorld) -> None:
    docker_world.dockerd.docker(
        "run", "-d", "--name", "other", "--gpus", '"device=2"', BASE, *SLEEP
    )
    busy = replace(GPUS[0], free=False, memory_used_bytes=70 << 30)
    async with engine_of(docker_world.world) as engine:
        started = await start_container(
            engine, replace(PLAIN, gpus=Gpus(count=2)), (busy, *GPUS[1:])
        )
    assert started.spec.gpus.ids == (GPUS[1].uuid, GPUS[3].uuid)
    given = docker_world.dockerd.inspect("plain")["HostConfig"]["DeviceRequests"][0]
    assert given["DeviceIDs"] == [GPUS[1].uuid, GPUS[3].uuid]


async def test_of_two_at_once_the_second_is_told(docker_world: DockerWorld) -> None:
    first = replace(PLAIN, name="first", gpus=Gpus(ids=("1",)))
    second = replace(PLAIN, name="second", gpus=Gpus(ids=("0", "1")))
    async with engine_of(docker_world.world) as ours, engine_of(docker_world.world) as theirs:
        results = await asyncio.gather(
            start_container(ours, first, GPUS),
            start_container(theirs, second, GPUS),
            return_exceptions=True,
        )
        refused = [each for each in results if isinstance(each, ContainerError)]
        assert len(refused) == 1, results
        assert "GPU 1 was given to the container" in refused[0].message
        assert "of researcher meanwhile" in refused[0].message
        names = await asyncio.to_thread(
            docker_world.dockerd.docker, "ps", "-a", "--format", "{{.Names}}"
        )
        assert names in ("first", "second"), "of the other nothing is left"
        # Who sees that it is taken, and wants it nevertheless, shares it.
        third = replace(PLAIN, name="third", gpus=Gpus(ids=("1",)))
        shared = await start_container(ours, third, GPUS)
        assert [finding.name for finding in shared.findings] == ["gpu-given"]


async def test_without_the_lock_who_created_first_goes_first(
    docker_world: DockerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who uses plain docker creates a container between our look and our creation."""
    spec = replace(PLAIN, gpus=Gpus(ids=("1",)))
    create = start_module._create

    async def late(*arguments: Any) -> str:
        words = ["create", "--name", "quick", "--gpus", '"device=1"', BASE, *SLEEP]
        await asyncio.to_thread(docker_world.dockerd.docker, *words)
        return await create(*arguments)

    monkeypatch.setattr(start_module, "_create", late)
    async with engine_of(docker_world.world) as engine:
        with pytest.raises(ContainerError, match="GPU 1 was given to the container quick"):
            await start_container(engine, spec, GPUS)
    assert docker_world.dockerd.docker("ps", "-a", "--format", "{{.Names}}") == "quick"


async def test_a_container_that_dies_at_once_says_its_last_words(
    docker_world: DockerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_module, "FIRST_MOMENTS_SECONDS", 5.0)
    async with engine_of(docker_world.world) as engine:
        command = ("sh", "-c", "echo first; echo 'no such file: train.py'; exit 3")
        with pytest.raises(DiedAtOnceError) as raised:
            await start_container(engine, replace(PLAIN, name="dies", command=command))
        assert raised.value.lines == ("first", "no such file: train.py")
        assert "exit status 3" in raised.value.message
        assert raised.value.container.state == "exited"
        again = replace(PLAIN, name="again", command=("false",), restart="always")
        with pytest.raises(DiedAtOnceError):
            await start_container(engine, again)
        done = await start_container(engine, replace(PLAIN, name="done", command=("true",)))
        assert done.container.exit_code == 0


async def test_what_the_engine_cannot_start_leaves_nothing(docker_world: DockerWorld) -> None:
    async with engine_of(docker_world.world) as engine:
        missing = replace(PLAIN, command=("no-such-program",))
        with pytest.raises(ContainerError, match="executable file not found") as raised:
            await start_container(engine, missing)
        assert "`command`" in raised.value.advice
    assert docker_world.dockerd.docker("ps", "-aq") == ""


# The command line


def config(docker_world: DockerWorld, **template: Any) -> None:
    laptop = docker_world.world.laptop
    whole = {"name": "train", "image": BASE, "command": list(SLEEP), "shm_size": "2gb"}
    laptop.write_config(docker_world.world.config(templates=[{**whole, **template}]))


async def test_run_on_the_command_line(docker_world: DockerWorld) -> None:
    laptop, dockerd = docker_world.world.laptop, docker_world.dockerd
    config(docker_world, gpus="pick", ports=["8888:8888"])
    said = await asyncio.gather(
        laptop.arun(["gpuhop-tui", "run", "train", "gpu-01"], check=False),
        laptop.arun(["gpuhop-tui", "run", "tran", "gpu-01"], check=False),
        laptop.arun(
            ["gpuhop-tui", "run", "train", "gpu-01", "--name", "mine", "--gpus", "2"], check=False
        ),
    )
    unpicked, misspelt, done = said
    assert (unpicked.returncode, "--gpus" in unpicked.stderr) == (2, True)
    assert (misspelt.returncode, "did you mean 'train'" in misspelt.stderr) == (2, True)
    assert done.returncode == 0, done.stderr
    facts = dockerd.inspect("mine")
    uuids = facts["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]
    status = json.loads((await laptop.arun(["gpuhop-tui", "status", "--json", "gpu-01"])).stdout)
    known = [gpu["uuid"] for gpu in status["nodes"][0]["gpus"]]
    assert len(uuids) == 2
    assert set(uuids) <= set(known)
    assert re.match(rf"mine running on gpu-01  {facts['Id'][:12]}  gpus ", done.stdout)
    again = ["gpuhop-tui", "run", "train", "gpu-01", "--name", "mine", "--gpus", "none"]
    done = await laptop.arun(again, check=False)
    assert done.returncode == 1
    assert "there is a container named mine already" in done.stderr
    assert "port 8888 of the node is taken by the container mine" in done.stderr
    config(docker_world, command=["sh", "-c", "echo oops; exit 2"], gpus=0)
    done = await laptop.arun(["gpuhop-tui", "run", "train", "gpu-01"], check=False)
    assert done.returncode == 1
    assert "| oops" in done.stderr
    assert "exit status 2" in done.stderr


async def test_a_node_without_an_engine_is_told(docker_world: DockerWorld) -> None:
    config(docker_world, gpus=0)
    laptop = docker_world.world.laptop
    done = await laptop.arun(["gpuhop-tui", "run", "train", "gpu-02"], check=False)
    assert done.returncode == 1
    assert "gpu-02: there is no socket /var/run/docker.sock" in done.stderr
    assert (await laptop.arun(["gpuhop-tui", "run", "train", "x"], check=False)).returncode == 2
