"""OpenSSH's configuration, honoured as `ssh` honours it: the same alias leads to the same login."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.prompts import HostKeyAnswer, HostKeyQuestion
from tests.lab import keys
from tests.lab.driving import (
    Person,
    blocked,
    failed,
    hop_to,
    network_of,
    route_to,
    says,
    status,
    up,
)
from tests.lab.fixtures import require_lab
from tests.lab.machine import Spec
from tests.lab.world import World


@pytest.fixture(scope="module")
def chain() -> Iterator[World]:
    """A node behind two bastions, one behind the other."""
    require_lab()
    outer, inner = Spec("outer"), Spec("inner", via="outer", port=2222, user="hopper")
    with World([outer, inner], [Spec("deep", via="inner", user="gpu-user", port=2022)]) as world:
        yield world


@pytest.fixture(autouse=True)
def _as_it_was(chain: World) -> Iterator[None]:
    config = (chain.laptop.ssh_dir / "config").read_text()
    known_hosts = chain.laptop.known_hosts.read_text()
    before = set(chain.laptop.ssh_dir.iterdir())
    yield
    chain.laptop.write_ssh_config(config)
    chain.laptop.known_hosts.write_text(known_hosts)
    for path in set(chain.laptop.ssh_dir.iterdir()) - before:
        path.unlink()


def _configure(chain: World, text: str) -> None:
    """Write ~/.ssh/config, with the addresses of machines for {outer}, {inner} and {deep}.

    Files are named by their full path, as {ssh}: this process's `~` is not the laptop's.
    """
    names: Mapping[str, str] = {machine.name: machine.address for machine in chain.machines}
    known = f"Host *\n  UserKnownHostsFile {chain.laptop.known_hosts}\n"
    chain.laptop.write_ssh_config(text.format(**names, ssh=chain.laptop.ssh_dir) + known)


@asynccontextmanager
async def _link(chain: World, alias: str, person: Person | None = None, **extra: Any) -> Any:
    """A link to the node "target", whose config names the alias."""
    path = chain.laptop.write_config({"nodes": [{"name": "target", "ssh": alias, **extra}]})
    async with network_of(chain.laptop, person) as network:
        yield network.link(await route_to(chain.laptop, "target", path))


async def _hostname(link: Link) -> str:
    return (await says(await up(link), "echo $(id -un)@$(hostname)")).strip()


JUMPS = """
Host deep
  HostName {deep}
  User gpu-user
  Port 2022
  ProxyJump inner
Host inner
  HostName {inner}
  Port 2222
  User hopper
  ProxyJump outer
Host outer
  HostName {outer}
  User researcher
"""


async def test_a_chain_of_proxyjump(chain: World) -> None:
    _configure(chain, JUMPS)
    async with _link(chain, "deep") as link:
        assert [hop.name for hop in link.route.hops] == ["outer", "inner", "target"]
        assert await _hostname(link) == "gpu-user@deep"


async def test_a_list_of_jumps(chain: World) -> None:
    _configure(
        chain,
        """
Host deep
  HostName {deep}
  User gpu-user
  Port 2022
  ProxyJump researcher@{outer},hopper@{inner}:2222
""",
    )
    async with _link(chain, "deep") as link:
        assert await _hostname(link) == "gpu-user@deep"


async def test_match_and_include(chain: World) -> None:
    (chain.laptop.ssh_dir / "more").write_text(
        f"Host *.lab\n  User researcher\n  HostName {chain['outer'].address}\n"
    )
    _configure(
        chain,
        """
Include {ssh}/more
Match originalhost by-match
  HostName {outer}
Match exec "test %n = by-exec"
  HostName {outer}
Match host {outer}
  User researcher
