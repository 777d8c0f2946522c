"""The demo's engine, as the real SDK of Docker finds it."""

from __future__ import annotations

import asyncio
import io
import json
import shlex
import struct
import tarfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import docker
import pytest
import pytest_asyncio
from docker.errors import APIError, ImageNotFound, NotFound

from gpuhop_tui.containers.listing import read_container, read_disk_use, read_images
from gpuhop_tui.containers.spec import ContainerSpec, Gpus, create_arguments, read_port
from gpuhop_tui.containers.usage import cpu_percent, read_usage
from gpuhop_tui.demo.contents import TORCH
from gpuhop_tui.demo.engine.api import _frame
from gpuhop_tui.demo.machine import Machine
from gpuhop_tui.probe.remote.simulated import SimulatedSource
from tests.unit.demo.nodes import machine

Answer = TypeVar("Answer")


class Desk:
    """The engine of a node, and a client of it; its calls run in threads."""

    def __init__(self, node: Machine, client: docker.APIClient) -> None:
        self.node, self.client = node, client

    async def ask(self, request: Callable[[docker.APIClient], Answer]) -> Answer:
        return await asyncio.wait_for(asyncio.to_thread(request, self.client), 60)

    async def start(self, spec: ContainerSpec) -> str:
        body = create_arguments(spec)
        made = await self.ask(lambda c: c.create_container_from_config(body, spec.name or None))
        await self.ask(lambda c: c.start(made["Id"]))
        return str(made["Id"])

    async def container(self, identity: str) -> Any:
        return read_container("node", await self.ask(lambda c: c.inspect_container(identity)))

    def processes(self) -> dict[str, Any]:
        """What a probe would tell now."""
        sample = SimulatedSource(str(self.node.gpus.path)).read(1.0)
        return {each.get("container", ""): each for each in sample["processes"].values()}


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    node = machine("gpu-01", tmp_path / "home")
    assert node.api is not None
    socket = tmp_path / "docker.sock"
    serve = node.api.serve

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # only at the end
            await serve(reader, writer)

    server = await asyncio.start_unix_server(talk, socket)
    client = await asyncio.to_thread(docker.APIClient, f"unix://{socket}", version="auto")
    yield Desk(node, client)
    client.close()
    server.close()


def training(name: str = "mine", *gpus: str) -> ContainerSpec:
    return ContainerSpec(
        TORCH, name=name, gpus=Gpus(ids=gpus), command=("python", "train.py"), user="ann"
    )


async def refused(desk: Desk, status: int, words: str, request: Callable[[Any], object]) -> None:
    with pytest.raises(APIError) as raised:
        await desk.ask(request)
    assert raised.value.response.status_code == status
    assert words in str(raised.value.explanation)


async def test_it_says_that_it_is_simulated(desk: Desk) -> None:
    assert "simulated" in (await desk.ask(lambda c: c.version()))["Version"]
    assert (await desk.ask(lambda c: c.info()))["OperatingSystem"] == "simulated"
    assert all(
        image.labels["org.gpuhop.simulated"] == "true"
        for image in read_images(await desk.ask(lambda c: c.images()))
    )
    for name in ("jonas-lora", "ann-debug"):
        assert b"[simulated]" in await desk.ask(lambda c, name=name: c.logs(name))


async def test_containers_are_those_of_the_processes_on_the_gpus(desk: Desk) -> None:
    known = {each["Id"]: each["Names"][0] for each in await desk.ask(lambda c: c.containers())}
    for name, process in desk.processes().items():
        if name:
            assert known[process["container_id"]] == f"/{name}"


async def test_a_started_container_has_its_gpus_and_gives_them_back(desk: Desk) -> None:
    free, shared = desk.node.gpus.uuids[6], desk.node.gpus.uuids[0]
    identity = await desk.start(training("mine", free, shared))
    mine = desk.processes()["mine"]
    assert (mine["container_id"], mine["user"]) == (identity, "ann")
    gpus = [gpu.get("processes", {}) for gpu in desk.node.gpus.figures()]
    names = [{each.get("container") for each in processes.values()} for processes in gpus]
    assert ["mine" in each for each in names] == [True, *5 * [False], True, False]
    await desk.ask(lambda c: c.rename(identity, "yours"))
    assert "yours" in desk.processes()
    await desk.ask(lambda c: c.stop(identity))
    assert "yours" not in desk.processes()
    assert "jonas-lora" in desk.processes(), "who was there before stays"
    container = await desk.container(identity)
    assert (container.state, container.exit_code) == ("exited", 143)
    await desk.ask(lambda c: c.start(identity))
    assert (await desk.container(identity)).state == "running"
    await desk.ask(lambda c: c.remove_container(identity, force=True))
    with pytest.raises(NotFound, match="No such container"):
        await desk.ask(lambda c: c.inspect_container(identity))


