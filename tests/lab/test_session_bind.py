"""Keys that the agent uses for certain destinations only (`ssh-add -h`), over one and two bastions:
the same logins work and are refused as with `ssh`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh.agent import Agent
from tests.lab import keys
from tests.lab.driving import blocked, network_of, reached, route_to, says, status, up
from tests.lab.fixtures import require_lab
from tests.lab.keys import Key
from tests.lab.machine import Machine, Spec
from tests.lab.world import World

HOSTS = ("outer", "inner", "deep")


@pytest.fixture(scope="module")
def chain() -> Iterator[World]:
    """A node behind two bastions, with host keys of three kinds."""
    require_lab()
    bastions = [Spec("outer", host_key="rsa"), Spec("inner", via="outer", host_key="ecdsa")]
    with World(bastions, [Spec("deep", via="inner", user="gpu-user", port=2022)]) as world:
        yield world


@pytest.fixture
def key(chain: World) -> Key:
    """The only key that opens the doors: no login looks for its file by itself."""
    return new_key(chain)


def new_key(world: World, kind: str = "ed25519") -> Key:
    path = world.directory / "held" / kind
    key = Key(path) if path.exists() else keys.generate(path, kind=kind)
    for machine in world.machines:
        machine.authorize(key.public)
    return key


def constrain(world: World, key: Key, *constraints: str) -> None:
    """Has the agent hold one key for these destinations only; hosts are named as in `HOSTS`."""
    options = ["-H", str(world.laptop.known_hosts)]
    for constraint in constraints:
        hosts = ">".join(_named(world, host) for host in constraint.split(">"))
        options += ["-h", hosts]
    world.laptop.agent.clear()
    world.laptop.agent.add(key, *options)


def _named(world: World, host: str) -> str:
    user, at, name = host.rpartition("@")
    machine = world[name]
    port = machine.sshd.port
    known = machine.address if port == 22 else f"[{machine.address}]:{port}"
    return f"{user}{at}{known}"


def ssh(world: World, name: str) -> bool:
    """Whether OpenSSH gets there."""
    command = ["ssh", "-o", "BatchMode=yes", name, "hostname"]
    done = world.laptop.run(command, input="", check=False, timeout=60)
    return done.stdout == f"{name}\n"


async def core(world: World, name: str) -> bool:
    """Whether the app's core gets there."""
    async with network_of(world.laptop, retry=False) as network:
        link = network.link(await route_to(world.laptop, name))
        await reached(link, lambda link: link.is_up or link.status.problem is not None, "decided")
        return link.is_up


@pytest.mark.parametrize(
    ("constraints", "reachable"),
    [
        (("outer", "inner", "deep"), HOSTS),
        (("outer", "inner"), ("outer", "inner")),
        (("outer", "deep"), ("outer",)),
        (("inner", "deep"), ()),
        (("outer", "inner", "gpu-user@deep"), HOSTS),
        (("outer", "inner", "root@deep"), ("outer", "inner")),
        # As for agents forwarded to bastions (ssh -A): a jump (ssh -J) is a login from here.
        (("outer", "outer>inner", "inner>deep"), ("outer",)),
    ],
)
async def test_the_same_hosts_are_reached_as_with_ssh(
    chain: World, key: Key, constraints: tuple[str, ...], reachable: tuple[str, ...]
) -> None:
    constrain(chain, key, *constraints)
    with_ssh = await asyncio.gather(*(asyncio.to_thread(ssh, chain, name) for name in HOSTS))
    with_core = [await core(chain, name) for name in HOSTS]
    assert with_ssh == [name in reachable for name in HOSTS]
    assert with_core == with_ssh