""",
    )
    for alias in ("some.lab", "by-match", "by-exec"):
        async with _link(chain, alias) as link:
            assert await _hostname(link) == "researcher@outer", alias


async def test_values_beside_the_alias_win(chain: World) -> None:
    _configure(chain, JUMPS.replace("User gpu-user", "User nobody").replace("2022", "2023"))
    async with _link(chain, "deep", user="gpu-user", port=2022) as link:
        assert await _hostname(link) == "gpu-user@deep"


@pytest.mark.parametrize("command", ["ssh -W %h:%p outer", "nc %h %p", "socat - TCP:%h:%p"])
async def test_a_proxy_command_is_run(chain: World, command: str) -> None:
    """Through the bastion by ssh, or straight by a program of the laptop."""
    target, user, port = (
        ("inner", "hopper", 2222) if "-W" in command else ("outer", "researcher", 22)
    )
    _configure(
        chain,
        f"""
Host target
  HostName {{{target}}}
  User {user}
  Port {port}
  ProxyCommand {command}
Host outer
  HostName {{outer}}
  User researcher
""",
    )
    async with _link(chain, "target") as link:
        assert await _hostname(link) == f"{user}@{target}"
        assert _children(chain, command.split()[0])
    assert not _children(chain, command.split()[0])


def _children(chain: World, name: str) -> list[str]:
    done = chain.laptop.run(["ps", "-e", "-o", "netns=,comm="])
    inode = chain.laptop.run(["readlink", "/proc/self/ns/net"]).stdout.strip("net:[]\n")
    return [line for line in done.stdout.splitlines() if line.split() == [inode, name]]


async def test_a_proxy_command_that_fails_says_its_last_words(chain: World) -> None:
    _configure(
        chain,
        """
Host target
  HostName {outer}
  ProxyCommand sh -c "echo the VPN is down >&2; exit 3"