async def test_it_refuses_as_a_real_one_does(desk: Desk) -> None:
    body = create_arguments(training("jonas-lora"))
    await refused(
        desk, 409, "already in use", lambda c: c.create_container_from_config(body, "jonas-lora")
    )
    with pytest.raises(ImageNotFound, match="No such image"):
        await desk.ask(lambda c: c.create_container_from_config({"Image": "nothing:1"}, "mine"))
    await refused(desk, 409, "not running", lambda c: c.kill("ann-debug"))
    await refused(desk, 409, "is running", lambda c: c.remove_container("jonas-lora"))
    await refused(desk, 409, "is using", lambda c: c.remove_image(TORCH))
    await refused(desk, 404, "Could not find", lambda c: c.get_archive("jonas-lora", "/nowhere"))
    await refused(desk, 409, "not running", lambda c: c.exec_create("ann-debug", "id"))
    port = training()
    taken = ContainerSpec(port.image, name="taken", ports=(read_port("8888:80"),))
    with pytest.raises(APIError, match="port is already allocated"):
        await desk.start(taken)
    with pytest.raises(APIError, match="unknown device"):
        await desk.start(training("many", "17"))


@pytest.mark.parametrize(("command", "status"), [("false", 1), ("true", 0), ("sh -c 'exit 3'", 3)])
async def test_a_command_that_ends_at_once_does(desk: Desk, command: str, status: int) -> None:
    identity = await desk.start(ContainerSpec(TORCH, command=tuple(shlex.split(command))))
    done = await desk.ask(lambda c: c.wait(identity))
    assert done["StatusCode"] == status
    assert (await desk.container(identity)).exit_code == status


async def test_events_tell_what_happens(desk: Desk) -> None:
    stream = await desk.ask(lambda c: c.events(decode=True, filters={"type": ["container"]}))
    seen: list[str] = []

    def follow() -> None:
        for event in stream:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                return

    follower = threading.Thread(target=follow)
    follower.start()
    identity = await desk.start(training())
    await desk.ask(lambda c: c.remove_container(identity, force=True))
    await asyncio.to_thread(follower.join, 30)
    assert seen == ["create", "start", "kill", "die", "destroy"]


async def test_logs_come_with_times_and_go_on(desk: Desk) -> None:
    said = await desk.ask(lambda c: c.logs("jonas-lora", timestamps=True, tail=3))
    lines = said.decode().splitlines()
    assert len(lines) == 3
    assert all(line[:2] == "20" and "| loss" in line for line in lines)
    stream = await desk.ask(lambda c: c.logs("jonas-lora", stream=True, follow=True, tail=0))
    assert b"step" in await desk.ask(lambda _: next(stream))
    await desk.ask(lambda _: stream.close())


async def test_what_it_measures_makes_a_figure(desk: Desk) -> None:
    def look(client: Any) -> Any:
        return read_usage(client.stats("jonas-lora", stream=False, one_shot=True))

    before = await desk.ask(look)
    stream = await desk.ask(lambda c: c.stats("jonas-lora", stream=True, decode=True))
    await desk.ask(lambda _: (next(stream), next(stream)))
    now = await desk.ask(look)
    percent = cpu_percent(before, now)
    assert percent is not None
    assert 0 < percent < 128 * 100
    assert 0 < (now.memory_bytes or 0) < (now.memory_limit_bytes or 0)
    assert read_disk_use(await desk.ask(lambda c: c.df())).images_bytes > 1 << 30


async def test_files_go_in_and_out(desk: Desk) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("deep/data.bin")
        entry.size = 300_000
        tar.addfile(entry, io.BytesIO(b"x" * 300_000))
    put = buffer.getvalue()
    assert await desk.ask(lambda c: c.put_archive("jonas-lora", "/workspace", put))

    def get(client: Any) -> tuple[bytes, dict[str, Any]]:
        chunks, facts = client.get_archive("jonas-lora", "/workspace/deep")
        return b"".join(chunks), facts

    data, facts = await desk.ask(get)
    assert int(facts["mode"]) & 1 << 31
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        file = tar.extractfile("deep/data.bin")
        assert file is not None
        assert file.read() == b"x" * 300_000


