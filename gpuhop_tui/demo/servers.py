"""The demo's SSH servers: bastions on loopback, and nodes that only a bastion leads to.

A node has no port: its bastion hands it each connection over a socket pair, so that nobody else on
this machine, and no way around the bastion, reaches it. Its engine has no socket either: a request
for one (direct-streamlocal@openssh.com, OpenSSH PROTOCOL section 2.4) is answered in here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh

from gpuhop_tui.demo import ports
from gpuhop_tui.demo.engine.container import Container
from gpuhop_tui.demo.local_shells import LocalShells
from gpuhop_tui.demo.login import Login
from gpuhop_tui.demo.machine import DOCKER_SOCKET, Machine
from gpuhop_tui.demo.pipes import Reader, Writer, join
from gpuhop_tui.demo.scenario import DemoBastion, DemoNode

_KILLED_SECONDS = 0.5  # for the end of a process that was killed to be noticed
_OPTIONS: dict[str, Any] = {"encoding": None, "line_editor": False, "agent_forwarding": False}


class NodeServer:
    """One node: it lets the demo's key in, and answers for a machine that is simulated."""

    def __init__(
        self,
        node: DemoNode,
        key: asyncssh.SSHKey,
        home: Path,
        shells: LocalShells | None = None,
    ) -> None:
        """`shells`: real ones, for hops."""
        self.node = node
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._clients = _authorized(key)
        self._home = home
        self.machine = Machine(node, home) if node.spec is not None else None
        self._login: Login | None = None
        if self.machine is not None:
            self.machine.make_host_keys()
            self._login = Login(self.machine, self.machine.seat, self._run_probe, shells)

    async def talk(self, near: tuple[Reader, Writer], delay: float) -> None:
        """Serve one connection whose bytes come and go by `near`."""
        assert self.machine is not None
        assert self._login is not None
        machine, login = self.machine, self._login
        await _serve_joined(
            near,
            delay,
            server_factory=lambda: _NodeForwarding(self, machine),
            server_host_keys=[self.host_key],
            authorized_client_keys=self._clients,
            process_factory=login.serve,
        )

    async def talk_to_container(
        self, container: Container, near: tuple[Reader, Writer], delay: float
    ) -> None:
        """Serve one connection to a container's own SSH server, through its port of the node."""
        assert self.machine is not None
        login = Login(self.machine, self.machine.seat_in(container))
        await _serve_joined(
            near,
            delay,
            server_host_keys=[self.machine.host_key(container)],
            authorized_client_keys=self._clients,
            process_factory=login.serve,
        )

    async def _run_probe(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run the probe as sshd does: by a shell, for as long as the channel. It is the only
        command that is run: it would run on the user's own machine."""
        child = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            process.command or "",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
            cwd=self._home,
            start_new_session=True,
        )
        ended = asyncio.ensure_future(child.wait())
        closed = asyncio.ensure_future(process.channel.wait_closed())
        try:
            await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
            await asyncio.wait({ended, closed}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await process.stdout.drain()
                process.exit(max(ended.result(), 0))
        finally:
            closed.cancel()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            # asyncio waits for its pipes too, and one that nobody reads from may stay open.
            await asyncio.wait({ended}, timeout=_KILLED_SECONDS)
            ended.cancel()

    def _environment(self) -> dict[str, str]:
        """A login's environment, with this very Python first, so that a node always has one."""
        assert self.machine is not None
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._home),
            "XDG_CACHE_HOME": str(self._home / ".cache"),
            "USER": self.node.user,
            "LOGNAME": self.node.user,
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "GPUHOP_SIMULATED": str(self.machine.gpus.path),
        }


class BastionServer:
    """One bastion: forwards to its nodes and to nothing else, and runs nothing."""

    def __init__(self, bastion: DemoBastion, key: asyncssh.SSHKey, nodes: list[NodeServer]) -> None:
        self.bastion = bastion
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._clients = _authorized(key)
        self._nodes = {each.node.host: each for each in nodes}

    async def listen(self) -> asyncio.Server:
        """Start listening at a free port of 127.0.0.1."""
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled only when all ends; asyncio of Python 3.11 logs that as an error.
        with suppress(asyncio.CancelledError):
            await self._talk((reader, writer))

    async def _talk(self, near: tuple[Reader, Writer]) -> None:
        await _serve_joined(
            near,
            self.bastion.delay,
            server_factory=lambda: _Forwarding(self._nodes),
            server_host_keys=[self.host_key],
            authorized_client_keys=self._clients,
            process_factory=_refuse_commands,
        )


class _NodeForwarding(asyncssh.SSHServer):
    """A node's own sockets: its engine's, and the ports of containers with an SSH server."""

    def __init__(self, node: NodeServer, machine: Machine) -> None:
        self._node, self._machine = node, machine

    def unix_connection_requested(self, dest_path: str) -> Any:
        api = self._machine.api
        if dest_path != DOCKER_SOCKET or api is None or not self._machine.may_use_docker:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")

        async def serve(reader: Any, writer: Any) -> None:
            with suppress(OSError, asyncssh.Error):
                await api.serve(reader, writer)

        return serve

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        container = ports.at(self._machine, dest_host, dest_port)
        if container is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")

        async def hand_over(reader: Any, writer: Any) -> None:
            if container.has_sshd:
                await self._node.talk_to_container(container, (reader, writer), 0.0)
            else:
                with suppress(asyncssh.Error):
                    await ports.show_page(container, reader, writer)

        return hand_over


class _Forwarding(asyncssh.SSHServer):
    """Answers direct-tcpip requests (RFC 4254, section 7.2) by handing them to a node."""

    def __init__(self, nodes: dict[str, NodeServer]) -> None:
        self._nodes = nodes

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        server = self._nodes.get(dest_host)
        if server is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "No route to host")
        machine, delay = server.machine, server.node.delay
        container = machine.ssh_container(dest_port) if machine is not None else None
        if machine is None or (dest_port != server.node.port and container is None):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")

        async def hand_over(reader: Any, writer: Any) -> None:
            if container is not None:
                await server.talk_to_container(container, (reader, writer), delay)
            else:
                await server.talk((reader, writer), delay)

        return hand_over


async def _serve_joined(near: tuple[Reader, Writer], delay: float, **options: Any) -> None:
    """One SSH connection whose bytes come and go by `near`, each `delay` seconds late."""
    ours, theirs = socket.socketpair()
    far = await asyncio.open_connection(sock=theirs)
    serving = asyncio.ensure_future(_serve(ours, **options, **_OPTIONS))
    try:
        await join(near, far, delay)
    finally:
        serving.cancel()


async def _serve(sock: socket.socket, **options: Any) -> None:
    """One SSH connection on a connected socket, until it is closed. A failed login just ends."""
    with suppress(OSError, asyncssh.Error):
        connection = await asyncssh.run_server(sock, **options)
        await connection.wait_closed()


async def _refuse_commands(process: asyncssh.SSHServerProcess[bytes]) -> None:
    process.stderr.write(b"This account only forwards.\n")
    process.exit(1)


def _authorized(key: asyncssh.SSHKey) -> asyncssh.SSHAuthorizedKeys:
    return asyncssh.import_authorized_keys(key.export_public_key().decode())
