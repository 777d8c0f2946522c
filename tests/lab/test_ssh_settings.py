"""Settings of ssh_config(5) that restrict a login: each holds here as it holds for `ssh`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh.prompts import ChallengeQuestion, HostKeyAnswer
from gpuhop_tui.ssh.status import LinkState
from tests.lab import keys
from tests.lab.driving import Person, blocked, failed, network_of, route_to, up
from tests.lab.fixtures import require_lab
from tests.lab.machine import Spec
from tests.lab.sshd import Sshd
from tests.lab.world import World

PASSWORD = "correct horse"
_TARGET = "Host target\n  HostName {server}\n  User researcher\n"


@pytest.fixture(scope="module")
def lab() -> Iterator[World]:
    """A server beside the laptop, which takes a password too."""
    require_lab()
    spec = Spec("server", password=PASSWORD, sshd={"PasswordAuthentication": "yes"})
    with World([spec], nodes=0) as world:
        yield world


@pytest.fixture(autouse=True)
def _as_it_was(lab: World) -> Iterator[None]:
    known_hosts = lab.laptop.known_hosts.read_text()
    before = set(lab.laptop.ssh_dir.iterdir())
    yield
    lab.laptop.known_hosts.write_text(known_hosts)
    for path in set(lab.laptop.ssh_dir.iterdir()) - before:
        path.unlink()


def _configure(lab: World, settings: str, port: int = 22) -> None:
    """The alias "target" with these settings."""
    known = f"  UserKnownHostsFile {lab.laptop.known_hosts}\n  Port {port}\n"
    target = _TARGET.format(server=lab["server"].address)
    lines = "".join(f"  {line.strip()}\n" for line in settings.splitlines())
    lab.laptop.write_ssh_config(target + known + lines)


@asynccontextmanager
async def _link(lab: World, person: Person | None = None) -> Any:
    path = lab.laptop.write_config({"nodes": [{"name": "target", "ssh": "target"}]})
    async with network_of(lab.laptop, person) as network:
        yield network.link(await route_to(lab.laptop, "target", path))


@contextmanager
def _server(
    lab: World, options: Mapping[str, str | Sequence[str]], port: int = 2200
) -> Iterator[Sshd]:
    """Another sshd of the server, known to the laptop."""
    sshd = lab["server"].add_sshd(port, options=options)
    sshd.start()
    try:
        lab.laptop.trust([sshd])
        yield sshd
    finally:
        sshd.kill()
        lab["server"].sshds.remove(sshd)


def _ssh(lab: World) -> subprocess.CompletedProcess[str]:
    """The same login by the real client."""
    return lab.laptop.run(["ssh", "-o", "BatchMode=yes", "target", "true"], check=False)


def _authenticated(sshd: Sshd) -> bool:
    return bool(re.search(r"(Accepted|Failed|Postponed|userauth)", sshd.log()))


# Revoked host keys


def _krl(lab: World, path: Path, revoked: Path) -> None:
    lab.laptop.run(["ssh-keygen", "-q", "-k", "-f", path, revoked])


def _list(lab: World, path: Path, revoked: Path) -> None:
    path.write_text(f"# lost\n\n{revoked.read_text()}")


@pytest.mark.parametrize("write", [_list, _krl])
@pytest.mark.parametrize("known", [True, False])
async def test_a_revoked_host_key_stops_before_anything_is_asked_or_signed(
    lab: World, write: Any, known: bool
) -> None:
    file = lab.laptop.ssh_dir / "revoked"
    with _server(lab, {"LogLevel": "DEBUG1"}) as sshd:
        if not known:
            lab.laptop.distrust()
        _configure(lab, f"RevokedHostKeys {file}", sshd.port)
        other = keys.generate(lab.laptop.ssh_dir / "other")
        write(lab, file, other.public_path)
        person = Person(HostKeyAnswer.ONCE)
        async with _link(lab, person) as link:
            await up(link)
        assert len(person.asked) == (not known)
        assert _authenticated(sshd)

        write(lab, file, sshd.host_key.public_path)
        sshd.log_path.write_text("")
        person = Person(HostKeyAnswer.ONCE)
        async with _link(lab, person) as link:
            problem = await blocked(link)
        assert problem.kind is ErrorKind.HOST_KEY_CHANGED
        assert f"is revoked by {file}" in problem.message
        assert person.asked == []
        assert not _authenticated(sshd)
        assert _ssh(lab).returncode == 255


@pytest.mark.parametrize("write", [_list, _krl])
@pytest.mark.parametrize("revoked", ["host", "authority"])
async def test_a_revoked_certificate(lab: World, write: Any, revoked: str) -> None:
    server, file = lab["server"], lab.laptop.ssh_dir / "revoked"
    name = f"certified-{revoked}-{write.__name__}"
    key = keys.generate(server.directory / "keys" / name)
    authority = keys.generate(lab.laptop.ssh_dir / "authority")
    keys.certify(key, authority, principals=[server.address], host=True)
    inside = f"/opt/lab/keys/{name}"
    with _server(
        lab, {"HostKey": inside, "HostCertificate": f"{inside}-cert.pub"}, port=2201
    ) as sshd:
        lab.laptop.known_hosts.write_text(f"@cert-authority * {authority.public}\n")
        _configure(lab, f"RevokedHostKeys {file}", sshd.port)
        write(lab, file, lab.laptop.key.public_path)
        async with _link(lab) as link:
            await up(link)
        write(lab, file, (key if revoked == "host" else authority).public_path)
        async with _link(lab) as link:
            assert (await blocked(link)).kind is ErrorKind.HOST_KEY_CHANGED
        assert _ssh(lab).returncode == 255


@pytest.mark.parametrize("content", [None, "ssh-ed25519 garbage\n", "SSHKRL\n\0garbage"])
async def test_a_file_of_revoked_keys_that_cannot_be_read_leaves_none_trusted(
    lab: World, content: str | None
) -> None:
    file = lab.laptop.ssh_dir / "revoked"
    if content is not None:
        file.write_text(content)
    _configure(lab, f"RevokedHostKeys {file}")
    async with _link(lab) as link:
        problem = await blocked(link)
    assert problem.kind is ErrorKind.HOST_KEY_UNKNOWN
    assert str(file) in problem.message
    assert _ssh(lab).returncode == 255


# Unknown host keys


async def test_strict_checking_asks_nobody(lab: World) -> None:
    lab.laptop.distrust()
    _configure(lab, "StrictHostKeyChecking yes")
    person = Person(HostKeyAnswer.ALWAYS)
    async with _link(lab, person) as link:
        problem = await blocked(link)
    assert problem.kind is ErrorKind.HOST_KEY_UNKNOWN
    assert "StrictHostKeyChecking" in problem.message
    assert person.asked == []


async def test_names_are_hashed_where_ssh_would(lab: World) -> None:
    lab.laptop.distrust()
    _configure(lab, "HashKnownHosts yes")
    async with _link(lab, Person(HostKeyAnswer.ALWAYS)) as link:
        await up(link)
    assert lab.laptop.known_hosts.read_text().startswith("|1|")
    assert _ssh(lab).returncode == 0


async def test_a_command_that_prints_known_hosts(lab: World) -> None:
    server, program = lab["server"], lab.laptop.ssh_dir / "known"
    kind, blob, *_ = server.sshd.host_key.public.split()
    program.write_text(f'#!/bin/sh\n[ "$2" = target ] && echo "$1 {kind} {blob}"\n')
    program.chmod(0o755)
    lab.laptop.distrust()
    _configure(lab, f"KnownHostsCommand {program} %H %n")
    async with _link(lab) as link:
        await up(link)
        assert "not followed" not in "".join(event.text for event in link.events)
    assert _ssh(lab).returncode == 0

    other = keys.generate(lab.laptop.ssh_dir / "other").public
    program.write_text(f'#!/bin/sh\necho "$1 {other}"\n')
    async with _link(lab) as link:
        problem = await blocked(link)
    assert problem.kind is ErrorKind.HOST_KEY_CHANGED
    assert "KnownHostsCommand" in problem.message

    program.write_text("#!/bin/sh\nexit 1\n")
    async with _link(lab) as link:
        assert (await blocked(link)).kind is ErrorKind.HOST_KEY_UNKNOWN


# Algorithms


def _negotiated(log: str) -> str:
    """What sshd agreed on: kex, host key, cipher and MAC."""
    return " ".join(re.findall(r"kex: (?:algorithm|host key algorithm|client->server).*", log))


@pytest.mark.parametrize(
    ("settings", "agreed"),
    [
        ("KexAlgorithms ecdh-sha2-nistp384", "algorithm: ecdh-sha2-nistp384"),
        ("Ciphers aes192-ctr", "cipher: aes192-ctr"),
        ("Ciphers aes256-ctr\nMACs hmac-sha2-256", "MAC: hmac-sha2-256 "),
        ("HostKeyAlgorithms ssh-ed25519", "host key algorithm: ssh-ed25519"),
        ("HostKeyAlgorithms +ssh-rsa", "host key algorithm: ssh-ed25519"),
    ],
)
async def test_only_the_algorithms_of_ssh_config_are_proposed(
    lab: World, settings: str, agreed: str
) -> None:
    with _server(lab, {"LogLevel": "DEBUG2"}) as sshd:
        _configure(lab, settings, sshd.port)
        async with _link(lab) as link:
            await up(link)
        assert agreed in _negotiated(sshd.log())


async def test_algorithms_that_the_server_lacks(lab: World) -> None:
    with _server(lab, {"Ciphers": "aes128-ctr", "MACs": "hmac-sha2-256"}) as sshd:
        _configure(lab, "Ciphers aes256-ctr", sshd.port)
        async with _link(lab) as link:
            problem = await failed(link)
        assert problem.kind is ErrorKind.REFUSED
        assert "Ciphers" in problem.advice
        _configure(lab, "Ciphers aes256-ctr,aes128-ctr", sshd.port)
        async with _link(lab) as link:
            await up(link)


async def test_algorithms_that_only_ssh_has(lab: World) -> None:
    _configure(lab, "KexAlgorithms sntrup761x25519-sha512@openssh.com")
    async with _link(lab) as link:
        problem = await failed(link)
    assert problem.kind is ErrorKind.UNRESOLVED
    assert "KexAlgorithms" in problem.message


async def test_keys_that_may_be_offered(lab: World) -> None:
    rsa = keys.generate(lab.laptop.ssh_dir / "id_rsa_lab", kind="rsa")
    lab["server"].authorize(lab.laptop.key.public, rsa.public)
    log = lab["server"].sshd.log
    settings = f"IdentityFile {rsa.path}\nPubkeyAcceptedAlgorithms rsa-sha2-256"
    _configure(lab, settings)
    before = len(log())
    async with _link(lab) as link:
        await up(link)
    assert re.findall(r"Accepted publickey .* (\w+) SHA256:", log()[before:]) == ["RSA"]
    assert "ED25519" not in log()[before:]

    _configure(lab, "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256\nPasswordAuthentication no")
    async with _link(lab) as link:
        problem = await blocked(link)
    assert problem.kind is ErrorKind.AUTH_DENIED
    assert "PubkeyAcceptedAlgorithms" in problem.message


# Addresses


async def test_the_local_address(lab: World) -> None:
    second = "10.90.0.200"
    lab.laptop.run(["ip", "address", "add", f"{second}/24", "dev", "eth0"])
    try:
        _configure(lab, f"BindAddress {second}")
        async with _link(lab) as link:
            await up(link)
        assert f"Connection from {second} " in lab["server"].sshd.log()
    finally:
        lab.laptop.run(["ip", "address", "del", f"{second}/24", "dev", "eth0"])
    async with _link(lab) as link:
        problem = await failed(link)
    assert problem.kind is ErrorKind.UNREACHABLE
    assert f"BindAddress {second}" in problem.message


async def test_the_address_family(lab: World) -> None:
    _configure(lab, "AddressFamily inet")
    async with _link(lab) as link:
        await up(link)
    _configure(lab, "AddressFamily inet6")
    async with _link(lab) as link:
        assert (await failed(link)).kind is ErrorKind.UNRESOLVED


# Ways to log in


@pytest.mark.parametrize(
    "settings",
    [
        "PreferredAuthentications password",
        "PreferredAuthentications password,publickey",
        "PubkeyAuthentication no\nKbdInteractiveAuthentication no",
    ],
)
async def test_a_password_where_keys_are_not_wanted(lab: World, settings: str) -> None:
    _configure(lab, settings)
    person = Person(answers={"password": PASSWORD})
    before = len(lab["server"].sshd.log())
    async with _link(lab, person) as link:
        await up(link)
    assert len(person.asked) == 1
    said = lab["server"].sshd.log()[before:]
    assert "Accepted password" in said
    assert "publickey" not in said


async def test_how_often_a_password_is_asked_for(lab: World) -> None:
    _configure(lab, "PreferredAuthentications password\nNumberOfPasswordPrompts 2")
    person = Person(answers={"password": "wrong"})
    async with _link(lab, person) as link:
        assert (await blocked(link)).kind is ErrorKind.AUTH_DENIED
    assert [type(question) for question in person.asked] == [ChallengeQuestion] * 2


async def test_no_password_where_none_is_wanted(lab: World) -> None:
    _configure(lab, "IdentityAgent none\nIdentityFile /nowhere\nPasswordAuthentication no")
    person = Person(answers={"password": PASSWORD})
    async with _link(lab, person) as link:
        await blocked(link)
    assert person.asked == []


async def test_no_way_to_log_in_is_left(lab: World) -> None:
    _configure(lab, "PreferredAuthentications hostbased,gssapi-with-mic")
    before = lab["server"].sshd.log()
    async with _link(lab) as link:
        problem = await blocked(link)
    assert problem.kind is ErrorKind.AUTH_DENIED
    assert "PreferredAuthentications" in problem.advice
    assert lab["server"].sshd.log() == before


# What is not followed


async def test_what_is_not_followed_is_told_in_the_log(lab: World) -> None:
    _configure(
        lab,
        """
        StrictHostKeyChecking accept-new
        SecurityKeyProvider /nowhere/sk.so
        KnownHostsCommand /bin/true %f
        LogLevel QUIET
        ServerAliveInterval 7
        """,
    )
    async with _link(lab) as link:
        await up(link)
        assert link.status.state is LinkState.UP
        told = [event.text for event in link.events if "not followed" in event.text]
    assert told == [
        "ssh_config of target: SecurityKeyProvider, StrictHostKeyChecking, KnownHostsCommand "
        "are not followed"
    ]
