"""Servers that are no SSH servers, or bad ones: named, bounded in time, never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.status import LinkState
from tests.lab.driving import blocked, failed, hop_to, network_of, reached, up
from tests.lab.machine import Spec
from tests.lab.world import World

MakeWorld = Callable[..., World]
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _link(world: World, behaviour: Behaviour) -> AsyncIterator[Link]:
    """A link to a server on the laptop's loopback that behaves so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await behaviour(reader, writer)
        writer.transport.abort()

    async with network_of(world.laptop) as network:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        hop = Hop("odd", "127.0.0.1", port, "researcher", connect_timeout=1.0)
        try:
            yield network.link(Route((hop,)))
        finally:
            server.close()


async def _problem(world: World, behaviour: Behaviour) -> Problem:
    """The first problem; a link that may come back waits, and is not given up."""
    async with _link(world, behaviour) as link:
        problem = await failed(link, seconds=5)
        await reached(link, lambda link: link.status.state is LinkState.WAITING, "waiting", 5)
    assert problem.hop == "odd"
    return problem


async def test_it_closes_at_once(world: World) -> None:
    async def behaviour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    problem = await _problem(world, behaviour)
    assert problem.kind is ErrorKind.OVERLOADED
    assert "MaxStartups" in problem.advice


async def test_it_resets_at_once(world: World) -> None:
    async def behaviour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = writer.get_extra_info("socket")
        linger = struct.pack("ii", 1, 0)  # close() sends RST
        socket.setsockopt(1, 13, linger)  # SOL_SOCKET, SO_LINGER

    problem = await _problem(world, behaviour)
    assert problem.kind is ErrorKind.OVERLOADED


async def test_it_says_nothing(world: World) -> None:
    async def behaviour(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass

    problem = await _problem(world, behaviour)
    assert problem.kind is ErrorKind.TIMEOUT
    assert "SSH banner" in problem.message


async def test_it_is_a_web_server(world: World) -> None:
    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html>no</html>")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    problem = await _problem(world, behaviour)
    assert problem.kind is ErrorKind.OVERLOADED
    assert "is not an SSH server" in problem.advice


async def test_it_talks_garbage_without_end(world: World) -> None:
    async def behaviour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(os.urandom(65536))
            await writer.drain()

    problem = await _problem(world, behaviour)
    assert problem.kind is ErrorKind.REFUSED
    assert "does not speak SSH" in problem.message


async def test_it_stops_after_its_banner(world: World) -> None:
    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-Odd_1.0\r\n")
        while await reader.read(4096):
            pass

    problem = await _problem(world, behaviour)
    assert problem.kind is ErrorKind.TIMEOUT
    assert "key exchange" in problem.message


async def test_it_talks_garbage_after_its_banner(world: World) -> None:
    async def behaviour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-Odd_1.0\r\n" + os.urandom(100_000))
        await writer.drain()
        await asyncio.Event().wait()

    problem = await _problem(world, behaviour)
    assert problem.kind is ErrorKind.REFUSED


async def test_it_speaks_a_protocol_of_the_nineties(world: World) -> None:
    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-1.5-1.2.27\n")
        while await reader.read(4096):
            pass

    problem = await _problem(world, behaviour)
    assert problem.kind is ErrorKind.REFUSED


async def test_no_algorithm_in_common(make_world: MakeWorld) -> None:
    world = make_world(bastions=[Spec("old", sshd={"Ciphers": "aes128-cbc"})], nodes=0)
    async with network_of(world.laptop, retry=False) as network:
        problem = await failed(network.link(Route((hop_to(world.laptop, world.bastion.sshd),))))
    assert problem.kind is ErrorKind.REFUSED
    assert "no common algorithm" in f"{problem.message} {problem.advice}"


async def test_an_old_host_key_type_works(make_world: MakeWorld) -> None:
    world = make_world(bastions=[Spec("old", host_key="ecdsa")], nodes=0)
    async with network_of(world.laptop) as network:
        await up(network.link(Route((hop_to(world.laptop, world.bastion.sshd),))))


async def test_open_to_some_addresses_only(make_world: MakeWorld) -> None:
    """PermitOpen: the bastion forwards, but not there."""
    world = make_world(bastions=[Spec("bastion", sshd={"PermitOpen": "10.90.1.11:22"})], nodes=2)
    async with network_of(world.laptop) as network:
        first, second = (
            Route(
                (
                    hop_to(world.laptop, world.bastion.sshd),
                    hop_to(world.laptop, node.sshd),
                )
            )
            for node in world.nodes
        )
        problem = await blocked(network.link(first))
        assert (problem.hop, problem.kind) == ("bastion", ErrorKind.FORWARDING_DENIED)
        await up(network.link(second))


@pytest.mark.parametrize("times", [3])
async def test_what_is_refused_is_tried_again_ever_more_slowly(world: World, times: int) -> None:
    """Backoff: the attempts at a port that refuses are counted, and each wait is announced."""
    async with network_of(world.laptop) as network:
        link = network.link(Route((Hop("none", "127.0.0.1", 9, "researcher"),)))
        await reached(link, lambda link: link.status.attempt >= times, "tried", 20)
        assert link.status.problem is not None
        assert link.status.problem.kind is ErrorKind.REFUSED
        await reached(link, lambda link: link.status.retry_at is not None, "waiting")
        assert link.status.state is LinkState.WAITING


async def test_a_server_that_takes_few_logins_at_a_time(make_world: MakeWorld) -> None:
    """A MaxStartups below what is tried at once: those dropped come in a little later."""
    spec = Spec("narrow", sshd={"MaxStartups": "3:100:3", "MaxSessions": "1"})
    world = make_world(bastions=[spec], nodes=0)
    async with network_of(world.laptop) as network:
        hops = [hop_to(world.laptop, world.bastion.sshd, name=f"alias-{k}") for k in range(20)]
        links = [network.link(Route((hop,))) for hop in hops]
        await asyncio.gather(*(up(link, seconds=60) for link in links))
        kinds = {event.problem.kind for link in links for event in link.events if event.problem}
    assert kinds <= {ErrorKind.OVERLOADED}
