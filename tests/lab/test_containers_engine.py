"""A node's engine through the open link: found or named why not, listed, and kept true."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpuhop_tui.containers import engine as engine_module
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.problem import ErrorKind, ProblemError
from tests.lab.docker.dockerd import BASE
from tests.lab.docker.driving import engine_of, named, watched
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.driving import fleet_of, fleet_reached, status
from tests.lab.machine import Spec
from tests.lab.waiting import await_until
from tests.lab.world import World

MakeWorld = Callable[..., World]


def directory_of_sockets() -> Path:
    assert engine_module._directory is not None
    return engine_module._directory.path


async def test_who_it_is_and_that_nobody_else_may_use_the_socket(docker_world: DockerWorld) -> None:
    async with engine_of(docker_world.world) as engine:
        facts = await engine.facts()
        assert (facts.name, facts.socket) == ("docker", "/var/run/docker.sock")
        assert facts.version == docker_world.dockerd.docker("version", "-f", "{{.Server.Version}}")
        directory = directory_of_sockets()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        socket = next(directory.glob("*.sock"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        # Another process of the very same user gets not one byte through it.
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            "s.sendall(b'GET /_ping HTTP/1.0\\r\\n\\r\\n'); print(s.recv(100))"
        )
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(socket), stdout=-1, stderr=-1
        )
        out, err = await other.communicate()
        assert b"OK" not in out + err
        assert await engine.call("pinging", lambda client: client.ping())
    assert not directory.exists()


async def test_the_socket_of_a_killed_program_is_removed_at_the_next_start(
    docker_world: DockerWorld, tmp_path: Path
) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from gpuhop_tui.ssh.private_directory import PrivateDirectory;"
        "print(PrivateDirectory(Path(sys.argv[1])).path, flush=True); sys.stdin.read()"
    )
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdin=-1, stdout=-1
    )
    assert killed.stdout is not None
    left = Path((await killed.stdout.readline()).decode().strip())
    os.utime(left, (1, 1))  # not as young as one that is being made
    engine_module.PrivateDirectory(tmp_path).close()
    assert left.exists(), "its process lives"
    killed.kill()
    await killed.wait()
    os.utime(left, (1, 1))
    engine_module.PrivateDirectory(tmp_path).close()
    assert not left.exists()


async def test_a_node_without_an_engine(make_world: MakeWorld) -> None:
    world = make_world(nodes=[Spec("gpu-01", via="bastion", hide=("docker*", "podman*"))])
    async with engine_of(world) as engine:
        with pytest.raises(ProblemError) as raised:
            await engine.facts()
        assert raised.value.problem.kind is ErrorKind.NO_DOCKER
        assert "there is no Docker on gpu-01" in raised.value.problem.message


async def test_no_right_to_use_the_socket(docker_world: DockerWorld) -> None:
    node = docker_world.dockerd.machine
    node.run(["chgrp", "root", "/run/docker.sock"])
    try:
        async with engine_of(docker_world.world) as engine:
            with pytest.raises(ProblemError) as raised:
                await engine.facts()
            problem = raised.value.problem
            assert problem.kind is ErrorKind.NO_PERMISSION
            assert "researcher may not open /var/run/docker.sock" in problem.message
            assert "rootless" in problem.advice
            node.run(["chgrp", "docker", "/run/docker.sock"])
            assert (await engine.facts()).name == "docker", "it is found once the right is there"
    finally:
        node.run(["chgrp", "docker", "/run/docker.sock"])


async def test_a_rootless_engine_is_found_where_the_usual_socket_is_missing(
    docker_world: DockerWorld,
) -> None:
    node = docker_world.dockerd.machine
    mine = "/run/user/61000/podman"
    node.run(["mkdir", "-p", mine])
    node.run(["mv", "/run/docker.sock", f"{mine}/podman.sock"])
    try:
        async with engine_of(docker_world.world) as engine:
            assert (await engine.facts()).socket == f"{mine}/podman.sock"
        async with engine_of(docker_world.world, socket="/run/other.sock") as engine:
            with pytest.raises(ProblemError, match=r"no socket /run/other\.sock"):
                await engine.facts()
    finally:
        node.run(["mv", f"{mine}/podman.sock", "/run/docker.sock"])


async def test_a_server_that_forbids_the_forwarding(make_world: MakeWorld) -> None:
    strict = Spec("gpu-01", via="bastion", sshd={"AllowStreamLocalForwarding": "no"})
    world = make_world(nodes=[strict])
    node = world["gpu-01"]
    listener = node.popen(["nc", "-lkU", "/run/docker.sock"], stdin=-3)
    await await_until(
        lambda: node.run(["chmod", "666", "/run/docker.sock"], check=False).returncode == 0,
        "a socket",
    )
    async with engine_of(world) as engine:
        with pytest.raises(ProblemError) as raised:
            await engine.facts()
        assert raised.value.problem.kind is ErrorKind.FORWARDING_DENIED
        assert "AllowStreamLocalForwarding" in raised.value.problem.advice
    listener.kill()
    listener.wait()


_OLD_ENGINE = """
import http.server, json, os, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"ApiVersion": "1.39", "Version": "18.09.9"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "socket"

