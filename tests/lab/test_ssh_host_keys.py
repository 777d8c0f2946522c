"""Host keys: asked about once, written as the user's file is, and a changed one always stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh.prompts import HostKeyAnswer, HostKeyQuestion
from gpuhop_tui.ssh.status import LinkState
from tests.lab import keys
from tests.lab.driving import (
    Person,
    blocked,
    failed,
    hop_to,
    logins,
    network_of,
    route_to,
    status,
    up,
)
from tests.lab.laptop import known_hosts_name
from tests.lab.waiting import await_until
from tests.lab.world import World


@pytest.fixture
def file(world: World) -> Iterator[Path]:
    """A known_hosts file of this test's own."""
    path = world.laptop.ssh_dir / "own_known_hosts"
    yield path
    path.unlink(missing_ok=True)


def direct(world: World, file: Path, **options: object) -> Route:
    return Route((hop_to(world.laptop, world.bastion.sshd, known_hosts_files=(file,), **options),))


async def test_an_unknown_key_is_shown_with_its_fingerprint_and_refused(
    world: World, file: Path
) -> None:
    person = Person()
    before = logins(world.bastion.sshd)
    async with network_of(world.laptop, person) as network:
        link = network.link(direct(world, file))
        problem = await blocked(link)
        fingerprint = world.bastion.sshd.host_key.fingerprint
        assert problem.kind is ErrorKind.HOST_KEY_UNKNOWN
        assert problem.hop == "bastion"
        assert fingerprint in problem.message
        assert person.asked == [
            HostKeyQuestion(
                "bastion", world.bastion.address, (), "ssh-ed25519", fingerprint, str(file)
            )
        ]
        assert not file.exists()
        assert logins(world.bastion.sshd) == before + 1
        person.host_key_answer = HostKeyAnswer.ONCE
        network.retry_now(link)
        await up(link)


async def test_accepted_once_holds_for_this_program_and_writes_nothing(
    world: World, file: Path
) -> None:
    person = Person(HostKeyAnswer.ONCE)
    async with network_of(world.laptop, person) as network:
        await up(network.link(direct(world, file)))
        await up(network.link(direct(world, file), lend_agent=True))
        assert len(person.asked) == 1
        assert not file.exists()
    async with network_of(world.laptop) as network:
        assert (await blocked(network.link(direct(world, file)))).kind is (
            ErrorKind.HOST_KEY_UNKNOWN
        )


@pytest.mark.parametrize("hashed", [False, True])
async def test_accepted_for_good_is_a_line_that_ssh_takes(
    world: World, file: Path, hashed: bool
) -> None:
    if hashed:
        file.write_text(f"other.example {world.laptop.key.public}\n")
        world.laptop.run(["ssh-keygen", "-q", "-H", "-f", file])
        file.with_suffix(".old").unlink()
    person = Person(HostKeyAnswer.ALWAYS)
    async with network_of(world.laptop, person) as network:
        await up(network.link(direct(world, file)))
    lines = file.read_text().splitlines()
    assert all(line.startswith("|1|") == hashed for line in lines)
    assert lines[-1].split()[1:] == world.bastion.sshd.host_key.public.split()[:2]
    strict = ("StrictHostKeyChecking=yes", f"UserKnownHostsFile={file}")
    world.laptop.run(["ssh", *(f"-o{option}" for option in strict), "bastion", "true"])
    async with network_of(world.laptop) as network:
        await up(network.link(direct(world, file)))


async def test_a_question_takes_as_long_as_it_takes_without_a_login_open(
    world: World, file: Path
) -> None:
    """The server's LoginGraceTime does not run while a person compares fingerprints."""
    decided = asyncio.Event()
    person = Person(HostKeyAnswer.ONCE, thinks=decided.wait)
    async with network_of(world.laptop, person) as network:
        link = network.link(direct(world, file, connect_timeout=1.0))
        await await_until(lambda: "your answer" in link.status.step, "the question")
        await await_until(lambda: not world.bastion.sshd.connections(), "no open connection")
        with pytest.raises(TimeoutError):  # longer than the login may take
            async with asyncio.timeout(1.5):
                await link.wait_until(lambda link: link.status.problem is not None)
        decided.set()
        await up(link)
        assert link.status.connect_seconds is not None
        assert link.status.connect_seconds < 1.0


async def test_forty_logins_to_one_unknown_server_ask_once(world: World, file: Path) -> None:
    person = Person(HostKeyAnswer.ONCE)
    async with network_of(world.laptop, person) as network:
        hop = direct(world, file).target
        named = [Hop(**{**_facts(hop), "name": f"alias-{k}"}) for k in range(40)]
        links = [network.link(Route((each,))) for each in named]
        await asyncio.gather(*map(up, links))
        assert len(person.asked) == 1


def _facts(hop: Hop) -> dict[str, object]:
    return {name: getattr(hop, name) for name in Hop.__dataclass_fields__}


async def test_a_changed_key_stops_and_names_the_line(world: World, file: Path) -> None:
    other = keys.generate(world.directory / "other-host-key")
    try:
        name = known_hosts_name(world.bastion.sshd)
        file.write_text(f"# mine\n{name} {other.public}\n")
        person = Person(HostKeyAnswer.ALWAYS)
        before = logins(world.bastion.sshd)
        async with network_of(world.laptop, person) as network:
            link = network.link(direct(world, file))
            problem = await blocked(link)
            assert problem.kind is ErrorKind.HOST_KEY_CHANGED
            assert f"{file}:2" in problem.message
            assert world.bastion.sshd.host_key.fingerprint in problem.message
            assert f"ssh-keygen -f {file} -R '{name}'" in problem.advice
            link.check_now(after_wake=True)  # not even then
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await link.wait_until(lambda link: link.status.state is not LinkState.BLOCKED)
        assert person.asked == []
        assert logins(world.bastion.sshd) == before + 1
        assert file.read_text().splitlines()[1:] == [f"{name} {other.public}"]
    finally:
        other.path.unlink()
        other.public_path.unlink()


