"""The demo as users run it: real SSH, simulated GPUs, nothing of theirs touched, nothing left."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import pytest_asyncio

from gpuhop_tui.demo.fleet import DemoServers
from gpuhop_tui.probe.delivery import probe_command
from tests.unit.cli.terminal import Terminal

REPOSITORY = Path(__file__).parents[2]


class Desk:
    """A user's surroundings: a home, an agent, and a place for temporary files, all watched."""

    def __init__(self, root: Path) -> None:
        self.home, self.temporary = root / "home", root / "tmp"
        self.home.mkdir()
        self.home.chmod(0o555)
        self.temporary.mkdir()
        self.agent = socket.socket(socket.AF_UNIX)
        self.agent.bind(str(root / "agent"))
        self.agent.listen()
        self.agent.setblocking(False)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "SSH_AUTH_SOCK": str(root / "agent"),
            "TMPDIR": str(self.temporary),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gpuhop_tui", "--demo", *argv],
            env=self.environment,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def agent_was_asked(self) -> bool:
        try:
            self.agent.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def processes(self) -> list[int]:
        """Processes that were started here, by the traces of this desk in their environment."""
        mark = os.fsencode(self.temporary)
        return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _bears(entry, mark)]

    def is_clean(self) -> bool:
        return not self.processes() and not list(self.temporary.iterdir())


def _bears(entry: Path, mark: bytes) -> bool:
    try:
        return mark in (entry / "environ").read_bytes()
    except OSError:
        return False


@pytest.fixture
def desk() -> Iterator[Desk]:
    root = Path(tempfile.mkdtemp(prefix="desk-"))
    desk = Desk(root)
    yield desk
    desk.agent.close()
    for process in desk.processes():
        os.kill(process, signal.SIGKILL)
    desk.home.chmod(0o755)
    shutil.rmtree(root)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_status_shows_the_fleet_and_touches_nothing(desk: Desk) -> None:
    with desk.start("status", "--json") as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, "")
    nodes = {node["name"]: node for node in json.loads(output)["nodes"]}
    assert len(nodes) == 6
    down = nodes.pop("gpu-03")
    assert (down["state"], down["error"]["kind"]) == ("down", "refused")
    assert down["error"]["hop"] == "gpu-03"
    assert down["gpus"] == []
    assert {(node["state"], node["source"]) for node in nodes.values()} == {("up", "simulated")}
    gpus = [gpu for node in nodes.values() for gpu in node["gpus"]]
    assert sum("lost" in gpu["missing"].get("utilization_percent", "") for gpu in gpus) == 1
    assert sum(bool(gpu["mig"]) for gpu in gpus) == 1
    assert list(desk.home.iterdir()) == []
    assert not desk.agent_was_asked()
    assert desk.is_clean()


def test_nodes_can_be_named(desk: Desk) -> None:
    with desk.start("status", "--json", "lab-a") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [node["name"] for node in json.loads(output)["nodes"]] == ["lab-a"]


def test_an_unknown_node_leaves_nothing_behind(desk: Desk) -> None:
    with desk.start("status", "lab-z") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "did you mean" in errors
    assert desk.is_clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP])
def test_nothing_is_left_however_it_ends(desk: Desk, number: signal.Signals) -> None:
    with desk.start("status", "--follow") as process:
        assert process.stdout is not None
        names: set[str] = set()
        while len(names) < 6:
            names.add(json.loads(process.stdout.readline())["nodes"][0]["name"])
        assert len(desk.processes()) > 1, "the servers are processes of their own"
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == (0 if number in (signal.SIGTERM, signal.SIGINT) else -number)
    until(desk.is_clean)
    assert list(desk.home.iterdir()) == []
    assert not desk.agent_was_asked()


@pytest.fixture
def dashboard(desk: Desk) -> Iterator[Terminal]:
    argv = [sys.executable, "-m", "gpuhop_tui", "--demo"]
    terminal = Terminal(argv, {**desk.environment, "LANG": "C.UTF-8"})
    yield terminal
    terminal.close()


def test_the_dashboard_shows_it_and_leaves_nothing(desk: Desk, dashboard: Terminal) -> None:
    for shown in ("5/6 nodes", "simulated", "lab-c"):
        dashboard.until_shown(shown)
    dashboard.press("q")
    assert dashboard.wait() == 0
    assert "Traceback" not in dashboard.raw
    until(desk.is_clean)
    assert list(desk.home.iterdir()) == []
    assert not desk.agent_was_asked()


def test_closing_the_window_leaves_nothing(desk: Desk, dashboard: Terminal) -> None:
    dashboard.until_shown("5/6 nodes")
    dashboard.hang_up()
    until(desk.is_clean)


@pytest_asyncio.fixture
async def servers() -> AsyncIterator[DemoServers]:
    servers = await DemoServers.start()
    yield servers
    await servers.close()
    assert not servers.directory.exists()


def connect(servers: DemoServers, bastion: str, **options: object) -> asyncssh.misc._ACMWrapper:
    return asyncssh.connect(
        "127.0.0.1",
        servers.ports[bastion],
        username="me",
        known_hosts=str(servers.directory / "known_hosts"),
        config=None,
        **{"agent_path": servers.agent_socket, **options},  # type: ignore[arg-type]
    )


async def test_a_bastion_forwards_to_its_own_nodes_alone(servers: DemoServers) -> None:
    async with connect(servers, "jump-server") as bastion:
        for elsewhere in (("10.7.1.11", 22), ("127.0.0.1", servers.ports["edge"])):
            with pytest.raises(asyncssh.ChannelOpenError, match="No route to host"):
                await bastion.open_connection(*elsewhere)
        with pytest.raises(asyncssh.ChannelOpenError, match="Connection refused"):
            await bastion.open_connection("10.0.0.52", 22)
        reader, _ = await bastion.open_connection("10.0.0.50", 22)
        assert (await reader.readline()).startswith(b"SSH-2.0-")


async def test_a_bastion_runs_nothing(servers: DemoServers) -> None:
    async with connect(servers, "edge") as bastion:
        result = await bastion.run("id")
        assert result.exit_status == 1
        assert result.stdout == ""


async def test_only_the_demos_own_key_is_let_in(servers: DemoServers) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        async with connect(servers, "edge", client_keys=[stranger], agent_path=None):
            pass


def listening_sockets(pid: int) -> int:
    """How many listening TCP sockets a process holds (proc(5), /proc/net/tcp, state 0A)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = {fields[9] for fields in map(str.split, lines) if fields[3] == "0A"}
    held = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(name.removeprefix("socket:[").rstrip("]") in listening for name in held)


async def test_nothing_but_the_bastions_listens(servers: DemoServers) -> None:
    """The nodes have no port: the bastions' are all that the servers' process holds."""
    assert await asyncio.to_thread(listening_sockets, servers.pid) == 2


async def test_the_probe_ends_with_its_connection(servers: DemoServers) -> None:
    mark = f"{servers.directory}/lab-a"

    def running() -> bool:
        return any(_bears(entry, mark.encode()) for entry in Path("/proc").glob("[0-9]*"))

    async with connect(servers, "edge") as bastion, connect_node(servers, bastion) as node:
        async with node.create_process(probe_command(1.0), encoding=None) as process:
            await asyncio.to_thread(until, running)
            process.close()
        await asyncio.to_thread(until, lambda: not running())


@pytest.mark.parametrize(
    "command",
    ["touch ran", f"{probe_command()}; touch ran", "exec sh -c 'touch ran", ""],
    ids=["another", "more than the probe", "unbalanced", "a shell"],
)
async def test_nothing_but_the_probe_is_run(servers: DemoServers, command: str) -> None:
    async with connect(servers, "edge") as bastion, connect_node(servers, bastion) as node:
        done = await node.run(command or None, stdin=asyncssh.DEVNULL)
    assert done.exit_status == 126
    assert "nothing but the probe" in str(done.stderr)
    assert not list(servers.directory.rglob("ran"))


def connect_node(servers: DemoServers, bastion: Any) -> Any:
    return bastion.connect_ssh(
        "10.7.1.11",
        username="me",
        known_hosts=str(servers.directory / "known_hosts"),
        config=None,
        agent_path=servers.agent_socket,
    )
