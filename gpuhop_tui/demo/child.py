"""The process of the demo's servers and agent: `python -m gpuhop_tui.demo.child`.

It prints one line of JSON when all is ready, and ends when its standard input does: so it never
outlives the program that started it, however that ends, and its temporary directory goes with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncssh

from gpuhop_tui.demo.agent import DemoAgent
from gpuhop_tui.demo.local_shells import SHELLS_VARIABLE, LocalShells
from gpuhop_tui.demo.scenario import BASTIONS, DemoNode
from gpuhop_tui.demo.servers import BastionServer, NodeServer

# asyncio's start of a process, cancelled, kills it and then waits for pipes that nobody has opened:
# only cancelled again does it end.
_TIMES_TO_CANCEL = 5
_SECONDS_TO_CANCEL = 0.3


async def main() -> None:
    """Serve until standard input ends or a signal comes."""
    logging.getLogger("asyncssh").addHandler(logging.NullHandler())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stdin = sys.stdin.fileno()

    def heard() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stop.set()

    loop.add_reader(stdin, heard)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    with _directory() as name:
        async with AsyncExitStack() as stack:
            ready = await _serve(Path(name), stack)
            print(json.dumps(ready), flush=True)
            await stop.wait()
        await _end_tasks()


def _directory() -> tempfile.TemporaryDirectory[str]:
    """A private one (0700) whose name leaves room for a socket's: unix(7) allows 108 bytes."""
    where = tempfile.gettempdir()
    return tempfile.TemporaryDirectory(
        prefix="gpuhop-demo-",
        dir=where if len(os.fsencode(where)) < 70 else "/tmp",
        ignore_cleanup_errors=True,
    )


async def _serve(directory: Path, stack: AsyncExitStack) -> dict[str, Any]:
    """Start everything in `directory` (0700) and say where it is."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    socket = directory / "agent.sock"
    stack.callback((await DemoAgent(key, "gpuhop demo").serve(socket)).close)
    known_hosts = []
    ports = {}
    for bastion in BASTIONS:
        nodes = []
        for node in bastion.nodes:
            shells = _local_shells(directory, node, stack)
            nodes.append(NodeServer(node, key, _make_home(directory, node), shells))
        server = BastionServer(bastion, key, nodes)
        listener = await server.listen()
        stack.callback(listener.close)
        port = ports[bastion.name] = listener.sockets[0].getsockname()[1]
        known_hosts.append(_known_host("127.0.0.1", port, server.host_key))
        known_hosts += [_known_host(n.node.host, n.node.port, n.host_key) for n in nodes]
    (directory / "known_hosts").write_text("".join(known_hosts))
    return {"directory": str(directory), "agent": str(socket), "ports": ports}


def _make_home(directory: Path, node: DemoNode) -> Path:
    home = directory / node.name
    home.mkdir(mode=0o700)
    return home


def _local_shells(directory: Path, node: DemoNode, stack: AsyncExitStack) -> LocalShells | None:
    """Real shells for a node's hops, where the user wants them; they end with the demo."""
    wanted = os.environ.get(SHELLS_VARIABLE)
    if wanted is None:
        return None
    place = directory / f"{node.name}-shells"
    place.mkdir(mode=0o700)
    shells = LocalShells(place, json.loads(wanted))
    stack.push_async_callback(shells.close)
    return shells


def _known_host(host: str, port: int, key: asyncssh.SSHKey) -> str:
    """A line of known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    name = host if port == 22 else f"[{host}]:{port}"
    return f"{name} {key.export_public_key().decode()}"


async def _end_tasks() -> None:
    """Cancel what still serves, so that each ends its commands, before the directory goes."""
    for _ in range(_TIMES_TO_CANCEL):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_SECONDS_TO_CANCEL)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(1)
