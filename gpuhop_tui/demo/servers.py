"""The demo's SSH servers: bastions on loopback, and nodes that only a bastion leads to.

A node has no port: its bastion hands it each connection over a socket pair, so that nobody else on
this machine, and no way around the bastion, reaches it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh

from gpuhop_tui.demo.pipes import Reader, Writer, join
from gpuhop_tui.demo.scenario import DemoBastion, DemoNode
from gpuhop_tui.probe.delivery import probe_command

_OPTIONS: dict[str, Any] = {"encoding": None, "line_editor": False, "agent_forwarding": False}


class NodeServer:
    """One node: it lets the demo's key in, and runs the probe with simulated GPUs."""

    def __init__(self, node: DemoNode, key: asyncssh.SSHKey, home: Path) -> None:
        self.node = node
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._clients = _authorized(key)
        self._home = home

    async def talk(self, near: tuple[Reader, Writer], delay: float) -> None:
        """Serve one connection whose bytes come and go by `near`."""
        ours, theirs = socket.socketpair()
        far = await asyncio.open_connection(sock=theirs)
        serving = asyncio.ensure_future(
            _serve(
                ours,
                server_host_keys=[self.host_key],
                authorized_client_keys=self._clients,
                process_factory=self._run,
                **_OPTIONS,
            )
        )
        try:
            await join(near, far, delay)
        finally:
            serving.cancel()

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run the probe as sshd does: by a shell, for as long as the channel. Nothing else is run:
        it would run on the user's own machine."""
        command = process.command
        if command is None or not _is_probe(command):
            process.stderr.write(b"The demo's nodes run nothing but the probe.\n")
            process.exit(126)
            return
        child = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            command,
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
            await ended

    def _environment(self) -> dict[str, str]:
        """A login's environment, with this very Python first, so that a node always has one."""
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._home),
            "XDG_CACHE_HOME": str(self._home / ".cache"),
            "USER": self.node.user,
            "LOGNAME": self.node.user,
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "GPUHOP_SIMULATED": json.dumps(self.node.spec),
        }


class BastionServer:
    """One bastion: forwards to its nodes and to nothing else, and runs nothing."""

    def __init__(self, bastion: DemoBastion, key: asyncssh.SSHKey, nodes: list[NodeServer]) -> None:
        self.bastion = bastion
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._clients = _authorized(key)
        self._nodes = {(each.node.host, each.node.port): each for each in nodes}

    async def listen(self) -> asyncio.Server:
        """Start listening at a free port of 127.0.0.1."""
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled only when all ends; asyncio of Python 3.11 logs that as an error.
        with suppress(asyncio.CancelledError):
            await self._talk((reader, writer))

    async def _talk(self, near: tuple[Reader, Writer]) -> None:
        ours, theirs = socket.socketpair()
        far = await asyncio.open_connection(sock=theirs)
        serving = asyncio.ensure_future(
            _serve(
                ours,
                server_factory=lambda: _Forwarding(self._nodes),
                server_host_keys=[self.host_key],
                authorized_client_keys=self._clients,
                process_factory=_refuse_commands,
                **_OPTIONS,
            )
        )
        try:
            await join(near, far, self.bastion.delay)
        finally:
            serving.cancel()


class _Forwarding(asyncssh.SSHServer):
    """Answers direct-tcpip requests (RFC 4254, section 7.2) by handing them to a node."""

    def __init__(self, nodes: dict[tuple[str, int], NodeServer]) -> None:
        self._nodes = nodes

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        server = self._nodes.get((dest_host, dest_port))
        if server is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "No route to host")
        if server.node.spec is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")

        async def hand_over(reader: Any, writer: Any) -> None:
            await server.talk((reader, writer), server.node.delay)

        return hand_over


async def _serve(sock: socket.socket, **options: Any) -> None:
    """One SSH connection on a connected socket, until it is closed. A failed login just ends."""
    with suppress(OSError, asyncssh.Error):
        connection = await asyncssh.run_server(sock, **options)
        await connection.wait_closed()


def _is_probe(command: str) -> bool:
    """Whether this is the probe's command; only numbers in it (the interval) may differ."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    probe = shlex.split(probe_command())
    return len(words) == len(probe) and all(
        word == expected or re.fullmatch(r"[\d.]+", word)
        for word, expected in zip(words, probe, strict=True)
    )


async def _refuse_commands(process: asyncssh.SSHServerProcess[bytes]) -> None:
    process.stderr.write(b"This account only forwards.\n")
    process.exit(1)


def _authorized(key: asyncssh.SSHKey) -> asyncssh.SSHAuthorizedKeys:
    return asyncssh.import_authorized_keys(key.export_public_key().decode())
