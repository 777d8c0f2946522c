"""Containers that need no engine: some to look at, and what acts on them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from gpuhop_tui.containers.build import BuildProgress
from gpuhop_tui.containers.engine import EngineFacts
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.gpus import NodeGpu
from gpuhop_tui.containers.model import (
    Container,
    DiskUse,
    GpuGrant,
    Image,
    Listing,
    LostGpus,
    Mount,
    Port,
)
from gpuhop_tui.containers.spec import ContainerSpec
from gpuhop_tui.containers.start import Started
from gpuhop_tui.containers.surroundings import Surroundings
from gpuhop_tui.fleet.containers import node_gpus
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.problem import ErrorKind, Problem

GIB = 1 << 30
MIB = 1 << 20

NO_DOCKER = Problem(
    "old-01", ErrorKind.NO_DOCKER, "there is no Docker on old-01",
    "Install Docker or Podman there, or name the engine's socket with docker_socket.",
)  # fmt: skip
NO_RIGHT = Problem(
    "mig-01", ErrorKind.NO_PERMISSION, "gpu-user may not open /var/run/docker.sock on mig-01",
    "Join the group that may: `sudo usermod -aG docker gpu-user` on mig-01, then log in anew. Who "
    "may open it is root on the node; rootless Docker or Podman needs no such right.",
)  # fmt: skip
RESTARTING = Problem(
    "gpu-01", ErrorKind.REFUSED,
    "the engine at /var/run/docker.sock on gpu-01 does not answer: the connection was closed",
    "It is tried again by itself. If it stays so: `systemctl status docker` there.",
)  # fmt: skip
LOST = LostGpus(
    0, 2,
    "its rights to the GPU devices were taken away, as `systemctl daemon-reload` on the node does",
    "Restart the container: the GPUs come back with it, what ran in it does not.",
)  # fmt: skip


def container(name: str, now: float, **fields: Any) -> Container:
    """A running container; `fields` as the model names them. Its id is its name's hash."""
    state = fields.get("state", "running")
    running = state in ("running", "paused", "restarting")
    why = "not running" if not running else "not measured yet"
    figures = ("cpu_percent", "memory_bytes", "gpu_memory_bytes")
    usual: dict[str, Any] = {
        "node": "gpu-01",
        "id": hashlib.sha256(name.encode()).hexdigest(),
        "image": "pytorch-ssh:2.8",
        "image_id": "sha256:" + "a" * 64,
        "command": "/usr/sbin/sshd -D",
        "state": state,
        "health": None,
        "created_at": now - 3 * 3600 - 60,
        "started_at": now - 3 * 3600 if state != "created" else None,
        "finished_at": None if running or state == "created" else now - 600,
        "exit_code": None if running or state == "created" else 0,
        "error": "",
        "oom_killed": False,
        "restart_count": 0,
        "restart_policy": "no",
        "tty": False,
        "user": "",
        "pid": 4711 if running else None,
        "missing": {name: why for name in figures if fields.get(name) is None},
    }
    return Container(name=name, **(usual | fields))


def some_containers(now: float, node: str = "gpu-01") -> tuple[Container, ...]:
    """One of each kind that is shown differently, in the order of a listing."""
    volume = Mount("volume", "f" * 64, "/var/lib/data", anonymous=True)
    kinds = (
        container(
            "train-llm", now, health="healthy", gpus=GpuGrant(ids=("0", "1", "2", "3")),
            ports=(Port(22, host_port=2222), Port(8888, host_port=8888, host_ip="127.0.0.1")),
            cpu_percent=812.4, memory_bytes=61 * GIB, memory_limit_bytes=1007 * GIB,
            gpu_memory_bytes=216 * GIB, mounts=(volume,), user="ann",
        ),
        container(
            "jupyter-wei", now, image="quay.io/jupyter/pytorch-notebook:cuda12-python-3.11",
            image_id="sha256:" + "c" * 64, health="unhealthy", gpus=GpuGrant(count=1),
            ports=(Port(8888, host_port=8889),),
            started_at=now - 26 * 3600, cpu_percent=0.4, memory_bytes=900 * MIB,
            gpu_memory_bytes=9 * GIB, restart_count=2, restart_policy="unless-stopped",
        ),
        container(
            "diffusion", now, image="sd-webui:latest", gpus=GpuGrant(all=True), lost_gpus=LOST,
            started_at=now - 9 * 86400, cpu_percent=3.0, memory_bytes=4 * GIB,
            gpu_memory_bytes=0,
        ),
        container(
            "flapping", now, image="api:dev", state="restarting", restart_count=17,
            restart_policy="always", started_at=now - 4, exit_code=1, finished_at=now - 1,
        ),
        container(
            "held", now, image="busybox", state="paused", cpu_percent=0.0, memory_bytes=3 * MIB,
            gpu_memory_bytes=0,
        ),
        container(
            "fresh", now, image="vllm/vllm-openai:v0.6.3", health="starting",
            gpus=GpuGrant(ids=("MIG-5f2c1a7e-90b1-4e7d-8c11-0123456789ab",)),
            started_at=now - 3, created_at=now - 4, ports=(Port(8000, host_port=8000),),
        ),
        container(
            "訓練-コンテナ", now, image="registry.example.org:5000/研究/訓練:最新",
            cpu_percent=99.6, memory_bytes=12 * GIB, gpu_memory_bytes=0,
        ),
        container(
            "a-very-long-name-that-somebody-gave-to-a-container-of-an-experiment.of.2025", now,
            image="registry.example.org:5000/team/with/a/deep/path/pytorch-cuda-experiments:2.8.0-"
            "cuda12.6-cudnn9-devel", cpu_percent=None, memory_bytes=2 * GIB, gpu_memory_bytes=0,
            missing={"cpu_percent": "podman 4.3.1 cannot tell it cheaply"},
        ),
        container(
            "sweep-7", now, state="exited", exit_code=137, oom_killed=True, gpus=GpuGrant(count=2),
            finished_at=now - 1800,
        ),
        container("done", now, image="busybox", state="exited", finished_at=now - 4 * 86400),
        container(
            "never", now, image="typo:1", state="created", created_at=now - 7200,
            error='exec: "pyhton": executable file not found in $PATH',
        ),
    )  # fmt: skip
    return tuple(replace(each, node=node) for each in kinds)