os.umask(0)
socketserver.ThreadingUnixStreamServer("/run/old.sock", Handler).serve_forever()
"""


async def test_an_engine_that_is_too_old(docker_world: DockerWorld) -> None:
    node = docker_world.dockerd.machine
    old = node.popen(["python3", "-c", _OLD_ENGINE], stdin=-3, stderr=-3)
    try:
        await await_until(
            lambda: node.run(["test", "-S", "/run/old.sock"], check=False).returncode == 0,
            "the old engine",
        )
        async with engine_of(docker_world.world, socket="/run/old.sock") as engine:
            with pytest.raises(ProblemError) as raised:
                await engine.facts()
            assert raised.value.problem.kind is ErrorKind.NO_DOCKER
            assert "docker 18.09.9 on gpu-01 is too old" in raised.value.problem.message
            assert "19.03" in raised.value.problem.advice
    finally:
        old.kill()
        old.wait()
        node.run(["rm", "-f", "/run/old.sock"])


async def test_what_the_engine_refuses_is_told_in_its_words(docker_world: DockerWorld) -> None:
    async with engine_of(docker_world.world) as engine:
        with pytest.raises(ContainerError, match="No such container: nobody") as raised:
            await engine.call("looking", lambda client: client.inspect_container("nobody"))
        assert raised.value.is_gone
        assert "gone already" in raised.value.advice


async def test_the_loop_goes_on_while_the_sdk_waits(docker_world: DockerWorld) -> None:
    async with engine_of(docker_world.world) as engine:
        await asyncio.to_thread(
            docker_world.dockerd.docker, "run", "-d", "--name", "slow", BASE, "sleep", "1000"
        )
        ticks = 0
        calls = [
            asyncio.ensure_future(
                engine.call("waiting", lambda client: client.stop("slow", timeout=1))
            )
            for _ in range(8)
        ]
        while not all(call.done() for call in calls):
            ticks += 1
            await asyncio.sleep(0.005)
        await asyncio.gather(*calls)
        assert ticks > 3


# Listing


async def test_the_listing_agrees_with_the_engine_and_follows_it(docker_world: DockerWorld) -> None:
    dockerd = docker_world.dockerd
    docker = dockerd.docker
    docker(
        "run", "-d", "--name", "train", "--gpus", '"device=0,GPU-abc"', "--shm-size", "64m",
        "-p", "127.0.0.1:2222:22", "-p", "8888:8888", "-v", "/home:/mnt/home:ro", "-v", "/scratch",
        "--label", "team=nlp", "--health-cmd", "true", "--health-interval", "1s", "--memory", "64m",
        BASE, "sh", "-c", "while :; do :; done",
    )  # fmt: skip
    docker("run", "-d", "--name", "dead", BASE, "sh", "-c", "exit 3")
    async with engine_of(docker_world.world) as engine, watched(engine) as watch:
        listing = await watch.until(
            lambda listing: (
                (train := named(listing, "train")) is not None
                and train.cpu_percent is not None
                and train.health == "healthy"
                and (dead := named(listing, "dead")) is not None
                and dead.state == "exited"
                and listing.disk is not None
            ),
            "figures of both",
        )
        train, dead = named(listing, "train"), named(listing, "dead")
        assert train is not None
        assert dead is not None
        facts = dockerd.inspect("train")
        assert (train.id, train.image, train.pid is not None) == (facts["Id"], BASE, True)
        assert [str(port) for port in train.ports] == ["127.0.0.1:2222→22", "8888→8888"]
        assert str(train.gpus) == "0,GPU-abc"
        assert train.labels == {"team": "nlp"}
        mounts = {mount.target: mount for mount in train.mounts}
        assert (mounts["/mnt/home"].source, mounts["/mnt/home"].read_only) == ("/home", True)
        assert mounts["/scratch"].anonymous
        assert train.cpu_percent is not None
        assert train.cpu_percent > 5
        assert train.memory_limit_bytes == 64 << 20
        assert train.memory_bytes is not None
        assert 0 < train.memory_bytes < 64 << 20
        assert (dead.exit_code, dead.missing["cpu_percent"]) == (3, "not running")
        assert listing.engine.startswith("docker ")
        assert listing.images[0].tags == (BASE,)
        assert listing.images[0].size_bytes > 10_000_000
        assert [each.name for each in listing.containers] == ["train", "dead"], "running ones first"

        await asyncio.to_thread(docker, "rename", "train", "trained")
        await watch.until(lambda listing: named(listing, "trained"), "the new name")
        await asyncio.to_thread(docker, "pause", "trained")
        await watch.until(lambda listing: named(listing, "trained").state == "paused", "paused")  # type: ignore[union-attr]
        await asyncio.to_thread(docker, "rm", "-f", "trained")
        await watch.until(lambda listing: not named(listing, "trained"), "its end")
        await asyncio.to_thread(docker, "tag", BASE, "other:2")
        await watch.until(lambda listing: "other:2" in listing.images[0].tags, "the new tag")


async def test_a_container_that_lost_its_gpus_is_marked(docker_world: DockerWorld) -> None:
    docker = docker_world.dockerd.docker

    def says(name: str, text: str, status: int) -> None:
        command = f"echo '{text}' >/etc/gpus; echo {status} >/etc/gpus-status"
        docker("exec", name, "sh", "-c", command)

    for name in ("well", "lost", "mute"):
        docker("run", "-d", "--name", name, "--gpus", '"device=0"', BASE, "sleep", "1000")
    says("well", "GPU 0: NVIDIA A100 (UUID: GPU-1)", 0)
    says("lost", "Failed to initialize NVML: Unknown Error", 255)
    async with engine_of(docker_world.world) as engine, watched(engine) as watch:
        listing = await watch.until(
            lambda listing: (lost := named(listing, "lost")) and lost.lost_gpus, "the mark"
        )
        lost = named(listing, "lost")
        assert lost is not None
        assert lost.lost_gpus is not None
        assert (lost.lost_gpus.seen, lost.lost_gpus.given) == (0, 1)
        assert "rights to the GPU devices" in lost.lost_gpus.cause
        assert "Restart the container" in lost.lost_gpus.advice
        for name in ("well", "mute"):
            container = named(listing, name)
            assert container is not None
            assert await watch.watch.check_gpus(container) is None
        await asyncio.to_thread(says, "lost", "GPU 0: NVIDIA A100 (UUID: GPU-1)", 0)
        await asyncio.to_thread(docker, "restart", "-t", "0", "lost")
        await watch.until(
            lambda listing: (lost := named(listing, "lost")) and not lost.lost_gpus, "it is well"
        )


# Fleet and command line


async def test_the_fleet_lists_names_processes_and_comes_back(docker_world: DockerWorld) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    dockerd.docker("run", "-d", "--name", "train", "--gpus", "all", BASE, "sleep", "1000")
    pid = int(dockerd.inspect("train")["State"]["Pid"])
    dockerd.machine.gpus.processes(1, compute={pid: 3 << 30})

    def is_joined(state: FleetState) -> bool:
        node = state.nodes[0]
        if node.containers is None or node.sample is None:
            return False
        train = named(node.containers, "train")
        names = [p.container for gpu in node.sample.gpus for p in gpu.processes]
        return train is not None and train.gpu_memory_bytes == 3 << 30 and names == ["train"]

    try:
        async with fleet_of(world.laptop) as fleet:
            fleet.watch_containers(True)
            state = await fleet_reached(fleet, is_joined, "joined")
            code, nodes = await asyncio.to_thread(status, world.laptop, "gpu-01")
            process = nodes["gpu-01"]["gpus"][1]["processes"][0]
            assert (code, process["container"]) == (0, "train"), "status asks the engine, too"
            assert state.nodes[1].containers_problem is not None
            await asyncio.to_thread(dockerd.kill)
            state = await fleet_reached(
                fleet, lambda state: state.nodes[0].containers_problem is not None, "told"
            )
            assert state.nodes[0].containers_problem is not None
            assert state.nodes[0].containers_problem.kind is ErrorKind.REFUSED
            assert state.nodes[0].containers is not None, "what was seen last stays"
            await asyncio.to_thread(dockerd.start)
            await fleet_reached(
                fleet,
                lambda state: (
                    state.nodes[0].containers_problem is None
                    and state.nodes[0].containers is not None
                ),
                "back",
                30,
            )
    finally:
        dockerd.machine.gpus.processes(1, compute={})
        if not dockerd.is_running:
            dockerd.start()


async def test_the_command_line(docker_world: DockerWorld) -> None:
    dockerd, laptop = docker_world.dockerd, docker_world.world.laptop
    dockerd.docker("run", "-d", "--name", "train", "-p", "8888:8888", BASE, "sleep", "1000")
    done = await laptop.arun(["gpuhop-tui", "containers", "gpu-01"])
    assert "train" in done.stdout
    assert "8888→8888" in done.stdout
    done = await laptop.arun(["gpuhop-tui", "containers", "--json"], check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["schema"]) == (1, 1), "gpu-02 has no engine"
    first, second = report["nodes"]
    assert (first["error"], second["error"]["kind"]) == (None, "no-docker")
    container = first["containers"][0]
    assert container["id"] == dockerd.inspect("train")["Id"]
    assert (container["name"], container["state"], container["gpus"]) == ("train", "running", None)
    assert container["cpu_percent"] is not None
    assert first["disk"]["images_bytes"] > 0


async def test_streams_are_bounded_and_end_with_their_reader(docker_world: DockerWorld) -> None:
    async with engine_of(docker_world.world) as engine:
        await engine.facts()
        streams = [
            engine.stream("listening", lambda client: client.events(decode=True))
            for _ in range(engine_module.STREAMS + 1)
        ]
        readers = [asyncio.ensure_future(anext(stream)) for stream in streams]
        done, waiting = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
        assert [type(each.exception()) for each in done] == [ContainerError]
        for reader in waiting:
            reader.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for stream in streams:
            await stream.aclose()
        assert engine._open_streams == 0
        await await_until(lambda: _idle(engine), "the threads' end")


def _idle(engine: Engine) -> bool:
    return engine._streams._work_queue.empty() and all(
        not forward.name.endswith(".sock") or forward.name == engine._forward.path.name  # type: ignore[union-attr]
        for forward in directory_of_sockets().iterdir()
    )
