"""Keys that the agent uses for certain destinations only (`ssh-add -h`), over one and two bastions:
the same logins work and are refused as with `ssh`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from gpuhop_tui.problem import ErrorKind
from tests.lab import keys
from tests.lab.driving import blocked, logins, network_of, reached, route_to, status
from tests.lab.fixtures import require_lab
from tests.lab.keys import Key
from tests.lab.machine import Spec
from tests.lab.sshd import Sshd
from tests.lab.world import World

HOSTS = ("outer", "inner", "deep")


@pytest.fixture(scope="module")
def chain() -> Iterator[World]:
    """A node behind two bastions, with host keys of three kinds."""
    require_lab()
    debug = {"LogLevel": "DEBUG1"}
    bastions = [
        Spec("outer", sshd=debug, host_key="rsa"),
        Spec("inner", via="outer", host_key="ecdsa"),
    ]
    deep = Spec("deep", via="inner", user="gpu-user", port=2022)
    with World(bastions, [deep, Spec("beside", via="inner")]) as world:
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


async def core(world: World, name: str, config: Path | None = None) -> bool:
    """Whether the app's core gets there."""
    async with network_of(world.laptop, retry=False) as network:
        link = network.link(await route_to(world.laptop, name, config))
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


async def test_asyncssh_alone_is_refused(chain: World, key: Key) -> None:
    """What the bind is for: the same agent, key and host, without it."""
    constrain(chain, key, *HOSTS)
    with chain.laptop.entered(), pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            chain["outer"].address,
            username=chain["outer"].user,
            config=None,
            known_hosts=str(chain.laptop.known_hosts),
            client_keys=None,
            agent_path=str(chain.laptop.agent.socket),
        )
    assert await core(chain, "outer")


def test_status_and_hop(chain: World, key: Key) -> None:
    constrain(chain, key, *HOSTS)
    _code, nodes = status(chain.laptop, "deep")
    assert nodes["deep"]["state"] == "up"
    hop = ["gpuhop-tui", "hop", "deep", "--", "hostname"]
    done = chain.laptop.run(hop, input="", check=False)
    assert (done.returncode, done.stdout) == (0, "deep\n"), done.stderr


@pytest.mark.parametrize(("onward", "reaches"), [("deep>beside", True), ("deep>inner", False)])
def test_a_lent_key_goes_only_where_it_may(
    chain: World, key: Key, onward: str, reaches: bool
) -> None:
    """From inside a hop, through the guard that would let everything pass."""
    constrain(chain, key, *HOSTS, onward)
    config = chain.config(agent={"guard": {"default": "allow"}})
    next(node for node in config["nodes"] if node["name"] == "deep")["forward_agent"] = True
    path = chain.laptop.write_config(config, chain.laptop.home / "lending.toml")
    there = f"ssh -o StrictHostKeyChecking=no -o BatchMode=yes researcher@{chain['beside'].address}"
    done = chain.laptop.run(
        ["gpuhop-tui", "hop", "--config", str(path), "deep", "--", f"{there} hostname"],
        input="",
        check=False,
        timeout=60,
    )
    assert (done.stdout == "beside\n") is reaches, done.stderr


async def test_a_key_for_other_hosts_is_said_and_not_tried_again(chain: World, key: Key) -> None:
    constrain(chain, key, "outer")
    before = logins(chain["inner"].sshd)
    async with network_of(chain.laptop) as network:
        problem = await blocked(network.link(await route_to(chain.laptop, "inner")))
    assert (problem.kind, problem.hop) == (ErrorKind.AUTH_DENIED, "inner")
    assert "lets none of its keys be used" in problem.message
    assert f"ssh-add -h '{chain['inner'].address}'" in problem.advice
    assert logins(chain["inner"].sshd) == before + 1


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
async def test_other_kinds_of_keys(chain: World, kind: str) -> None:
    constrain(chain, new_key(chain, kind), *HOSTS)
    assert await core(chain, "deep")


async def test_a_certificate(chain: World) -> None:
    """The agent is asked by the certificate itself. ssh 9.2 asks by its key and is refused."""
    node = chain["deep"]
    authority = keys.generate(chain.directory / "authority")
    (node.directory / "authority.pub").write_text(authority.public + "\n")
    certified = keys.generate(chain.directory / "certified")
    keys.certify(certified, authority, principals=[node.user])
    for machine in (chain["outer"], chain["inner"]):
        machine.authorize(certified.public)
    node.authorize()
    node.sshd.options["TrustedUserCAKeys"] = "/opt/lab/authority.pub"
    node.sshd.restart()
    constrain(chain, certified, *HOSTS)
    try:
        assert await core(chain, "deep")
    finally:
        del node.sshd.options["TrustedUserCAKeys"]
        node.sshd.restart()


async def test_a_host_certificate(chain: World, key: Key) -> None:
    """It is the certificate that is bound and named: ssh and sshd compare it whole."""
    server = chain["outer"].sshd
    authority = keys.generate(chain.directory / "host-authority")
    address = server.machine.address
    keys.certify(server.host_key, authority, principals=[address], host=True)
    server.options["HostCertificate"] = "/opt/lab/keys/host-cert.pub"
    server.restart()
    known = chain.laptop.known_hosts.read_text()
    others = [line for line in known.splitlines() if not line.startswith(f"{address} ")]
    trusted = f"@cert-authority {address} {authority.public}"
    try:
        chain.laptop.known_hosts.write_text("\n".join([*others, trusted, ""]))
        constrain(chain, key, *HOSTS)
        assert ssh(chain, "outer")
        assert await core(chain, "deep")
        assert logged_methods(server)[-1] == HOSTBOUND
    finally:
        chain.laptop.known_hosts.write_text(known)
        del server.options["HostCertificate"]
        server.restart()


# The signed request names the host key


HOSTBOUND, PLAIN = "publickey-hostbound-v00@openssh.com", "publickey"


def logged_methods(sshd: Sshd) -> list[str]:
    """The methods of all requests for authentication."""
    request = r"userauth-request for user \S+ service ssh-connection method (\S+)"
    return re.findall(request, sshd.log())


async def test_a_signature_names_no_host_key_where_ssh_config_says_so(
    chain: World, key: Key
) -> None:
    server = chain["outer"].sshd
    config = chain.laptop.ssh_dir / "config"
    text = config.read_text()
    constrain(chain, key)
    alias = {"name": "unbound", "ssh": "outer"}
    chain.laptop.write_config({"nodes": [alias]}, chain.laptop.home / "unbound.toml")
    try:
        config.write_text(f"Host outer\n    PubkeyAuthentication unbound\n{text}")
        assert await core(chain, "unbound", chain.laptop.home / "unbound.toml")
        assert logged_methods(server)[-3:] == ["none", PLAIN, PLAIN]
    finally:
        config.write_text(text)


async def test_a_signature_names_the_host_key_where_ssh_does(chain: World, key: Key) -> None:
    """Not only for keys with constraints; a key is offered as before, and signed hostbound."""
    server = chain["outer"].sshd
    constrain(chain, key)
    assert ssh(chain, "outer")
    assert logged_methods(server)[-3:] == ["none", PLAIN, HOSTBOUND]
    assert await core(chain, "outer")
    assert logged_methods(server)[-3:] == ["none", PLAIN, HOSTBOUND]