""",
    )
    async with _link(chain, "target") as link:
        problem = await failed(link)
        assert problem.kind is ErrorKind.UNREACHABLE
        assert "the VPN is down" in problem.message
        assert "exit 3" in problem.advice


async def test_host_key_alias_with_a_proxy(chain: World) -> None:
    kind, blob = chain["outer"].sshd.host_key.public.split()[:2]
    chain.laptop.known_hosts.write_text(f"by-name {kind} {blob}\n")
    _configure(
        chain, "Host target\n  HostName {outer}\n  User researcher\n  HostKeyAlias by-name\n"
    )
    async with _link(chain, "target") as link:
        assert await _hostname(link) == "researcher@outer"
    _configure(chain, "Host target\n  HostName {outer}\n  User researcher\n")
    async with _link(chain, "target") as link:
        assert (await blocked(link)).kind is ErrorKind.HOST_KEY_UNKNOWN


@pytest.mark.parametrize("files", ["none", "/dev/null"])
@pytest.mark.parametrize("strict", ["no", "off", "accept-new", "ask"])
async def test_host_keys_are_checked_whatever_ssh_is_told(
    chain: World, files: str, strict: str
) -> None:
    """`UserKnownHostsFile none` and `StrictHostKeyChecking no` accept nothing here."""
    _configure(
        chain,
        "Host target\n  HostName {outer}\n  User researcher\n"
        f"  UserKnownHostsFile {files}\n  StrictHostKeyChecking {strict}\n",
    )
    person = Person(HostKeyAnswer.REFUSE)
    async with _link(chain, "target", person) as link:
        assert (await blocked(link)).kind is ErrorKind.HOST_KEY_UNKNOWN
    assert [type(question) for question in person.asked] == [HostKeyQuestion]


async def test_several_known_hosts_files(chain: World) -> None:
    text = chain.laptop.known_hosts.read_text()
    (chain.laptop.ssh_dir / "second").write_text(text)
    chain.laptop.known_hosts.write_text("")
    _configure(
        chain,
        "Host target\n  HostName {outer}\n  User researcher\n"
        "  UserKnownHostsFile {ssh}/absent {ssh}/second\n",
    )
    async with _link(chain, "target") as link:
        await up(link)


async def test_identity_file_only(chain: World) -> None:
    """IdentitiesOnly with a key that opens nothing; then with the right one."""
    wrong = keys.generate(chain.laptop.ssh_dir / "id_wrong")
    text = "Host target\n  HostName {outer}\n  User researcher\n  IdentitiesOnly yes\n"
    _configure(chain, text + f"  IdentityFile {wrong.path}\n")
    async with _link(chain, "target") as link:
        assert (await blocked(link)).kind is ErrorKind.AUTH_DENIED
    _configure(chain, text + f"  IdentityFile {chain.laptop.key.path}\n  IdentityAgent none\n")
    async with _link(chain, "target") as link:
        await up(link)


async def test_identity_agent(chain: World) -> None:
    text = "Host target\n  HostName {outer}\n  User researcher\n"
    _configure(chain, text + "  IdentityAgent /nowhere/agent\n  IdentityFile /nowhere/key\n")
    async with _link(chain, "target") as link:
        assert (await blocked(link)).kind is ErrorKind.AGENT_MISSING
    _configure(chain, text + "  IdentityAgent $SSH_AUTH_SOCK\n")
    async with _link(chain, "target") as link:
        await up(link)


async def test_a_certificate_beside_an_identity_file(chain: World) -> None:
    outer = chain["outer"]
    authority = keys.generate(chain.laptop.ssh_dir / "authority")
    key = keys.generate(chain.laptop.ssh_dir / "id_certified")
    keys.certify(key, authority, principals=["researcher"])
    (outer.directory / "authority.pub").write_text(authority.public + "\n")
    other = outer.add_sshd(2200, options={"TrustedUserCAKeys": "/opt/lab/authority.pub"})
    other.start()
    try:
        chain.laptop.trust([other])
        _configure(
            chain,
            "Host target\n  HostName {outer}\n  Port 2200\n  User researcher\n"
            "  IdentityAgent none\n  IdentityFile {ssh}/id_certified\n",
        )
        async with _link(chain, "target") as link:
            await up(link)
        assert re.search(r"Accepted publickey .* ED25519-CERT", other.log())
    finally:
        other.kill()
        outer.sshds.remove(other)


async def test_options_that_asyncssh_would_choke_on(chain: World) -> None:
    """What only ssh knows is ssh's affair: it neither fails nor changes the login."""
    _configure(
        chain,
        """
Host target
  HostName {outer} # the front door
  User "researcher"
  ConnectTimeout 1m
  IdentityFile {ssh}/absent
  ControlMaster auto
  ControlPath {ssh}/control-%C
  ControlPersist 10m
  LocalForward 18080 127.0.0.1:80
  UpdateHostKeys yes
  AddKeysToAgent yes
  SetEnv LANG=C
  RemoteCommand echo hijacked
  RequestTTY force
  PermitLocalCommand yes
  LocalCommand touch {ssh}/touched
""",
    )
    async with _link(chain, "target") as link:
        assert link.route.target.connect_timeout == 60
        assert await _hostname(link) == "researcher@outer"
    assert not (chain.laptop.ssh_dir / "touched").exists()


async def test_an_alias_that_ssh_refuses(chain: World) -> None:
    _configure(chain, "Host target\n  Hostname {outer}\n  Porrt 22\n")
    chain.laptop.write_config({"nodes": [{"name": "target", "ssh": "target"}]})
    code, nodes = status(chain.laptop)
    assert code == 1
    error = nodes["target"]["error"]
    assert (error["hop"], error["kind"]) == ("target", "unresolved")
    assert "porrt" in error["message"].lower()


def test_without_an_ssh_client(chain: World) -> None:
    """Aliases say what is missing; nodes with `host` need no client."""
    outer = chain["outer"]
    named = hop_to(chain.laptop, outer.sshd)
    chain.laptop.write_config(
        {
            "nodes": [
                {"name": "alias", "ssh": "outer"},
                {"name": "host", "host": named.host, "user": named.user},
            ]
        }
    )
    done = chain.laptop.run(["sh", "-c", "command -v gpuhop-tui"])
    program = done.stdout.strip()
    without = chain.laptop.run(["env", "PATH=/nowhere", program, "status", "--json"], check=False)
    assert without.returncode == 1
    assert "no ssh client on PATH" in without.stdout
    assert '"name": "host",\n      "state": "up"' in without.stdout