async def test_a_command_in_a_container_is_answered(desk: Desk) -> None:
    def run(client: Any) -> tuple[int, bytes]:
        made = client.exec_create("sofia-notebook", ["nvidia-smi", "-L"])["Id"]
        said = client.exec_start(made)
        return client.exec_inspect(made)["ExitCode"], said

    status, said = await desk.ask(run)
    assert (status, said.count(b"GPU ")) == (0, 1), "of its two one is lost"


async def test_a_pull_tells_of_its_layers_and_goes_on_where_it_was_broken_off(desk: Desk) -> None:
    def pull(client: Any, until: str) -> list[dict[str, Any]]:
        lines = []
        stream = client.pull("vllm/vllm-openai:latest", stream=True, decode=True)
        for line in stream:
            lines.append(line)
            if line["status"] == until:
                stream.close()
                break
        return lines

    assert desk.node.engine is not None
    desk.node.engine.images.bytes_a_second = 8e9
    first = await desk.ask(lambda c: pull(c, "Pull complete"))
    assert {"Pulling fs layer", "Downloading"} <= {line["status"] for line in first}
    with pytest.raises(ImageNotFound):
        await desk.ask(lambda c: c.inspect_image("vllm/vllm-openai:latest"))
    rest = await desk.ask(lambda c: pull(c, "the end"))
    assert "Already exists" in {line["status"] for line in rest}
    assert rest[-1]["status"].startswith("Status: Downloaded")
    assert await desk.ask(lambda c: c.inspect_image("vllm/vllm-openai:latest"))


@pytest.mark.parametrize(
    ("image", "words"), [("nobody/nothing", "access denied"), ("ubuntu:1.0", "manifest")]
)
async def test_a_pull_of_what_is_not_there_is_refused(desk: Desk, image: str, words: str) -> None:
    with pytest.raises(NotFound, match=words):
        await desk.ask(lambda c: list(c.pull(image, tag=None, stream=True, decode=True)))


def context(dockerfile: str) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in (("Dockerfile", dockerfile.encode()), ("entry.sh", b"#!/bin/sh")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer


async def build(desk: Desk, dockerfile: str) -> list[dict[str, Any]]:
    return await desk.ask(
        lambda c: list(
            c.build(fileobj=context(dockerfile), custom_context=True, tag="own:1", decode=True)
        )
    )


async def test_a_build_goes_step_by_step_and_is_kept(desk: Desk) -> None:
    dockerfile = f'FROM {TORCH}\nRUN pip install x\nCOPY entry.sh /\nENTRYPOINT ["/entry.sh"]\n'
    lines = await build(desk, dockerfile)
    text = "".join(line.get("stream", "") for line in lines)
    assert "Step 2/4 : RUN pip install x" in text
    assert text.endswith("Successfully tagged own:1\n")
    image = await desk.ask(lambda c: c.inspect_image("own:1"))
    assert image["Config"]["Entrypoint"] == ["/entry.sh"]
    again = await build(desk, dockerfile)
    assert "Using cache" in "".join(line.get("stream", "") for line in again)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("RUN false", "non-zero code"),
        ("COPY missing /", "file not found"),
        ("FROM no/no", "denied"),
    ],
)
async def test_a_step_that_cannot_be_ends_the_build(desk: Desk, step: str, words: str) -> None:
    lines = await build(desk, f"FROM {TORCH}\n{step}\n")
    assert words in lines[-1]["error"]
    with pytest.raises(ImageNotFound):
        await desk.ask(lambda c: c.inspect_image("own:1"))


async def test_an_image_of_a_container(desk: Desk) -> None:
    made = await desk.ask(lambda c: c.commit("jonas-lora", repository="kept", tag="1"))
    images = read_images(await desk.ask(lambda c: c.images()))
    assert ("kept:1",) in [image.tags for image in images if image.id == made["Id"]]
    await desk.ask(lambda c: c.remove_image("kept:1"))


async def test_garbage_is_refused(desk: Desk, tmp_path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(tmp_path / "docker.sock")
    writer.write(b"nonsense\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    reader, writer = await asyncio.open_unix_connection(tmp_path / "docker.sock")
    writer.write(b"GET /v1.47/none HTTP/1.1\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert b"404" in answer.partition(b"\r\n")[0]
    assert "message" in json.loads(answer.partition(b"\r\n\r\n")[2])
    writer.close()


def test_frames_are_as_docker_makes_them() -> None:
    assert _frame(b"abc") == struct.pack(">BxxxL", 1, 3) + b"abc"
