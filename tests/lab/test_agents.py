"""Agents: what OpenSSH's refuses a server that it is lent to, and agents of other makers."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from gpuhop_tui.config.hops import Route
from gpuhop_tui.ssh import session_bind
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.key_files import KeyRing
from gpuhop_tui.ssh.known_hosts import KnownHosts
from gpuhop_tui.ssh.login import LoggedIn, LoginContext, log_in
from gpuhop_tui.ssh.prompts import NoPrompter
from gpuhop_tui.ssh.session_bind import SessionBind
from tests.lab import agent as openssh
from tests.lab import keys
from tests.lab.driving import hop_to, network_of, up
from tests.lab.fixtures import require_lab
from tests.lab.foreign_agent import EXTENSION, LIST, SIGN, ForeignAgent, Habit, SoftKey, string
from tests.lab.world import World

SUCCESS, FAILURE, EXTENSION_FAILURE = 6, 5, 28
ADD_SMARTCARD_KEY = 20


@pytest.fixture(scope="module")
def door() -> Iterator[World]:
    """A laptop and two servers beside it."""
    require_lab()
    with World(2, nodes=0) as world:
        yield world


async def logged_in(world: World, name: str, **options: Any) -> LoggedIn:
    """One login with the laptop's agent; to be called on the laptop (`entered`)."""
    agent = Agent.from_environment()
    lent_socket = options.pop("lent_socket", None)
    hop = hop_to(world.laptop, world[name].sshd, **options)
    prompter = NoPrompter()
    context = LoginContext(prompter, agent, KeyRing(prompter, agent, None), KnownHosts())
    return await log_in((hop,), None, context, lent_socket=lent_socket)


# OpenSSH's agent


class Talk:
    """A connection to an agent, request by request."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(path))

    def __call__(self, message: bytes) -> bytes:
        self._socket.sendall(string(message))
        return self._take(int.from_bytes(self._take(4), "big"))

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            assert piece, "the agent has hung up"
            data += piece
        return data

    def close(self) -> None:
        self._socket.close()


@contextmanager
def talk(path: Path) -> Iterator[Talk]:
    conversation = Talk(path)
    try:
        yield conversation
    finally:
        conversation.close()


@contextmanager
def agent_of_openssh(world: World, *options: str) -> Iterator[openssh.Agent]:
    agent = openssh.Agent(world.laptop, world.directory / "another")
    agent.start(*options)
    try:
        yield agent
    finally:
        agent.stop()


async def bind_of(world: World, name: str) -> SessionBind:
    with world.laptop.entered():
        login = await logged_in(world, name)
        login.connection.close()
        await login.connection.wait_closed()
    assert login.bind is not None
    return login.bind


async def test_a_bind_is_taken_once_and_only_unchanged(door: World) -> None:
    bind = await bind_of(door, "bastion-1")
    other = await bind_of(door, "bastion-2")
    forged = SessionBind(other.host_key, bind.session_id, bind.signature)
    with agent_of_openssh(door) as agent, talk(agent.socket) as ask:
        assert ask(forged.request(forwarding=False))[0] in (FAILURE, EXTENSION_FAILURE)
        assert ask(bind.request(forwarding=False))[0] == SUCCESS
        assert ask(other.request(forwarding=False))[0] in (FAILURE, EXTENSION_FAILURE)


async def test_what_is_lent_loads_no_provider(door: World) -> None:
    """A provider is a library that the agent loads and runs. Bound for forwarding, it does not."""
    bind = await bind_of(door, "bastion-1")
    proof = door.directory / "provider-was-run"
    provider = _provider(door.directory, proof)
    add = bytes([ADD_SMARTCARD_KEY]) + string(str(provider).encode()) + string(b"")
    with agent_of_openssh(door, "-P", f"{door.directory}/*") as agent:
        with talk(agent.socket) as lent:
            assert lent(bind.request(forwarding=True))[0] == SUCCESS
            assert lent(add)[0] == FAILURE
        assert not proof.exists()
        with talk(agent.socket) as own:  # as asyncssh lends it
            own(add)
        assert proof.exists()


def _provider(directory: Path, proof: Path) -> Path:
    """A library that leaves a file where it is loaded."""
    source, library = directory / "provider.c", directory / "provider.so"
    source.write_text(
        "#include <stdio.h>\n"
        "__attribute__((constructor)) static void run(void) {\n"
        f'    FILE *proof = fopen("{proof}", "w");\n'
        "    if (proof) fclose(proof);\n"
        "}\n"
        "int C_GetFunctionList(void **functions) { (void)functions; return 1; }\n"  # as PKCS#11
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    return library


@pytest.mark.parametrize("bound", [True, False])
async def test_a_lent_key_for_certain_hosts_signs_onward_where_it_is_bound(
    door: World, bound: bool
) -> None:
    """`ssh-add -h first -h 'first>second'`: the first server may use it for the second."""
    first, second = (machine.address for machine in door.bastions)
    held = keys.generate(door.directory / f"onward-{bound}")
    for machine in door.bastions:
        machine.authorize(door.laptop.key.public, held.public)
    with agent_of_openssh(door) as agent:
        known = str(door.laptop.known_hosts)
        agent.add(held, "-H", known, "-h", first, "-h", f"{first}>{second}")
        lent = door.directory / "lent"
        with door.laptop.entered():
            login = await logged_in(door, "bastion-1", lent_socket=str(lent))
            server = await _lend(lent, agent.socket, login.bind if bound else None)
            onward = f"ssh -o StrictHostKeyChecking=no -o BatchMode=yes {second} hostname"
            async with server, login.connection as connection:
                done = await connection.run(onward, stdin=asyncssh.DEVNULL, encoding="utf-8")
    assert (done.stdout == "bastion-2\n") is bound, done.stderr


async def _lend(path: Path, agent: Path, bind: SessionBind | None) -> asyncio.Server:
    """What is lent: connections to the agent that are bound first, as ssh(1) does."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_agent, to_agent = await asyncio.open_unix_connection(agent)
        if bind is not None:
            to_agent.write(string(bind.request(forwarding=True)))
            length = int.from_bytes(await from_agent.readexactly(4), "big")
            assert await from_agent.readexactly(length) == bytes([SUCCESS])
        await asyncio.gather(pump(reader, to_agent), pump(from_agent, writer))

    path.unlink(missing_ok=True)
    return await asyncio.start_unix_server(serve, path)


# Agents of other makers


def authorized(key: SoftKey) -> str:
    import base64

    return f"{key.algorithm.decode()} {base64.b64encode(key.blob).decode()} foreign"


@pytest.mark.parametrize("application", [b"", b"ssh:"], ids=["plain", "security key"])
@pytest.mark.parametrize("habit", ["refuses", "hangs up", "is silent"])
async def test_an_agent_that_only_lists_and_signs(
    door: World, application: bytes, habit: Habit, monkeypatch: pytest.MonkeyPatch
) -> None:
    if habit == "is silent":
        monkeypatch.setattr(session_bind, "BIND_SECONDS", 0.2)
    key = SoftKey(application)
    machine = door.bastions[1]
    machine.authorize(door.laptop.key.public, authorized(key))
    with ForeignAgent(door.directory / "foreign", key, habit=habit) as agent:
        route = Route((hop_to(door.laptop, machine.sshd, identity_agent=str(agent.socket)),))
        async with network_of(door.laptop) as network:
            await up(network.link(route))
        assert agent.requests == [EXTENSION, LIST, SIGN]