def many_containers(now: float, count: int = 200, node: str = "gpu-01") -> tuple[Container, ...]:
    return tuple(
        container(
            f"job-{number:03}", now, node=node, id=f"{number:064x}",
            started_at=now - 60 * number, cpu_percent=float(number % 100),
            memory_bytes=number * 10 * MIB, gpu_memory_bytes=0,
        )
        for number in range(count)
    )  # fmt: skip


def some_images(now: float) -> tuple[Image, ...]:
    """The images of `some_containers`' engine, and one that a newer build has replaced."""
    return (
        Image("sha256:" + "a" * 64, ("pytorch-ssh:2.8", "pytorch-ssh:latest"), 17 * GIB,
              now - 86400),
        Image("sha256:" + "b" * 64, (), 17 * GIB, now - 5 * 86400),
        Image("sha256:" + "c" * 64, ("quay.io/jupyter/pytorch-notebook:cuda12-python-3.11",),
              9 * GIB, now - 30 * 86400),
        Image("sha256:" + "d" * 64, ("busybox:latest",), 4 * MIB, now - 400 * 86400),
    )  # fmt: skip


def a_listing(now: float, node: str = "gpu-01") -> Listing:
    disk = DiskUse(81 * GIB, 12 * GIB, 240 * GIB, 35 * GIB, 48 * GIB)
    return Listing("docker 27.3.1", some_containers(now, node), some_images(now), disk)


def with_containers(state: FleetState, now: float) -> FleetState:
    """The fleet with containers on gpu-01 and (old ones) lab-c, none on gpu-02, no right to the
    engine on mig-01, and no engine on old-01."""
    fields: dict[str, dict[str, object]] = {
        "gpu-01": {"containers": a_listing(now)},
        "gpu-02": {"containers": Listing("docker 27.3.1", (), (), DiskUse(0, 0, 0, 0, 0))},
        "lab-c": {"containers": a_listing(now, "lab-c")},
        "mig-01": {"containers_problem": NO_RIGHT},
        "old-01": {"containers_problem": NO_DOCKER},
    }

    def filled(node: NodeState) -> NodeState:
        return replace(node, **fields.get(node.name, {}))  # type: ignore[arg-type]

    return replace(state, nodes=tuple(map(filled, state.nodes)))


@dataclass(frozen=True)
class Asked:
    """One request to the engine: `name` is the SDK's method."""

    name: str
    args: tuple[Any, ...]
    more: dict[str, Any]


