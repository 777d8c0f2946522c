"""The plan: routes, shared hops, and problems that stay with their entry."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.plan import Plan
from gpuhop_tui.config.resolve import plan_fleet
from gpuhop_tui.config.schema import Config
from gpuhop_tui.config.ssh_options import LocalUser
from gpuhop_tui.problem import ErrorKind, Problem

from .conftest import SshConfig


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    return tmp_path / "home"


async def plan(text: str, environ: Mapping[str, str] = os.environ) -> Plan:
    return await plan_fleet(Config.model_validate(tomllib.loads(text)), environ)


def hops(of: Plan, name: str) -> tuple[Hop, ...]:
    route = route_of(of, name)
    assert isinstance(route, Route), route
    return route.hops


def names(of: Plan, name: str) -> list[str]:
    return [hop.name for hop in hops(of, name)]


def problem(of: Plan, name: str) -> Problem:
    found = route_of(of, name)
    assert isinstance(found, Problem)
    assert found.kind is ErrorKind.UNRESOLVED
    assert found.advice
    return found


def route_of(of: Plan, name: str) -> Route | Problem:
    return next(entry.route for entry in (*of.nodes, *of.bastions) if entry.name == name)


async def test_defaults_of_a_host(home: Path) -> None:
    for name in ("id_rsa", "id_ed25519", "id_ed25519-cert.pub", "id_ecdsa_sk.pub"):
        (home / ".ssh" / name).touch()
    (hop,) = hops(await plan("nodes = [{ name = 'n', host = '10.0.0.1' }]"), "n")
    assert (hop.host, hop.port, hop.user) == ("10.0.0.1", 22, LocalUser.current().name)
    assert [path.name for path in hop.identity_files] == [
        "id_ed25519",
        "id_rsa",
        "id_ecdsa_sk.pub",
    ]
    assert [path.name for path in hop.certificate_files] == ["id_ed25519-cert.pub"]
    assert hop.known_hosts_files == (
        home / ".ssh" / "known_hosts",
        home / ".ssh" / "known_hosts2",
        Path("/etc/ssh/ssh_known_hosts"),
        Path("/etc/ssh/ssh_known_hosts2"),
    )
    assert not hop.forward_agent
    assert hop.identity_agent is None


async def test_given_values(home: Path) -> None:
    (home / "key").touch()
    made = await plan(
        """
        [[bastions]]
        name = "b"
        host = "h"
        port = 2
        user = "u"
        identity_file = "~/key"
        forward_agent = true
        transport = "exec"
        [[nodes]]
        name = "n"
        host = "h"
        via = "b"
        tags = ["t"]
        docker_socket = "/d.sock"
        """
    )
    bastion, _ = hops(made, "n")
    assert (bastion.port, bastion.user, bastion.transport) == (2, "u", "exec")
    assert bastion.identity_files == (home / "key",)
    assert bastion.forward_agent
    assert (made.nodes[0].tags, made.nodes[0].docker_socket) == (("t",), "/d.sock")


async def test_a_missing_key_is_the_entrys_own_problem() -> None:
    made = await plan(
        "nodes = [{ name = 'n', host = 'h', identity_file = '/no/key' },{ name = 'm', host = 'h' }]"
    )
    assert "/no/key does not exist" in problem(made, "n").message
    assert problem(made, "n").hop == "n"
    assert names(made, "m") == ["m"]


CHAIN = """
[[bastions]]
name = "outer"
host = "o"
[[bastions]]
name = "inner"
host = "i"
via = "outer"
[[bastions]]
name = "other"
host = "x"
"""


@pytest.mark.parametrize(
    ("via", "route"),
    [
        ("'inner'", ["outer", "inner"]),
        ("['outer', 'inner']", ["outer", "inner"]),
        ("['other', 'inner']", ["other", "outer", "inner"]),
        ("[]", []),
    ],
)
async def test_via(via: str, route: list[str]) -> None:
    made = await plan(f"{CHAIN}[[nodes]]\nname = 'n'\nhost = 'h'\nvia = {via}\n")
    assert names(made, "n") == [*route, "n"]


async def test_routes_share_equal_bastions() -> None:
    made = await plan(
        CHAIN
        + "[[nodes]]\nname = 'n'\nhost = 'h'\nvia = 'inner'\n"
        + "[[nodes]]\nname = 'm'\nhost = 'h'\nvia = ['outer', 'inner']\n"
    )
    parents = [Route(hops(made, name)).parent for name in ("n", "m")]
    assert parents[0] == parents[1] == route_of(made, "inner")


async def test_a_broken_bastion_is_the_problem_of_all_behind_it() -> None:
    made = await plan(
        CHAIN.replace("host = 'o'", "").replace('host = "o"', 'host="o"\nidentity_file="/no"')
        + "[[nodes]]\nname = 'n'\nhost = 'h'\nvia = 'inner'\n"
        + "[[nodes]]\nname = 'm'\nhost = 'h'\nvia = 'other'\n"
    )
    assert problem(made, "n").hop == problem(made, "inner").hop == "outer"
    assert names(made, "m") == ["other", "m"]


async def test_a_config_that_was_never_checked() -> None:
    made = await plan(
        "bastions = [{ name = 'a', host = 'h', via = 'b' },"
        "{ name = 'b', host = 'h', via = 'a' }]\n"
        "nodes = [{ name = 'n', host = 'h', via = 'none' }, { name = 'm', host = 'h', via = 'a' }]"
    )
    assert 'names "none"' in problem(made, "n").message
    assert "circle" in problem(made, "m").message


async def test_values_beside_ssh_win(ssh_config: SshConfig, home: Path) -> None:
    (home / "key").touch()
    environ = ssh_config(
        "Host a\n HostName real\n User alias-user\n Port 7\n ForwardAgent yes\n ConnectTimeout 9\n"
        " ProxyJump gate\n"
        "Match user me\n HostKeyAlias matched\n"
    )
    made = await plan(
        """
        [[nodes]]
        name = "n"
        ssh = "a"
        [[nodes]]
        name = "m"
        ssh = "a"
        host = "fe80::1%eth0"
        port = 8
        user = "me"
        forward_agent = false
        identity_file = "~/key"
        via = []
        """,
        environ,
    )
    gate, alias = hops(made, "n")
    assert gate.host == "gate"
    assert (alias.host, alias.port, alias.user) == ("real", 7, "alias-user")
    assert alias.forward_agent
    (hop,) = hops(made, "m")
    assert (hop.host, hop.port, hop.user) == ("fe80::1%eth0", 8, "me")
    assert not hop.forward_agent
    assert hop.identity_files == (home / "key",)
    assert hop.connect_timeout == 9
    assert hop.host_key_alias == "matched"  # as `ssh -l me` would match it


async def test_via_replaces_proxy_jump_and_proxy_command(ssh_config: SshConfig) -> None:
    environ = ssh_config(
        "Host jumps\n ProxyJump loop\nHost loop\n ProxyJump loop\n"
        "Host proxied\n ProxyCommand x %h\n"
    )
    made = await plan(
        "[[bastions]]\nname = 'b'\nhost = 'h'\n"
        "[[nodes]]\nname = 'n'\nssh = 'jumps'\nvia = 'b'\n"
        "[[nodes]]\nname = 'm'\nssh = 'proxied'\nvia = 'b'\n"
        "[[nodes]]\nname = 'p'\nssh = 'proxied'\n",
        environ,
    )
    assert names(made, "n") == ["b", "n"]
    assert names(made, "m") == ["b", "m"]
    assert hops(made, "m")[1].proxy_command is None
    assert hops(made, "p")[0].proxy_command == "x proxied"


async def test_a_proxy_command_cannot_run_behind_a_bastion(ssh_config: SshConfig) -> None:
    made = await plan(
        "bastions = [{ name = 'b', host = 'h' }, { name = 'p', ssh = 'proxied' }]\n"
        "nodes = [{ name = 'n', host = 'h', via = ['b', 'p'] },"
        "{ name = 'm', host = 'h', via = ['p', 'b'] }]",
        ssh_config("Host proxied\n ProxyCommand x %h\n"),
    )
    assert problem(made, "n").hop == "p"
    assert "ProxyCommand" in problem(made, "n").message
    assert names(made, "m") == ["p", "b", "m"]


async def test_jump_hosts_become_bastions(ssh_config: SshConfig) -> None:
    environ = ssh_config(
        "Host n1 n2\n ProxyJump me@gate:22\nHost n3\n ProxyJump gate,deep\nHost gate\n User me\n"
    )
    made = await plan(
        "nodes = [{ name = 'n1', ssh = 'n1' }, { name = 'n2', ssh = 'n2' },"
        "{ name = 'n3', ssh = 'n3' }]",
        environ,
    )
    assert [bastion.name for bastion in made.bastions] == ["me@gate:22", "deep"]
    assert hops(made, "n1")[:1] == hops(made, "n2")[:1] == hops(made, "n3")[:1]
    assert route_of(made, "deep") == Route(hops(made, "n3")).parent


async def test_a_jump_host_that_is_a_bastion_of_the_config(ssh_config: SshConfig) -> None:
    made = await plan(
        """
        [[bastions]]
        name = "front door"
        ssh = "gate"
        transport = "exec"
        [[nodes]]
        name = "n"
        ssh = "n"
        [[nodes]]
        name = "m"
        host = "h"
        via = "front door"
        """,
        ssh_config("Host n\n ProxyJump gate\nHost gate\n HostName g.example.com\n User me\n"),
    )
    assert [bastion.name for bastion in made.bastions] == ["front door"]
    assert hops(made, "n")[0] == hops(made, "m")[0]
    assert hops(made, "n")[0].transport == "exec"


async def test_a_jump_host_that_is_also_a_node(ssh_config: SshConfig) -> None:
    """As a starter config has it; names stay unique, so that errors name one thing."""
    made = await plan(
        "nodes = [{ name = 'gate', ssh = 'gate' }, { name = 'n', ssh = 'n' }]",
        ssh_config("Host n\n ProxyJump gate\n"),
    )
    assert names(made, "n") == ["gate (jump)", "n"]
    assert [bastion.name for bastion in made.bastions] == ["gate (jump)"]


async def test_one_bad_alias_never_stops_the_others(ssh_config: SshConfig) -> None:
    made = await plan(
        "nodes = [{ name = 'bad', ssh = 'bad' }, { name = 'n', ssh = 'good' },"
        "{ name = 'h', host = 'h' }]",
        ssh_config("Host bad\n ProxyJump bad\n"),
    )
    assert "loop" in problem(made, "bad").message
    assert names(made, "n") == ["n"]
    assert names(made, "h") == ["h"]


async def test_no_client_stops_aliases_only(tmp_path: Path) -> None:
    made = await plan(
        "nodes = [{ name = 'n', ssh = 'a' }, { name = 'm', host = 'h' }]", {"PATH": str(tmp_path)}
    )
    assert "openssh-client" in problem(made, "n").advice
    assert names(made, "m") == ["m"]


async def test_aliases_are_resolved_at_the_same_time(ssh_config: SshConfig, tmp_path: Path) -> None:
    """Each alias waits until the other has begun: one after the other would never end."""
    meet = "touch {0}/{1}; while [ ! -e {0}/{2} ]; do sleep 0.02; done"
    environ = ssh_config(
        f'Match originalhost a exec "{meet.format(tmp_path, "a-here", "b-here")}"\n User one\n'
        f'Match originalhost b exec "{meet.format(tmp_path, "b-here", "a-here")}"\n User two\n'
    )
    async with asyncio.timeout(8):
        made = await plan("nodes = [{ name = 'a', ssh = 'a' }, { name = 'b', ssh = 'b' }]", environ)
    assert (hops(made, "a")[0].user, hops(made, "b")[0].user) == ("one", "two")


async def test_an_empty_config() -> None:
    assert await plan("") == Plan()


@pytest.mark.parametrize(("default", "lent"), [("ask", True), ("allow", True), ("deny", False)])
async def test_a_guard_that_denies_lends_to_nobody(home: Path, default: str, lent: bool) -> None:
    made = await plan(
        f"""
        agent.guard.default = "{default}"
        bastions = [{{ name = "b", host = "b.example", forward_agent = true }}]
        nodes = [{{ name = "n", host = "n.example", via = "b", forward_agent = true }}]
        """
    )
    assert [hop.forward_agent for hop in hops(made, "n")] == [lent, lent]
