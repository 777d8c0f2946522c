"""Ports that need no network: servers of every kind, and forwards that only say so."""

from __future__ import annotations

import asyncio
import errno

from gpuhop_tui.fleet.ports.model import Listener
from gpuhop_tui.fleet.ports.node import Forward, NodePorts
from gpuhop_tui.problem import Problem
from gpuhop_tui.ssh.port_forward import ForwardState

TOKEN = "d3adb33fc0ffee"

JUPYTER = Listener(
    "127.0.0.1", 8888, "127.0.0.1", "own", "gpu-user", "jupyter", "Jupyter",
    "/opt/conda/bin/python /opt/conda/bin/jupyter-lab --no-browser", 4121,
    page=f"/lab?token={TOKEN}",
)  # fmt: skip
BOARD = Listener(
    "127.0.0.1", 6006, "*", "own", "gpu-user", "tensorboard", "TensorBoard",
    "tensorboard --logdir runs [bold]", 4180,
)  # fmt: skip
NOTEBOOK = Listener(
    "127.0.0.1", 8899, "*", "container", "jonas", "jupyter", "Jupyter", "jupyter lab",
    container="jonas-nb", inside_port=8888, token_missing="its token is not told: it was started "
    "by jonas",
)  # fmt: skip
SSHD = Listener(
    "127.0.0.1", 2222, "*", "container", "gpu-user", "sshd", "SSH server", container="devbox",
    inside_port=22, browser=False, login="root",
)  # fmt: skip
INNER = Listener(
    "172.17.0.4", 7860, "*", "container", "gpu-user", "gradio", "Gradio", "python app.py gradio",
    container="devbox", direct=True,
)  # fmt: skip
SYSTEM = Listener("127.0.0.1", 631, "127.0.0.1", "other", "root")

LISTENERS = (JUPYTER, BOARD, SSHD, INNER, NOTEBOOK, SYSTEM)


class FakePort:
    def __init__(self, local_port: int) -> None:
        self.local_port = local_port
        self.state = ForwardState.READY
        self.problem: Problem | None = None
        self.connections = self.served = self.sent_bytes = self.received_bytes = 0

    async def check(self) -> Problem | None:
        return self.problem


class FakePorts:
    """A node's ports. `there` is what a look finds; local ports of `taken` are somebody's."""

    forward_to = NodePorts.forward_to
    listener_of = NodePorts.listener_of

    def __init__(self, node: str) -> None:
        self.node = node
        self.there: tuple[Listener, ...] = LISTENERS
        self.trouble: Problem | None = None  # of a look
        self.refusal: Problem | None = None  # of a connection
        self.taken: set[int] = set()
        self.can_save = True
        self.listeners: tuple[Listener, ...] | None = None
        self.problem: Problem | None = None
        self.containers_problem = ""
        self._forwards: list[Forward] = []
        self.looks = 0
        self.rested = asyncio.Event()

    @property
    def forwards(self) -> tuple[Forward, ...]:
        return tuple(self._forwards)

    async def look(self) -> None:
        self.looks += 1
        self.problem = self.trouble
        if self.trouble is None:
            self.listeners = self.there

    async def rest(self) -> None:
        self.rested.set()

    async def home(self) -> str:
        return "/home/gpu-user"

    def begin(self, wanted, *, saved=False) -> Forward:
        if len(self.taken) > 60000:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        port = wanted.local_port
        while port in self.taken:
            port += 1
        taken = wanted.local_port if port != wanted.local_port else None
        fake = FakePort(port)
        fake.problem = self.refusal
        forward = Forward(wanted, fake, saved, taken)
        self.taken.add(port)
        self._forwards.append(forward)
        return forward

    async def end(self, forward: Forward) -> None:
        self._forwards.remove(forward)
        self.taken.discard(forward.local_port)

    async def keep(self, forward: Forward, saved: bool) -> None:
        forward.saved = saved
