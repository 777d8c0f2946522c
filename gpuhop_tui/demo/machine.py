"""One node of the demo as a machine: its GPUs, its engine, its tmux servers, its few files."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from gpuhop_tui.demo import contents
from gpuhop_tui.demo.engine.api import Api
from gpuhop_tui.demo.engine.container import Container
from gpuhop_tui.demo.engine.engine import Engine, Exec
from gpuhop_tui.demo.engine.files import TRAIN, Files
from gpuhop_tui.demo.gpus import NodeGpus
from gpuhop_tui.demo.scenario import DemoNode
from gpuhop_tui.demo.shell import commands
from gpuhop_tui.demo.shell.place import Place
from gpuhop_tui.demo.tmux.server import TmuxServer

DOCKER_SOCKET = "/var/run/docker.sock"
TMUX = "/usr/bin/tmux"
_HOST_KEY = "/etc/gpuhop/host_key.pub"
UID = 1000


@dataclass(slots=True)
class Seat:
    """What a login gets at: a node's tmux servers, or those of a container with an SSH server."""

    name: str
    place: Callable[[], Place]
    tmux: TmuxServer
    hops: TmuxServer
    runs: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Status and output of commands that have ended, by the name of their run."""

    @property
    def servers(self) -> tuple[TmuxServer, TmuxServer]:
        return self.tmux, self.hops

    def server_at(self, socket: str) -> TmuxServer | None:
        return next((each for each in self.servers if each.socket == socket), None)


class Machine:
    """Everything that is on a node, in memory. `home` is a real directory, for its probe alone."""

    def __init__(self, node: DemoNode, home: Path) -> None:
        assert node.spec is not None
        self.node = node
        self.gpus = NodeGpus(node.spec, home / "gpus.json")
        self.engine: Engine | None = None
        self.api: Api | None = None
        if node.engine != "none":
            self.engine = Engine(node.name, node.user, self.gpus, contents.images_of(node.name))
            contents.fill_engine(self.engine)
            self.api = Api(self.engine, self._run_exec)
        self.files = Files(
            {
                f"{self.home}/train.py": TRAIN,
                f"{self.home}/README.txt": b"This node is simulated.\n",
                "/data/datasets/pile/shard-000.bin": bytes(64),
            },
            ("/tmp", "/mnt/data", f"{self.home}/work", f"{self.home}/.cache"),
        )
        self.seat = _seat(node.name, self.place, UID, self._session_ended)
        contents.fill_tmux(node.name, self.seat.tmux, self.place, self._session_ended)
        self.starting = asyncio.Lock()
        self.pids = itertools.count(52000)
        self._seats: dict[str, Seat] = {}  # of containers, by id
        self._host_keys: dict[str, asyncssh.SSHKey] = {}  # of containers, by id

    @property
    def home(self) -> str:
        return f"/home/{self.node.user}"

    @property
    def may_use_docker(self) -> bool:
        return self.node.engine == "docker"

    def place(self) -> Place:
        """Where a shell on this node begins."""
        denied = (
            "permission denied while trying to connect to the Docker daemon socket at "
            f"unix://{DOCKER_SOCKET} (simulated)"
        )
        return Place(
            self.node.name,
            self.node.user,
            self.home,
            self.files,
            self.gpus,
            engine=self.engine if self.may_use_docker else None,
            why_no_engine=denied if self.engine else "docker: command not found (simulated)",
            sessions=lambda: [
                f"{each.name}: {len(each.windows)} windows" for each in self.seat.tmux.sessions
            ],
        )

    def inside(self, identity: str, user: str = "", directory: str = "") -> Place:
        """In a running container. Raises Refused where there is none of that id."""
        return commands.inside_of(self.place(), identity, user, directory)

    def seat_in(self, container: Container) -> Seat:
        """What a login to its own SSH server gets at, for as long as it runs."""
        seat = self._seats.get(container.id)
        if seat is None or seat.name != _run_of(container):
            seat = _seat(_run_of(container), lambda: self.inside(container.id), 0)
            self._seats[container.id] = seat
            contents.fill_container_tmux(container, seat.tmux, seat.place)
        return seat

    def ssh_container(self, port: int) -> Container | None:
        """The container whose SSH server has this port of the node."""
        container = self.engine.publishing(port) if self.engine is not None else None
        return container if container is not None and container.has_sshd else None

    def host_key(self, container: Container) -> asyncssh.SSHKey:
        """The SSH host key of a container; its public half is a file in it."""
        key = self._host_keys.get(container.id)
        if key is None:
            key = self._host_keys[container.id] = asyncssh.generate_private_key("ssh-ed25519")
            container.files.write(_HOST_KEY, key.export_public_key())
        return key

    def make_host_keys(self) -> None:
        """Those of the containers with an SSH server that run."""
        for container in self.engine.containers.values() if self.engine else ():
            if container.running and container.has_sshd:
                self.host_key(container)

    async def _run_exec(self, command: Exec) -> tuple[int, bytes]:
        """A command of the API's exec: what ends at once is answered, the rest is refused."""
        place = self.inside(command.container.id, command.user)
        result = commands.run_words(place, list(command.words)) if command.words else None
        if result is None or result.program is not None or result.place is not None:
            return 126, b"simulated: this goes on only in a shell\n"
        return result.status, result.text.encode()

    def _session_ended(self, name: str) -> None:
        self.gpus.end(tmux_session=name, container="")


def _seat(
    name: str, place: Callable[[], Place], uid: int, ended: Callable[[str], None] = lambda _: None
) -> Seat:
    folder = f"/tmp/tmux-{uid}"
    tmux = TmuxServer(f"{folder}/default", 3100, ended)
    return Seat(name, place, tmux, TmuxServer(f"{folder}/gpuhop", 3900))


def _run_of(container: Container) -> str:
    """A name for one run of it: what was in there ends with it."""
    return f"{container.id[:12]}-{len(container.stories)}"
