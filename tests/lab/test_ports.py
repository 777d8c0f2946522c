"""Ports of a real node behind its bastion: found by themselves, forwarded, and there again."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpuhop_tui.config.ssh_export import Door
from gpuhop_tui.fleet.editor import EditorError, way_in, write
from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.fleet.ports.model import Listener, Wanted
from gpuhop_tui.fleet.ports.node import Forward, NodePorts, wanted_for
from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh import port_forward
from gpuhop_tui.ssh.port_forward import ForwardState
from gpuhop_tui.ssh.status import LinkState
from tests.lab.dashboard import dashboard
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.driving import fleet_of, fleet_reached
from tests.lab.fixtures import require_lab
from tests.lab.machine import Machine, Spec
from tests.lab.waiting import await_until, wait_until
from tests.lab.world import World

# A server by any name: it says which path was asked for, and can be talked to half-closed.
SERVER = """\
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline()
        if line.startswith(b"GET"):
            body = line.split()[1]
            head = b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
            self.wfile.write(head + body)
        else:
            count = len(line) + len(self.rfile.read())  # until its end
            self.wfile.write(b"%d" % count)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
port = next(int(w.partition("=")[2]) for w in sys.argv if w.startswith("--port="))
Server(("0.0.0.0" if "--ip=0.0.0.0" in sys.argv else "127.0.0.1", port), Handler).serve_forever()
"""
# The same in a container that has busybox alone.
INSIDE = """\
p=${1#--port=}
while true; do
 nc -l -p "$p" -e sh -c 'read -r _ path _; printf "HTTP/1.0 200 OK\r\n\r\n%s" "$path"'
done
"""
RUNTIME_FILE = """\
d=$HOME/.local/share/jupyter/runtime
mkdir -p "$d"
echo '{"port": 8888, "pid": 1, "base_url": "/", "token": "inside"}' >"$d/jpserver-1.json"
"""


@pytest.fixture(scope="module")
def ports_world() -> Iterator[World]:
    require_lab()
    strict = Spec("gpu-02", via="bastion", sshd={"AllowTcpForwarding": "no"})
    with World(nodes=[Spec("gpu-01", via="bastion"), strict]) as world:
        for node in world.nodes:
            node.write("jupyter-lab", SERVER)
            node.write("tensorboard", SERVER)
        known_hosts = world.laptop.known_hosts
        world.laptop.write_ssh_config(f"Host *\n  UserKnownHostsFile {known_hosts}\n")
        yield world


@contextmanager
def serving(node: Machine, name: str, port: int, *options: str) -> Iterator[None]:
    """A server of the login user's."""
    command = node.as_user(["python3", f"/home/{node.user}/{name}", f"--port={port}", *options])
    process = node.popen(command, stdin=subprocess.DEVNULL)
    try:
        wait_until(
            lambda: node.run(["nc", "-z", "127.0.0.1", str(port)], check=False).returncode == 0,
            f"{name} to listen",
        )
        yield
    finally:
        for pid in node.processes():
            words = Path(f"/proc/{pid}/cmdline")
            if words.exists() and f"--port={port}".encode() in words.read_bytes():
                _kill(pid)
        process.wait(10)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def connected(fleet: Fleet, name: str) -> NodePorts:
    await fleet_reached(
        fleet, lambda state: state.node(name).link.state is LinkState.UP, f"{name} up"
    )
    ports = fleet.ports(name)
    assert ports is not None
    return ports


async def found(ports: NodePorts, port: int) -> Listener:
    await ports.look()
    assert ports.problem is None, ports.problem
    return next(each for each in ports.listeners or () if each.port == port)


async def fetch(forward: Forward, path: str = "/") -> str:
    """The body of a page through the forward; empty where the connection ends without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", forward.local_port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return (await reader.read()).decode().rpartition("\r\n\r\n")[2]
    except ConnectionError:
        return ""
    finally:
        writer.close()


async def test_found_forwarded_and_there_again_after_a_cut(
    ports_world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(port_forward, "PATIENCE_SECONDS", 40.0)
    node, laptop = ports_world["gpu-01"], ports_world.laptop
    runtime = {"port": 8899, "pid": 1, "base_url": "/mine/", "token": "sesame", "secure": False}
    node.write(".local/share/jupyter/runtime/jpserver-1.json", json.dumps(runtime), 0o600)
    with serving(node, "jupyter-lab", 8899), serving(node, "tensorboard", 6116):
        async with fleet_of(laptop) as fleet:
            ports = await connected(fleet, "gpu-01")
            board, jupyter = await found(ports, 6116), await found(ports, 8899)
            assert (board.program, board.whose, board.user) == ("TensorBoard", "own", "researcher")
            assert (board.address, board.host) == ("127.0.0.1", "127.0.0.1")
            assert (jupyter.service, jupyter.page) == ("jupyter", "/mine/?token=sesame")

            with socket.create_server(("127.0.0.1", 8899)):  # somebody else has it here
                forward = ports.begin(wanted_for(jupyter, 8899))
            assert (forward.local_port, forward.taken) == (8900, 8899)
            url = f"http://127.0.0.1:8900{jupyter.page}"
            assert forward.url(ports.listener_of(forward)) == url
            assert fleet.state.forwarded_ports == 1
            assert await fetch(forward, jupyter.page) == jupyter.page
            await many(forward)
            await half_closed(forward)

            laptop.cut(ports_world.bastion)
            await await_until(lambda: forward.state is ForwardState.WAITING, "the loss")
            waiting = asyncio.create_task(fetch(forward, "/waited"))
            await await_until(lambda: forward.port.connections == 1, "the connection")
            laptop.heal()
            assert await waiting == "/waited"
            assert await fetch(forward, "/again") == "/again"
            assert forward.state is ForwardState.READY
            await ports.end(forward)
            assert fleet.state.forwarded_ports == 0
            with pytest.raises(ConnectionRefusedError):
                await fetch(forward)
    assert "sesame" not in caplog.text


async def many(forward: Forward) -> None:
    paths = [f"/{number}" for number in range(40)]
    assert await asyncio.gather(*(fetch(forward, path) for path in paths)) == paths
    await await_until(lambda: forward.port.connections == 0, "the end of all")


async def half_closed(forward: Forward) -> None:
    """The end of what is sent reaches the server, and its answer comes back all the same."""
    reader, writer = await asyncio.open_connection("127.0.0.1", forward.local_port)
    sent = forward.port.sent_bytes
    writer.write(b"x" * 300_000)
    writer.write_eof()
    assert await reader.read() == b"300000"
    assert forward.port.sent_bytes - sent == 300_000
    writer.close()


async def test_a_lost_link_breaks_an_answer_off_and_never_ends_it(
    ports_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, laptop = ports_world["gpu-01"], ports_world.laptop
    with serving(node, "tensorboard", 6117):
        async with fleet_of(laptop) as fleet:
            ports = await connected(fleet, "gpu-01")
            forward = ports.begin(Wanted("127.0.0.1", 6117, 0))
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.local_port)
            writer.write(b"half a line")
            await await_until(lambda: forward.port.sent_bytes == 11, "the bytes to be on their way")
            node.sshd.drop_connections()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

            monkeypatch.setattr(port_forward, "PATIENCE_SECONDS", 0.1)
            node.sshd.stop()
            node.sshd.drop_connections()
            await await_until(lambda: forward.state is ForwardState.WAITING, "the loss")
            assert await fetch(forward) == ""  # nobody waits for ever
            assert forward.problem is not None
            node.sshd.start()
            fleet.retry("gpu-01")
            await await_until(lambda: forward.state is ForwardState.READY, "the link to be back")
            assert await fetch(forward, "/again") == "/again"


async def test_why_a_connection_is_refused(
    ports_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_forward, "PATIENCE_SECONDS", 0.2)
    async with fleet_of(ports_world.laptop) as fleet:
        strict, free = await connected(fleet, "gpu-02"), await connected(fleet, "gpu-01")
        forbidden = strict.begin(Wanted("127.0.0.1", 22, 0))
        problem = await forbidden.port.check()
        assert problem is not None
        assert problem.kind is ErrorKind.FORWARDING_DENIED
        assert "AllowTcpForwarding" in problem.advice
        assert (forbidden.state, await fetch(forbidden)) == (ForwardState.REFUSED, "")
        await strict.look()
        assert strict.problem is None  # a session is all that a look needs

        nobody = free.begin(Wanted("127.0.0.1", 7777, 0))
        assert await fetch(nobody) == ""
        assert nobody.problem is not None
        assert "nothing listens at 127.0.0.1:7777 of gpu-01" in nobody.problem.message


async def test_saved_forwards_come_back_at_the_next_start(ports_world: World) -> None:
    node, laptop = ports_world["gpu-01"], ports_world.laptop
    with serving(node, "jupyter-lab", 8898, "--IdentityProvider.token=sesame"):
        async with fleet_of(laptop) as fleet:
            ports = await connected(fleet, "gpu-01")
            jupyter = await found(ports, 8898)
            assert jupyter.page == "/?token=sesame"
            assert "sesame" not in jupyter.command
            forward = ports.begin(wanted_for(jupyter, 8898))
            await ports.keep(forward, True)
            ports.begin(wanted_for(jupyter, 8897))  # not kept
        kept = laptop.home / ".local" / "state" / "gpuhop-tui" / "ports.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert "sesame" not in kept.read_text()
        async with fleet_of(laptop) as fleet:
            await fleet.restore_ports()  # before the link is up
            ports = fleet.ports("gpu-01")
            assert ports is not None
            [again] = ports.forwards
            assert (again.saved, again.local_port) == (True, 8898)
            assert await fetch(again, "/back") == "/back"
            await ports.end(again)
        assert json.loads(kept.read_text()) == {}


async def test_servers_in_containers(docker_world: DockerWorld) -> None:
    """What a container publishes, and what only it has: reached at its own address, by its name."""
    world, docker = docker_world.world, docker_world.dockerd
    docker.docker("run", "-d", "--name", "nb", "-p", "127.0.0.1:8877:8888", "base:1", "sh", "-c",
                  f"{RUNTIME_FILE}{INSIDE}", "jupyter-lab", "--port=8888")  # fmt: skip
    docker.docker("run", "-d", "--name", "apart", "base:1", "sh", "-c", INSIDE, "-", "--port=9999")
    async with fleet_of(world.laptop) as fleet:
        ports = await connected(fleet, "gpu-01")

        async def seen() -> list[Listener]:
            await ports.look()
            return [each for each in ports.listeners or () if each.container in ("nb", "apart")]

        async def both_seen() -> list[Listener]:
            each = await seen()
            return each if {one.container for one in each} == {"nb", "apart"} else []

        both = await await_until(both_seen, "servers in containers")
        published = next(each for each in both if each.container == "nb")
        apart = next(each for each in both if each.container == "apart")
        assert (published.port, published.inside_port) == (8877, 8888)
        assert (published.program, published.page) == ("Jupyter", "/?token=inside")
        assert apart.direct
        assert apart.host == docker.inspect("apart")["NetworkSettings"]["IPAddress"]
        forward = ports.begin(wanted_for(published, 0))
        assert await fetch(forward, "/published") == "/published"
        inner = ports.begin(wanted_for(apart, 0))
        assert await fetch(inner, "/inside") == "/inside"
        docker.docker("rm", "-f", "apart")
        ports._boxes_at = float("-inf")
        assert await fetch(inner) == ""
        assert inner.problem is not None
        assert "no container apart runs on gpu-01" in inner.problem.message


async def test_vs_code_is_told_the_way_once_ssh_knows_it(ports_world: World) -> None:
    laptop = ports_world.laptop
    before = (laptop.ssh_dir / "config").read_text()
    door = Door("gpu-01", "devbox", 2222, user="mira")
    try:
        with laptop.entered():
            way = await way_in(laptop.config_path, "gpu-01", [door])
            assert (way.host, way.known, way.leaving) == ("gpu-01", False, ())
            assert any("Include" in each for each in write(way).changes)
            inside = await way_in(laptop.config_path, "gpu-01/devbox", [door])
            assert (inside.host, inside.known) == ("gpu-01-devbox", True)
            assert laptop.run(["ssh", "gpu-01", "hostname"]).stdout == "gpu-01\n"
            other = await way_in(laptop.config_path, "gpu-02")
            assert (other.known, other.leaving) == (True, ("gpu-01-devbox",))
            elsewhere = "Host gpu-02\n  HostName 10.9.9.9\n"  # the user's own, and another way
            (laptop.ssh_dir / "config").write_text(elsewhere)
            assert not (await way_in(laptop.config_path, "gpu-02")).known
            with pytest.raises(EditorError, match="not in the config"):
                await way_in(laptop.config_path, "gpu-01/gone")
    finally:
        (laptop.ssh_dir / "config").write_text(before)


def test_from_the_dashboard(ports_world: World) -> None:
    node, laptop = ports_world["gpu-01"], ports_world.laptop
    said = laptop.home / "said"
    program = laptop.home / "bin" / "code"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nprintf "%s " "$@" >{said}\n')
    program.chmod(0o755)
    with serving(node, "tensorboard", 6118), dashboard(ports_world) as terminal:
        terminal.shows("gpu-01", "2/2 nodes")
        terminal.shows("gpu-01 .*via bastion")
        terminal.press("p")
        terminal.shows("Ports of gpu-01", "6118 +TensorBoard +researcher")
        terminal.press("Enter")
        terminal.shows("no browser of a desktop", "http://127.0.0.1:6118/")
        terminal.press("Escape")
        terminal.shows("1 forwarded", "→ 6118", "ready")
        page = laptop.run(["curl", "-s", "http://127.0.0.1:6118/hello"])
        assert page.stdout == "/hello"
        terminal.shows("↑.*↓")
        terminal.press("Escape")
        terminal.shows("1 port ")
        terminal.press("v")
        terminal.shows("VS Code on gpu-01", "Which folder")
        terminal.press("-l", "~/runs")
        terminal.press("Enter")
        terminal.shows("Make gpu-01 known to ssh", "gpuhop-tui.conf", "one Include line")
        terminal.press("y")
        wait_until(lambda: said.exists() and said.read_text(), "the editor")
        assert said.read_text() == "--remote ssh-remote+gpu-01 /home/researcher/runs "
        terminal.press("q")
