"""Ways to a node: shared bastions, chains, relays where forwarding is forbidden, a lent agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gpuhop_tui.config.hops import Route
from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh.link import SESSIONS
from gpuhop_tui.ssh.prompts import SignatureAnswer
from tests.lab.driving import (
    Person,
    all_live,
    blocked,
    failed,
    fleet_of,
    fleet_reached,
    gpu_nodes,
    logins,
    network_of,
    route_to,
    says,
    simulate,
    status,
    up,
)
from tests.lab.machine import Spec
from tests.lab.procfs import program
from tests.lab.waiting import await_until
from tests.lab.world import World

MakeWorld = Callable[..., World]

FORBIDDEN = {"AllowTcpForwarding": "no"}


async def routes(world: World) -> list[Route]:
    return [await route_to(world.laptop, node.name) for node in world.nodes]


def exec_config(world: World) -> dict[str, Any]:
    """The world's config, its bastions as `transport = "exec"`."""
    config = world.config()
    for bastion in config["bastions"]:
        bastion["transport"] = "exec"
    return config


async def test_one_connection_to_the_bastion_is_shared(world: World) -> None:
    sshd = world.bastion.sshd
    await await_until(lambda: not sshd.connections(), "the end of what others had open")
    before = logins(sshd)
    async with network_of(world.laptop) as network:
        links = [network.link(route) for route in await routes(world)]
        await asyncio.gather(*map(up, links))
        assert [await says(link, "hostname") for link in links] == [
            f"{node.name}\n" for node in world.nodes
        ]
        bastion = await up(network.link(Route(links[0].route.via)))
        assert await says(bastion, "hostname") == "bastion\n"
        assert sshd.connections() == 1
        assert logins(sshd) == before + 1
    await await_until(lambda: not sshd.connections(), "the end of the connection")


async def test_the_round_trip_is_measured(world: World) -> None:
    async with network_of(world.laptop) as network:
        link = network.link((await routes(world))[0])
        await up(link)
        async with asyncio.timeout(5):
            await link.wait_until(lambda link: link.status.rtt_seconds is not None)
        assert link.status.rtt_seconds is not None
        assert 0 < link.status.rtt_seconds < 0.5
        assert link.status.connect_seconds is not None
        assert 0 < link.status.connect_seconds < 10


async def test_a_chain_of_two_bastions(make_world: MakeWorld) -> None:
    world = make_world(
        bastions=[Spec("outer"), Spec("inner", via="outer")],
        nodes=[Spec("deep", via="inner"), Spec("beside", via="outer")],
    )
    config = world.config()
    deep = next(node for node in config["nodes"] if node["name"] == "deep")
    assert deep["via"] == ["inner"]  # whose own `via` leads on
    async with network_of(world.laptop) as network:
        links = [network.link(route) for route in await routes(world)]
        assert [hop.name for hop in links[0].route.hops] == ["outer", "inner", "deep"]
        await asyncio.gather(*map(up, links))
        assert await says(links[0], "hostname") == "deep\n"
        assert world["outer"].sshd.connections() == 1
        assert world["inner"].sshd.connections() == 1


# Forwarding forbidden


async def test_forbidden_forwarding_is_named_at_the_bastion(make_world: MakeWorld) -> None:
    world = make_world(bastions=[Spec("bastion", sshd=FORBIDDEN)], nodes=1)
    async with network_of(world.laptop) as network:
        problem = await blocked(network.link((await routes(world))[0]))
    assert problem.kind is ErrorKind.FORWARDING_DENIED
    assert problem.hop == "bastion"
    assert 'transport = "exec"' in problem.advice


RELAYS = ("nc", "socat", "python3", "bash")
PROGRAMS = {"nc": "nc*", "socat": "socat*", "python3": "python3*"}


@pytest.mark.parametrize("relay", RELAYS)
async def test_relay_by(make_world: MakeWorld, relay: str) -> None:
    """Each program alone does, bytes pass unharmed both ways, and nothing stays behind."""
    hidden = tuple(glob for name, glob in PROGRAMS.items() if name != relay)
    world = make_world(bastions=[Spec("bastion", sshd=FORBIDDEN, hide=hidden)], nodes=1)
    world.laptop.write_config(exec_config(world))
    async with network_of(world.laptop) as network:
        link = await up(network.link((await routes(world))[0]))
        running = {program(pid) for pid in world.bastion.processes()}
        assert relay in running or relay == "bash"
        async with link.process("sha256sum; head -c 300000 /dev/zero | sha256sum") as process:
            process.stdin.write(b"\0" * 300_000)
            process.stdin.write_eof()
            ours, theirs = (await process.stdout.read()).decode().splitlines()
            assert ours == theirs
    await _ends(world, relay)


async def _ends(world: World, name: str) -> None:
    def running() -> bool:
        return name != "bash" and name in map(program, world.bastion.processes())

    await await_until(lambda: not running(), f"{name} to end")
    await await_until(lambda: not world.bastion.sshd.connections(), "the connection to end")


async def test_no_program_to_relay_with_is_said_so(make_world: MakeWorld) -> None:
    hidden = (*PROGRAMS.values(), "bash")
    world = make_world(
        bastions=[Spec("bastion", sshd=FORBIDDEN, hide=hidden, shell="/bin/dash")], nodes=1
    )
    world.laptop.write_config(exec_config(world))
    async with network_of(world.laptop) as network:
        problem = await blocked(network.link((await routes(world))[0]))
    assert problem.kind is ErrorKind.FORWARDING_DENIED
    assert problem.hop == "bastion"
    for name in RELAYS:
        assert name in problem.message