class FakeClient:
    """An `APIClient` that remembers what it was asked for. What has no answer of its own is
    answered from `engine.answers`, by the method's name: a value, a callable, or an exception."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def method(*args: Any, **more: Any) -> Any:
            self._engine.asked.append(Asked(name, args, more))
            answers = self._engine.answers
            usual: Callable[..., Any] = getattr(self._engine, f"answer_{name}", _nothing)
            answer = answers.get(name, usual)
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args, **more) if callable(answer) else answer

        return method


def _nothing(*_args: Any, **_more: Any) -> None:
    return None


class FakeEngine:
    """Stands in for `containers.engine.Engine`: `asked` is what reached it."""

    def __init__(self, node: str, listing: Callable[[], Listing | None]) -> None:
        self.node = node
        self._listing = listing
        self.asked: list[Asked] = []
        self.answers: dict[str, Any] = {}
        self.execs: dict[str, dict[str, Any]] = {}  # `docker exec`s in every container, by their id
        self.refusals: dict[str, Exception] = {}  # by a word of what is asked, such as "stopping"
        self.gate = asyncio.Event()  # while it is cleared, calls and streams wait
        self.gate.set()
        self.known = EngineFacts("docker", "27.3.1", "1.47", "/var/run/docker.sock")

    def names(self) -> list[str]:
        """The methods that were asked for, in order."""
        return [each.name for each in self.asked]

    async def facts(self) -> EngineFacts:
        return self.known

    async def call(self, what: str, request: Callable[[Any], Any], *, timeout: float = 30.0) -> Any:
        await self.gate.wait()
        self._refuse(what)
        return request(FakeClient(self))

    async def stream(
        self, what: str, request: Callable[[Any], Iterable[Any]]
    ) -> AsyncGenerator[Any, None]:
        await self.gate.wait()
        self._refuse(what)
        for item in request(FakeClient(self)) or ():
            yield item

    def _refuse(self, what: str) -> None:
        for part, refusal in self.refusals.items():
            if part in what:
                raise refusal

    # What the engine says of its containers

    def answer_inspect_container(self, identity: str) -> dict[str, Any]:
        found = self._find(identity)
        mounts = [
            {"Type": each.kind, "Name": each.source, "Source": each.source,
             "Destination": each.target, "RW": not each.read_only}
            for each in found.mounts
        ]  # fmt: skip
        return {
            "Id": found.id, "Name": f"/{found.name}", "Image": found.image_id,
            "Config": {"Image": found.image}, "HostConfig": {}, "Mounts": mounts,
            "State": {"Status": found.state}, "ExecIDs": list(self.execs),
        }  # fmt: skip

    def answer_containers(self, **more: Any) -> list[dict[str, Any]]:
        listing = self._listing()
        wanted = (more.get("filters") or {}).get("id")
        return [
            {"Id": each.id, "Names": [f"/{each.name}"], "SizeRw": 3 * MIB}
            for each in (listing.containers if listing else ())
            if wanted in (None, each.id)
        ]

    def answer_diff(self, identity: str) -> list[dict[str, Any]]:
        return [{"Path": f"/root/{number}", "Kind": 1} for number in range(12)]

    def answer_exec_inspect(self, identity: str) -> dict[str, Any]:
        return self.execs[identity]

    def answer_commit(self, identity: str, **_more: Any) -> dict[str, Any]:
        return {"Id": "sha256:" + "e" * 64}

    def _find(self, identity: str) -> Container:
        listing = self._listing()
        for each in listing.containers if listing else ():
            if each.id == identity:
                return each
        raise ContainerError(f"No such container: {identity[:12]}", "It is gone already.", 404)


def a_client(command: str = "bash", *, terminal: bool = True) -> dict[str, Any]:
    """One of `FakeEngine.execs`: a program that somebody runs in a container."""
    words = command.split()
    config = {"entrypoint": words[0], "arguments": words[1:], "tty": terminal, "user": ""}
    return {"Running": True, "ProcessConfig": config, "Pid": 4712}


class FakeContainers:
    """Stands in for `fleet.containers.NodeContainers`, and remembers what it was asked for.

    `refusal` is raised by `start`, `build` and `look_around`; what acts on containers that are
    there is refused by `engine.refusals`.
    """

    def __init__(self, node: str, listing: Callable[[], Listing | None] = lambda: None) -> None:
        self.node = node
        self.engine = FakeEngine(node, listing)
        self.watched = False
        self.refusal: Exception | None = None
        self.start_refusal: Exception | None = None  # of `start` alone
        self.around = Surroundings(self.engine.known, user="gpu-user", home="/home/gpu-user")
        self.started: list[ContainerSpec] = []
        self.since: list[Surroundings | None] = []
        self.born = container("new", 0.0, node=node)  # what a start makes
        self.builds: list[tuple[str, Any]] = []
        self.build_steps: tuple[BuildProgress, ...] = ()
        self.checked: list[Container] = []
        self.lost: LostGpus | None = None

    def watch(self, wanted: bool) -> None:
        self.watched = wanted

    async def check_gpus(self, container: Container) -> LostGpus | None:
        self.checked.append(container)
        return self.lost

    async def look_around(self, spec: ContainerSpec, sample: Sample | None) -> Surroundings:
        await self.engine.gate.wait()
        self._refuse()
        gpus: tuple[NodeGpu, ...] | None = node_gpus(sample)
        return replace(self.around, gpus=gpus)

    async def start(
        self, spec: ContainerSpec, sample: Sample | None, since: Surroundings | None = None
    ) -> Started:
        await self.engine.gate.wait()
        self._refuse()
        self.since.append(since)
        if self.start_refusal is not None:
            raise self.start_refusal
        self.started.append(spec)
        return Started(self.born, spec)

    async def build(self, image: str, config: Any) -> AsyncGenerator[BuildProgress, None]:
        self.builds.append((image, config))
        for step in self.build_steps:
            await self.engine.gate.wait()
            yield step
        self._refuse()

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal
