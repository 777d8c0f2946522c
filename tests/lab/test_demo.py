"""The demo as users run it: real SSH, simulated GPUs, nothing of theirs touched, nothing left."""

from __future__ import annotations

import asyncio
import contextlib
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import pytest_asyncio

from gpuhop_tui.config.schema import BuildConfig
from gpuhop_tui.containers import actions
from gpuhop_tui.containers.copy import copy_in, copy_out
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.logs import logs
from gpuhop_tui.containers.pull import pull
from gpuhop_tui.containers.spec import Gpus, from_template
from gpuhop_tui.demo.fleet import DemoFleet, DemoServers, open_demo
from gpuhop_tui.demo.scenario import container_id
from gpuhop_tui.demo.templates import TEMPLATES
from gpuhop_tui.fleet.containers import NodeContainers
from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.sessions.hop_script import Header, attach_command, finish_command
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.sessions.in_container import InContainer
from gpuhop_tui.sessions.shell import shell_command
from gpuhop_tui.ssh.prompts import NoPrompter
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
        with contextlib.suppress(ProcessLookupError):
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
    [
        "touch ran",
        f"{probe_command()}; touch ran",
        "exec sh -c 'touch ran",
        "",
        f"{attach_command(HopTarget(), (80, 24), create=True, lend=False)}; touch ran",
        f"{shell_command()}; touch ran",
        "exec sh -c 'touch ran' gpuhop-tail",
    ],
    ids=["another", "more than the probe", "unbalanced", "a shell", "a hop", "questions", "a tail"],
)
async def test_nothing_but_the_probe_is_run(servers: DemoServers, command: str) -> None:
    async with connect(servers, "edge") as bastion, connect_node(servers, bastion) as node:
        done = await node.run(command or None, stdin=asyncssh.DEVNULL)
    assert done.exit_status in (126, 127) or done.stdout == "%exit gone\n"
    assert "simulated" in f"{done.stdout}{done.stderr}" or done.stdout == "%exit gone\n"
    assert not list(servers.directory.rglob("ran"))
    assert not (REPOSITORY / "ran").exists()


@pytest.mark.parametrize("opened", ["exec sh -s", "exec sh", shell_command()])
async def test_no_shell_of_the_apps_runs_what_it_is_fed(servers: DemoServers, opened: str) -> None:
    fed = "echo gpuhop-0\ntouch ran\necho gpuhop-0\n0123 5 touch ran\n"
    async with connect(servers, "edge") as bastion, connect_node(servers, bastion) as node:
        done = await node.run(opened, input=fed)
    assert "simulated" in f"{done.stdout}{done.stderr}" or not done.stdout
    assert not list(servers.directory.rglob("ran"))


def connect_node(servers: DemoServers, bastion: Any) -> Any:
    return bastion.connect_ssh(
        "10.7.1.11",
        username="me",
        known_hosts=str(servers.directory / "known_hosts"),
        config=None,
        agent_path=servers.agent_socket,
    )


async def test_a_session_in_a_container_is_attached_to(servers: DemoServers) -> None:
    place = InContainer(container_id("tomas-dev"), "tomas-dev")
    target = HopTarget.attached("main", "/tmp/tmux-0/default", place)
    command = attach_command(target, (80, 24), create=False, lend=False)
    async with connect(servers, "edge") as bastion, connect_node(servers, bastion) as node:
        options = {"term_type": "xterm", "term_size": (80, 24), "encoding": None}
        async with node.create_process(command, **options) as process:
            assert b"mode=tmux" in await process.stdout.readuntil(b"\x07")
            process.stdin.write(b"\n")
            assert b"epoch" in await process.stdout.readuntil(b"it/s")
            process.stdin.write(b"\x02d")
            assert b"detached (from session main)" in await process.stdout.read()
        assert process.exit_status == 0
        finish = finish_command(target, Header("tmux", "$0", "1"))
        assert str((await node.run(finish)).stdout).startswith("gpuhop alive=0;")


