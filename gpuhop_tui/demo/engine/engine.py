"""The state of one node's engine, and everything that changes it."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from gpuhop_tui.demo.engine.container import Container, stamp
from gpuhop_tui.demo.engine.files import WORKSPACE, Files
from gpuhop_tui.demo.engine.http import Refused
from gpuhop_tui.demo.engine.images import LABEL, Image, Images, Layer, with_tag
from gpuhop_tui.demo.gpus import NodeGpus, Work
from gpuhop_tui.demo.noise import identity
from gpuhop_tui.demo.story import Story, kind_of

Json = dict[str, Any]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_FIRST_FREE_PORT = 32768
_SSH_FOLDER = "/etc/gpuhop"
_ENDS_SOON = {"true": 0, "echo": 0, "false": 1}


@dataclass(slots=True)
class Exec:
    """A command in a container, by the API's exec."""

    id: str
    container: Container
    words: tuple[str, ...]
    user: str
    tty: bool
    running: bool = False
    exit_code: int | None = None


class Engine:
    """Containers, images and events of one node."""

    def __init__(self, node: str, user: str, gpus: NodeGpus, images: Images) -> None:
        self.node, self.user, self.gpus, self.images = node, user, gpus, images
        self.containers: dict[str, Container] = {}
        self.execs: dict[str, Exec] = {}
        self.built_steps: set[str] = set()
        self._listeners: set[asyncio.Queue[Json]] = set()
        self._numbers = itertools.count(1)

    @property
    def memory_bytes(self) -> int:
        return int(self.gpus.host["memory_total_bytes"])

    @property
    def cpus(self) -> int:
        return int(self.gpus.host["cpu_count"])

    # Finding

    def find(self, name: str) -> Container:
        """By name, id, or the beginning of one. Raises Refused."""
        for container in self.containers.values():
            if name.removeprefix("/") == container.name or name == container.id:
                return container
        begun = [each for each in self.containers.values() if each.id.startswith(name)]
        if len(begun) == 1 and re.fullmatch(r"[0-9a-f]+", name):
            return begun[0]
        raise Refused(404, f"No such container: {name}")

    def publishing(self, port: int) -> Container | None:
        """The running container that has this port of the node."""
        for container in self.containers.values():
            bindings = itertools.chain.from_iterable(container.ports.values())
            if container.running and any(int(each["HostPort"]) == port for each in bindings):
                return container
        return None

    # Creating

    def create(self, name: str, body: Json) -> Container:
        """Raises Refused as an engine does: no image, a taken name, a bad one."""
        image = self.images.find(str(body.get("Image") or ""))
        key = identity(self.node, "container", next(self._numbers), time.time_ns())
        name = name.removeprefix("/") or f"simulated_{key[:6]}"
        if not _NAME.match(name):
            raise Refused(
                400,
                f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            )
        self._refuse_name(name)
        body = {**body, "Labels": {**(body.get("Labels") or {}), LABEL: "true"}}
        for key_word in ("Cmd", "WorkingDir", "User"):
            if not body.get(key_word) and not (key_word == "Cmd" and body.get("Entrypoint")):
                body[key_word] = image.config.get(key_word)
        if body.get("Entrypoint") is None:
            body["Entrypoint"] = image.config.get("Entrypoint")
        container = Container(key, name, image.id, body, time.time(), self._files(body))
        self.containers[container.id] = container
        self.tell("create", container)
        return container

    def add(self, container: Container) -> None:
        """One that is there from the first."""
        self.containers[container.id] = container

    def _files(self, body: Json) -> Files:
        binds = (body.get("HostConfig") or {}).get("Binds") or ()
        mounts = (str(bind).partition(":")[2].partition(":")[0] for bind in binds)
        return Files({**WORKSPACE}, (*mounts, _SSH_FOLDER, "/root", "/data"))

    def _refuse_name(self, name: str) -> None:
        for other in self.containers.values():
            if other.name == name:
                raise Refused(
                    409,
                    f'Conflict. The container name "/{name}" is already in use by container '
                    f'"{other.id}". You have to remove (or rename) that container to be able to '
                    "reuse that name.",
                )

    # Its life

    def start(self, container: Container) -> bool:
        """Whether it was not running before. Raises Refused: a port that is taken, no such GPU."""
        if container.running:
            return False
        gpus = self._gpus_of(container)
        container.ports = self._ports_of(container)
        now = time.time()
        kind = kind_of(str(container.body.get("Image")), container.command)
        words = (" ".join(container.command[1:]),) if kind == "echo" else ()
        container.stories.append(Story(kind, container.id, now, words=words))
        container.gpus = gpus
        container.state, container.started_at, container.exit_code = "running", now, 0
        container.pid = 200_000 + next(self._numbers)
        self.tell("start", container)
        if kind in ("training", "serving", "notebook") and gpus:
            command = " ".join(container.command)
            user = container.body.get("User") or "root"
            work = Work(user, command, container.pid, container.name, container.id)
            self.gpus.begin(work, list(gpus))
        ends_with = _status_of(container.command)
        if ends_with is not None:
            asyncio.get_running_loop().call_later(0.2, self._end, container, ends_with)
        return True

    def _gpus_of(self, container: Container) -> tuple[int, ...]:
        found: set[int] = set()
        for request in container.host.get("DeviceRequests") or ():
            if not any("gpu" in group for group in request.get("Capabilities") or ()):
                continue
            indexes = self.gpus.resolve(request)
            if indexes is None:
                wanted = ",".join(request.get("DeviceIDs") or ()) or request.get("Count")
                raise Refused(
                    500,
                    "failed to create task for container: nvidia-container-cli: device error: "
                    f"{wanted}: unknown device",
                )
            found.update(indexes)
        return tuple(sorted(found))

    def _ports_of(self, container: Container) -> dict[str, list[Json]]:
        taken = {
            int(each["HostPort"])
            for other in self.containers.values()
            if other.running
            for bindings in other.ports.values()
            for each in bindings
        }
        found: dict[str, list[Json]] = {}
        for name, bindings in (container.host.get("PortBindings") or {}).items():
            for binding in bindings or ():
                port = int(binding.get("HostPort") or 0)
                address = binding.get("HostIp") or "0.0.0.0"
                if port in taken:
                    raise Refused(
                        500,
                        "driver failed programming external connectivity on endpoint "
                        f"{container.name}: Bind for {address}:{port} failed: port is already "
                        "allocated",
                    )
                while not port:
                    port = next(p for p in itertools.count(_FIRST_FREE_PORT) if p not in taken)
                taken.add(port)
                found.setdefault(name, []).append({"HostIp": address, "HostPort": str(port)})
        return found

    def stop(self, container: Container, exit_code: int = 143) -> bool:
        """Whether it was running before."""
        if not container.running:
            return False
        self.tell("kill", container)
        self._end(container, exit_code)
        return True

    def _end(self, container: Container, exit_code: int) -> None:
        if not container.running or container.id not in self.containers:
            return
        now = time.time()
        container.state, container.finished_at, container.exit_code = "exited", now, exit_code
        if container.stories:
            container.stories[-1] = replace(container.stories[-1], ended_at=now)
        container.gpus, container.health = (), ""
        for each in self.execs.values():
            if each.container is container and each.running:
                each.running, each.exit_code = False, 137
        self.gpus.end(container_id=container.id)
        self.tell("die", container)

    def kill(self, container: Container) -> None:
        """Raises Refused where it does not run."""
        if not self.stop(container, 137):
            raise Refused(
                409,
                f"cannot kill container: {container.id}: container {container.id} is not running",
            )

    def pause(self, container: Container, paused: bool) -> None:
        """Raises Refused where that is no change."""
        wanted = "running" if paused else "paused"
        if container.state != wanted:
            raise Refused(409, f"Container {container.id} is not {wanted}")
        container.state = "paused" if paused else "running"
        self.tell("pause" if paused else "unpause", container)

    def rename(self, container: Container, name: str) -> None:
        """Raises Refused for a taken name, or a bad one."""
        if not _NAME.match(name):
            raise Refused(400, f"Invalid container name ({name})")
        if name != container.name:
            self._refuse_name(name)
        container.name = name
        self.gpus.rename(container.id, name)
        self.tell("rename", container)

    def remove(self, container: Container, *, force: bool) -> None:
        """Raises Refused where it runs, without `force`."""
        if container.running and not force:
            raise Refused(
                409,
                f"cannot remove container {container.name!r}: container is running: stop the "
                "container before removing or force remove",
            )
        self.stop(container, 137)
        del self.containers[container.id]
        self.tell("destroy", container)

    def commit(self, container: Container, reference: str) -> Image:
        """An image of it as it is."""
        base = self.images.get(container.image_id)
        key = identity(container.id, time.time_ns())
        layer = Layer(key[:12], max(1, container.writable_bytes // 2))
        config = {
            name: container.body.get(name)
            for name in ("Cmd", "Entrypoint", "WorkingDir", "User", "Labels", "Env")
        }
        layers = (*(base.layers if base else ()), layer)
        image = Image(f"sha256:{key}", (with_tag(reference),), layers, time.time(), config)
        self.images.add(image)
        self.tell_of_image("tag", image)
        self.tell("commit", container)
        return image

    def new_exec(self, container: Container, body: Json) -> Exec:
        """Raises Refused where it does not run."""
        if not container.running:
            raise Refused(409, f"container {container.id} is not running")
        words = tuple(str(word) for word in body.get("Cmd") or ())
        user = str(body.get("User") or container.body.get("User") or "root")
        made = Exec(
            identity("exec", next(self._numbers), time.time_ns()),
            container,
            words,
            user,
            bool(body.get("Tty")),
        )
        self.execs[made.id] = made
        container.execs.append(made.id)
        self.tell(f"exec_create: {' '.join(words)}", container)
        return made

    # Events

    def tell(self, action: str, container: Container) -> None:
        attributes = {
            "image": str(container.body.get("Image")),
            "name": container.name,
            **container.labels,
        }
        if action == "die":
            attributes["exitCode"] = str(container.exit_code)
        self._tell("container", action, container.id, attributes)

    def tell_of_image(self, action: str, image: Image) -> None:
        name = image.tags[0] if image.tags else image.id
        self._tell("image", action, image.id, {"name": name})

    def _tell(self, kind: str, action: str, which: str, attributes: dict[str, str]) -> None:
        now = time.time_ns()
        event = {
            "status": action,
            "id": which,
            "Type": kind,
            "Action": action,
            "Actor": {"ID": which, "Attributes": attributes},
            "scope": "local",
            "time": now // 1_000_000_000,
            "timeNano": now,
        }
        for queue in self._listeners:
            queue.put_nowait(event)

    def listen(self) -> asyncio.Queue[Json]:
        """A queue of the events from now on; `unlisten` ends it."""
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._listeners.add(queue)
        return queue

    def unlisten(self, queue: asyncio.Queue[Json]) -> None:
        self._listeners.discard(queue)

    def users_of(self, image: Image) -> Iterable[Container]:
        return (each for each in self.containers.values() if each.image_id == image.id)

    def facts(self) -> Json:
        """As in GET /info."""
        states = [each.state for each in self.containers.values()]
        return {
            "ID": f"simulated-{self.node}",
            "Name": self.node,
            "Containers": len(states),
            "ContainersRunning": states.count("running"),
            "Images": len(self.images.all()),
            "Driver": "overlay2",
            "CgroupDriver": "systemd",
            "CgroupVersion": "2",
            "DockerRootDir": "/var/lib/docker",
            "MemTotal": self.memory_bytes,
            "NCPU": self.cpus,
            "OperatingSystem": "simulated",
            "SecurityOptions": ["name=seccomp,profile=builtin"],
            "ServerVersion": VERSION,
            "SystemTime": stamp(time.time()),
            "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}},
            "Labels": [f"{LABEL}=true"],
        }


VERSION = "28.3 (simulated)"


def _status_of(command: list[str]) -> int | None:
    """The exit status of a command that ends at once; None: it goes on."""
    if command and command[0] in _ENDS_SOON:
        return _ENDS_SOON[command[0]]
    line = " ".join(command)
    if found := re.fullmatch(r"(?:/bin/)?(?:ba|da)?sh -l?c (?:.*(?:;|&&) *)?exit (\d+)", line):
        return int(found[1]) & 0xFF
    if re.fullmatch(r"(?:/bin/)?(?:ba|da)?sh", line) or line == "python3":
        return 0  # without a terminal a shell has read all of its input
    return None