async def test_a_revoked_key_stops_even_where_it_is_also_trusted(world: World, file: Path) -> None:
    name = known_hosts_name(world.bastion.sshd)
    kind, blob = world.bastion.sshd.host_key.public.split()[:2]
    file.write_text(f"{name} {kind} {blob}\n@revoked * {kind} {blob}\n")
    person = Person(HostKeyAnswer.ALWAYS)
    async with network_of(world.laptop, person) as network:
        problem = await blocked(network.link(direct(world, file)))
    assert problem.kind is ErrorKind.HOST_KEY_CHANGED
    assert "revoked" in problem.message
    assert f"{file}:2" in problem.message
    assert person.asked == []


async def test_another_type_of_key_than_the_known_one_is_a_changed_key(
    world: World, file: Path
) -> None:
    """A server that lost its ed25519 key and shows RSA is no unknown server."""
    other = keys.generate(world.directory / "rsa-host-key", kind="rsa")
    try:
        file.write_text(f"{known_hosts_name(world.bastion.sshd)} {other.public}\n")
        async with network_of(world.laptop, Person(HostKeyAnswer.ALWAYS)) as network:
            problem = await blocked(network.link(direct(world, file)))
        assert problem.kind is ErrorKind.HOST_KEY_CHANGED
        assert f"{file}:1" in problem.message
    finally:
        other.path.unlink()
        other.public_path.unlink()


async def test_a_host_authority_is_taken_for_the_hosts_it_may_speak_for(
    make_world: Callable[..., World],
) -> None:
    world = make_world(nodes=0)
    sshd = world.bastion.sshd
    authority = keys.generate(world.directory / "authority")
    keys.certify(sshd.host_key, authority, principals=[world.bastion.address], host=True)
    sshd.options["HostCertificate"] = "/opt/lab/keys/host-cert.pub"
    sshd.restart()
    file = world.laptop.ssh_dir / "own_known_hosts"
    file.write_text(f"@cert-authority 10.90.* {authority.public}\n")
    async with network_of(world.laptop) as network:
        await up(network.link(direct(world, file)))

    keys.certify(sshd.host_key, authority, principals=["elsewhere"], host=True)
    sshd.restart()
    async with network_of(world.laptop) as network:
        problem = await blocked(network.link(direct(world, file)))
        assert problem.kind is ErrorKind.HOST_KEY_CHANGED
        assert f"{file}:1" in problem.message


async def test_the_hosts_before_it_are_part_of_the_question(world: World, file: Path) -> None:
    route = await _route_with_own_file(world, file)
    person = Person(HostKeyAnswer.ONCE)
    async with network_of(world.laptop, person) as network:
        await up(network.link(route))
    (question,) = person.asked
    assert isinstance(question, HostKeyQuestion)
    assert question.hop == "gpu-01"
    assert question.route == ("bastion",)


async def _route_with_own_file(world: World, file: Path) -> Route:
    with world.laptop.entered():
        route = await route_to(world.laptop, "gpu-01")
    target = Hop(**{**_facts(route.target), "known_hosts_files": (file,)})
    return Route((*route.via, target))


def test_status_refuses_unknown_keys(make_world: Callable[..., World]) -> None:
    world = make_world(nodes=1)
    world.laptop.distrust()
    world.laptop.trust([world.bastion.sshd])
    code, nodes = status(world.laptop)
    assert code == 1
    error = nodes["gpu-01"]["error"]
    assert (error["hop"], error["kind"]) == ("gpu-01", "host-key-unknown")
    assert world["gpu-01"].sshd.host_key.fingerprint in error["message"]
    assert len(world.laptop.known_hosts.read_text().splitlines()) == 1


def test_status_refuses_changed_keys_after_one_connection(
    make_world: Callable[..., World],
) -> None:
    world = make_world(nodes=2)
    world["gpu-01"].sshd.rotate_host_key()
    before = logins(world["gpu-01"].sshd)
    code, nodes = status(world.laptop)
    assert code == 1
    error = nodes["gpu-01"]["error"]
    assert (error["hop"], error["kind"]) == ("gpu-01", "host-key-changed")
    assert f"{world.laptop.known_hosts}:2" in error["message"]
    assert logins(world["gpu-01"].sshd) == before + 1
    assert nodes["gpu-02"]["state"] == "up"


async def test_a_server_in_an_unwritable_file_is_still_accepted(world: World) -> None:
    """As for `UserKnownHostsFile /dev/null` by hand: it holds for this program."""
    person = Person(HostKeyAnswer.ALWAYS)
    async with network_of(world.laptop, person) as network:
        await up(network.link(direct(world, Path("/proc/none/known_hosts"))))
        assert len(person.asked) == 1


async def test_no_file_at_all_means_every_key_is_unknown(world: World) -> None:
    async with network_of(world.laptop) as network:
        hop = hop_to(world.laptop, world.bastion.sshd, known_hosts_files=())
        assert (await failed(network.link(Route((hop,))))).kind is ErrorKind.HOST_KEY_UNKNOWN