async def test_a_published_port_answers_with_its_page(servers: DemoServers) -> None:
    async with connect(servers, "edge") as bastion, connect_node(servers, bastion) as node:
        reader, writer = await node.open_connection("127.0.0.1", 8000, encoding=None)
        writer.write(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert b"vllm-prod" in await reader.read()
        with pytest.raises(asyncssh.ChannelOpenError):
            await node.open_connection("127.0.0.1", 9999)


# The nodes' engines, by the app's own core


@pytest_asyncio.fixture
async def fleet() -> AsyncIterator[DemoFleet]:
    fleet = await open_demo(NoPrompter())
    fleet.watch_containers(True)
    await fleet.start()
    yield fleet
    await fleet.stop()


async def until_state(fleet: DemoFleet, condition: Callable[[DemoFleet], bool]) -> None:
    async with asyncio.timeout(40), contextlib.aclosing(fleet.changes()) as changes:
        async for _ in changes:
            if condition(fleet):
                return


async def listed(fleet: DemoFleet, node: str) -> NodeContainers:
    containers = fleet.containers(node)
    assert containers is not None
    await until_state(fleet, lambda _: containers.listing is not None)
    return containers


async def test_a_container_from_its_image_to_its_end(fleet: DemoFleet, tmp_path: Path) -> None:
    """Built, started on a free GPU, seen on it, filled, read, stopped and removed."""
    containers = await listed(fleet, "gpu-01")
    engine = containers.engine
    built = [step async for step in containers.build("mine:1", BuildConfig(preset="pytorch-ssh"))]
    assert built[-1].done
    assert built[-1].steps == built[-1].step > 5
    await until_state(fleet, lambda fleet: _sample(fleet, "gpu-01") is not None)
    spec = replace(from_template(TEMPLATES[0]), image="mine:1", gpus=Gpus(count=1))
    started = await containers.start(replace(spec, entrypoint=("nice",)), _sample(fleet, "gpu-01"))
    mine = started.container

    def is_on_its_gpu(fleet: DemoFleet) -> bool:
        sample = _sample(fleet, "gpu-01")
        return sample is not None and any(
            process.container_id == mine.id
            for gpu in sample.gpus
            if gpu.uuid in started.spec.gpus.ids
            for process in gpu.processes
        )

    await until_state(fleet, is_on_its_gpu)
    async with contextlib.aclosing(logs(engine, mine)) as lines:
        assert "simulated" in (await anext(lines)).text
    (tmp_path / "data.txt").write_text("some data")
    assert [step async for step in copy_in(engine, mine, tmp_path / "data.txt", "/workspace")][
        -1
    ].done
    (tmp_path / "back").mkdir()
    copied = copy_out(engine, mine, "/workspace/data.txt", tmp_path / "back")
    assert [step async for step in copied][-1].done
    assert (tmp_path / "back" / "data.txt").read_text() == "some data"
    with pytest.raises(ContainerError, match="already"):
        await containers.start(started.spec, _sample(fleet, "gpu-01"))
    losses = await actions.losses(engine, mine)
    assert losses.running
    await actions.commit(engine, mine, "kept:1")
    await actions.stop(engine, mine)
    await until_state(fleet, lambda fleet: not is_on_its_gpu(fleet))
    await actions.remove(engine, mine)
    with pytest.raises(ContainerError, match="No such container"):
        await actions.start(engine, mine)


async def test_a_pull_is_cancelled_by_leaving_it(fleet: DemoFleet) -> None:
    engine = (await listed(fleet, "gpu-02")).engine
    async with contextlib.aclosing(pull(engine, "vllm/vllm-openai:latest")) as steps:
        async for step in steps:
            if step.downloaded_bytes:
                break
    assert step.total_bytes > step.downloaded_bytes
    images = await engine.call("listing", lambda client: client.images())
    assert not any("vllm" in str(image["RepoTags"]) for image in images)


async def test_every_face_of_an_engine_is_there(fleet: DemoFleet) -> None:
    nodes = {"lab-b": "no-docker", "lab-c": "no-permission"}

    def problems(fleet: DemoFleet) -> dict[str, str]:
        found = ((name, fleet.state.node(name)) for name in nodes)
        return {
            name: str(node.containers_problem.kind)
            for name, node in found
            if node is not None and node.containers_problem is not None
        }

    await until_state(fleet, lambda fleet: problems(fleet) == nodes)
    containers = await listed(fleet, "gpu-01")

    def lost() -> list[str]:
        listing = containers.listing
        return [each.name for each in listing.containers if each.lost_gpus] if listing else []

    await until_state(fleet, lambda _: lost() == ["sofia-notebook"])
    assert containers.listing is not None
    assert "simulated" in containers.listing.engine


def _sample(fleet: DemoFleet, node: str) -> Sample | None:
    state = fleet.state.node(node)
    return state.live_sample if state is not None else None


# The dashboard


@pytest.fixture
def wide(desk: Desk) -> Iterator[Terminal]:
    argv = [sys.executable, "-m", "gpuhop_tui", "--demo"]
    terminal = Terminal(argv, {**desk.environment, "LANG": "C.UTF-8"}, (130, 40))
    yield terminal
    terminal.close()


def test_a_hop_gives_a_simulated_shell_and_comes_back(desk: Desk, wide: Terminal) -> None:
    wide.until_shown("5/6 nodes")
    wide.press("\r")
    wide.until_shown("This shell is simulated")
    wide.press("python train.py\r")
    wide.until_shown("epoch 1:")
    wide.press("\x1dd")
    wide.until_shown("it runs on")
    wide.press("\r")  # the same session, and what runs in it
    wide.until_shown("epoch 1:")
    wide.press("\x03")
    wide.until_shown("^C")
    wide.press("hostname\r")
    wide.until_shown("\ngpu-01 ")
    wide.press("exit\r")
    wide.until_shown("5/6 nodes")
    wide.press("q")
    assert wide.wait() == 0
    assert "Traceback" not in wide.raw
    until(desk.is_clean)
    assert list(desk.home.iterdir()) == [], "not even what was open is remembered"


def test_sessions_and_their_tails_and_containers(desk: Desk, wide: Terminal) -> None:
    wide.until_shown("5/6 nodes")
    wide.press("22")  # the second one goes into the list
    wide.until_shown("docker 28.3 (simulated)")
    wide.until_shown("E hop as")
    wide.press("\r")
    wide.until_shown("root@a56abf3f5be7")  # in the container
    wide.press("\x1dd")
    wide.until_shown("it runs on")
    wide.press("33")
    wide.until_shown("WIN/PANES")
    wide.until_shown("it/s")
    wide.press("t")
    wide.until_shown("Which pane of lora")
    wide.press("\r")
    wide.until_shown("live")
    wide.until_shown("it/s, loss=")
    wide.press("\x1b")
    wide.until_shown("SESSION")
    wide.press("n")
    wide.until_shown("from which template?")
    wide.press("\r")
    wide.until_shown("New container on gpu-01")
    wide.until_shown("docker run -d")
    wide.hang_up()
    until(desk.is_clean)


# The command line


def run(desk: Desk, *argv: str) -> tuple[int | None, str, str]:
    with desk.start(*argv) as process:
        output, errors = process.communicate(timeout=60)
    assert desk.is_clean()
    return process.returncode, output, errors


def test_lists_of_containers_and_sessions(desk: Desk) -> None:
    status, output, _ = run(desk, "sessions", "gpu-01", "--json")
    assert status == 0
    assert "lora" in [each["name"] for each in json.loads(output)["nodes"][0]["sessions"]]
    status, output, _ = run(desk, "containers", "lab-a", "--json")
    assert status == 0
    assert "vllm-prod" in output


def test_a_run_and_a_command_in_a_container(desk: Desk) -> None:
    status, output, errors = run(desk, "run", "pytorch", "gpu-01", "--gpus", "6,")
    assert (status, "running on gpu-01" in output, "simulated" in errors) == (0, True, True)
    status, output, _ = run(desk, "hop", "gpu-01/jonas-lora", "--", "hostname")
    assert (status, output) == (0, "a56abf3f5be7\n")
    status, output, errors = run(desk, "hop", "gpu-01", "--", "touch", "ran")
    assert (status, "simulated" in output + errors) == (127, True)
    assert list(desk.home.iterdir()) == []


def test_a_container_is_entered_by_its_own_sshd(desk: Desk) -> None:
    status, output, errors = run(desk, "hop", "--ssh", "lab-a/tomas-dev", "--", "whoami")
    assert (status, output, errors) == (0, "root\n", "")


def test_real_shells_only_where_they_are_asked_for(desk: Desk) -> None:
    """And they end with the demo, tmux and all."""
    argv = [sys.executable, "-m", "gpuhop_tui", "--demo-shells", "hop", "gpu-01"]
    environment = {**desk.environment, "LANG": "C.UTF-8", "SHELL": "/bin/sh"}
    terminal = Terminal(argv, environment, (100, 24))
    try:
        terminal.until_shown("$" if os.getuid() else "#")
        terminal.press("echo $((6*7)) $HOME; sleep 9999 &\r")
        terminal.until_shown(f"42 {desk.home}")
        terminal.press("\x1dd")
        assert terminal.wait() == 0
        until(desk.is_clean)
    finally:
        terminal.close()


async def test_real_shells_are_for_the_apps_own_hops_alone(tmp_path: Path) -> None:
    servers = await DemoServers.start(shells=True)
    try:
        hop = attach_command(HopTarget(), (80, 24), create=True, lend=False)
        async with connect(servers, "edge") as bastion, connect_node(servers, bastion) as node:
            for command in (f"touch {tmp_path}/ran", f"{hop}; touch {tmp_path}/ran"):
                done = await node.run(command, stdin=asyncssh.DEVNULL)
                assert done.exit_status in (126, 127)
    finally:
        await servers.close()
    assert list(tmp_path.iterdir()) == []