@pytest.mark.parametrize("way", ["forwarding", *RELAYS])
async def test_why_a_bastion_cannot_reach_a_node(make_world: MakeWorld, way: str) -> None:
    hidden = tuple(glob for name, glob in PROGRAMS.items() if name != way)
    forbidden = FORBIDDEN if way in RELAYS else {}
    world = make_world(bastions=[Spec("bastion", sshd=forbidden, hide=hidden)], nodes=1)
    config = exec_config(world) if way in RELAYS else world.config()
    (node,) = config["nodes"]
    nameless = {**node, "name": "nameless", "host": "nowhere.invalid"}
    absent = {**node, "name": "absent", "host": "10.90.1.250"}
    world.laptop.write_config({**config, "nodes": [node, nameless, absent]})
    world.nodes[0].sshd.stop()
    async with network_of(world.laptop, retry=False) as network:
        refused = network.link(await route_to(world.laptop, "gpu-01"))
        unresolved = network.link(await route_to(world.laptop, "nameless"))
        unreachable = network.link(await route_to(world.laptop, "absent"))
        problem = await failed(refused)
        assert (problem.hop, problem.kind) == ("gpu-01", ErrorKind.REFUSED)
        problem = await failed(unresolved, seconds=30)
        assert (problem.hop, problem.kind) == ("nameless", ErrorKind.UNRESOLVED)
        problem = await failed(unreachable)
        assert (problem.hop, problem.kind) == ("absent", ErrorKind.UNREACHABLE)
        assert "bastion" in problem.message


async def test_a_chain_of_relays(make_world: MakeWorld) -> None:
    world = make_world(
        bastions=[Spec("outer", sshd=FORBIDDEN), Spec("inner", via="outer", sshd=FORBIDDEN)],
        nodes=[Spec("deep", via="inner")],
    )
    world.laptop.write_config(exec_config(world))
    async with network_of(world.laptop) as network:
        link = await up(network.link((await routes(world))[0]))
        assert await says(link, "hostname") == "deep\n"


# Many


@pytest.mark.parametrize("transport", ["tcp", "exec"])
async def test_forty_nodes_behind_one_bastion(make_world: MakeWorld, transport: str) -> None:
    """MaxStartups and MaxSessions as sshd has them by default: nobody is refused."""
    forbidden = FORBIDDEN if transport == "exec" else {}
    world = make_world(bastions=[Spec("bastion", sshd=forbidden)], nodes=gpu_nodes(40))
    simulate(*world.nodes)
    if transport == "exec":
        world.laptop.write_config(exec_config(world))
    async with fleet_of(world.laptop) as fleet:
        state = await fleet_reached(fleet, all_live, "live", seconds=60)
        assert [len(node.sample.gpus) for node in state.nodes if node.sample] == [2] * 40
        problems = [event for node in state.nodes for event in node.events if event.problem]
        assert problems == []
        wanted = -(-40 // SESSIONS) if transport == "exec" else 1
        assert world.bastion.sshd.connections() == wanted
    log = world.bastion.sshd.log()
    assert "MaxStartups" not in log
    assert "no more sessions" not in log
    assert logins(world.bastion.sshd) == wanted


def test_forty_nodes_on_the_command_line(make_world: MakeWorld) -> None:
    world = make_world(nodes=gpu_nodes(40))
    simulate(*world.nodes)
    code, nodes = status(world.laptop)
    assert code == 0
    assert len(nodes) == 40
    assert {node["state"] for node in nodes.values()} == {"up"}
    assert {node["source"] for node in nodes.values()} == {"simulated"}


async def test_one_session_a_connection_is_enough(make_world: MakeWorld) -> None:
    world = make_world(
        bastions=[Spec("bastion", sshd={"MaxSessions": "1"})],
        nodes=gpu_nodes(2, sshd={"MaxSessions": "1"}),
    )
    simulate(*world.nodes)
    async with fleet_of(world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live")


# Lending the agent


async def test_a_lent_agent_lists_and_signs_for_a_nested_ssh(world: World) -> None:
    other = world.nodes[1]
    person = Person(signature_answer=SignatureAnswer.ONCE)
    async with network_of(world.laptop, person) as network:
        route = await route_to(world.laptop, "gpu-01")
        lent = await up(network.link(route, lend_agent=True))
        assert world.laptop.key.fingerprint in await says(lent, "ssh-add -l")
        nested = f"ssh -o StrictHostKeyChecking=no -o BatchMode=yes {other.address} hostname"
        assert await says(lent, nested) == f"{other.name}\n"


async def test_the_agent_is_lent_to_the_bastion_only_where_asked(world: World) -> None:
    async with network_of(world.laptop) as network:
        node = await up(network.link(await route_to(world.laptop, "gpu-01"), lend_agent=True))
        assert node.parent is not None
        assert await says(node.parent, "echo [$SSH_AUTH_SOCK]") == "[]\n"
        bastion = network.link(await route_to(world.laptop, "bastion"), lend_agent=True)
        assert world.laptop.key.fingerprint in await says(await up(bastion), "ssh-add -l")


async def test_telemetry_never_lends_the_agent(world: World) -> None:
    """Not even for a node whose config says `forward_agent`."""
    config = world.config()
    config["nodes"][0]["forward_agent"] = True
    path = world.laptop.write_config(config, world.laptop.home / "lending.toml")
    try:
        async with network_of(world.laptop) as network:
            route = await route_to(world.laptop, "gpu-01", path)
            assert route.target.forward_agent
            link = await up(network.link(route))
            assert await says(link, "echo [$SSH_AUTH_SOCK]") == "[]\n"
            lent = await up(network.link(route, lend_agent=True))
            assert lent is not link
            assert await says(link, "ls -d /tmp/ssh-* 2>/dev/null") == ""
    finally:
        path.unlink()
