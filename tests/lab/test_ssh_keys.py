"""Logging in: the agent's keys, key files with passphrases, second factors, passwords."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuhop_tui.config.hops import Route
from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh.prompts import ChallengeQuestion, PassphraseQuestion
from tests.lab import keys
from tests.lab.driving import Person, blocked, hop_to, logins, network_of, says, up
from tests.lab.fixtures import require_lab
from tests.lab.keys import Key
from tests.lab.machine import Spec
from tests.lab.sshd import Sshd
from tests.lab.waiting import await_until
from tests.lab.world import World

PASSWORD = "correct horse"
PAM = "auth required pam_unix.so\naccount required pam_permit.so\n"


@pytest.fixture(scope="module")
def door() -> Iterator[World]:
    """A laptop and one server that asks PAM where its sshd is told to."""
    require_lab()
    with World(bastions=[Spec("door", password=PASSWORD, pam=PAM)], nodes=0) as world:
        world.bastion.sshd.options["KbdInteractiveAuthentication"] = "no"
        world.bastion.sshd.restart()
        yield world


@pytest.fixture(autouse=True)
def _as_it_was(door: World) -> Iterator[None]:
    yield
    laptop = door.laptop
    if laptop.agent.fingerprints() != [laptop.key.fingerprint]:
        laptop.agent.clear()
        laptop.agent.add(laptop.key)
    if door.bastion.sshd.options != {"KbdInteractiveAuthentication": "no"}:
        reconfigure(door.bastion.sshd, KbdInteractiveAuthentication="no")
    door.bastion.authorize(laptop.key.public)


def reconfigure(sshd: Sshd, **options: str) -> None:
    sshd.options.clear()
    sshd.options.update(options)
    sshd.restart()


def route(door: World, **options: Any) -> Route:
    return Route((hop_to(door.laptop, door.bastion.sshd, **options),))


def new_key(door: World, name: str, **options: Any) -> Key:
    """A key that opens the door, on top of the laptop's."""
    path = door.laptop.ssh_dir / name
    path.unlink(missing_ok=True)
    path.with_name(name + ".pub").unlink(missing_ok=True)
    key = keys.generate(path, **options)
    door.bastion.authorize(door.laptop.key.public, key.public)
    return key


# The agent


async def test_the_agents_key_opens_without_a_question(door: World) -> None:
    person = Person()
    async with network_of(door.laptop, person) as network:
        link = await up(network.link(route(door)))
        assert await says(link, "hostname") == "door\n"
    assert person.asked == []


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
async def test_other_kinds_of_keys_in_the_agent(door: World, kind: str) -> None:
    key = new_key(door, f"agent_{kind}", kind=kind)
    door.laptop.agent.clear()
    door.laptop.agent.add(key)
    async with network_of(door.laptop) as network:
        await up(network.link(route(door)))


async def test_a_missing_agent_is_named_and_watched_for(door: World) -> None:
    door.laptop.agent.stop()
    try:
        async with network_of(door.laptop) as network:
            link = network.link(route(door))
            problem = await blocked(link)
            assert problem.kind is ErrorKind.AGENT_MISSING
            assert str(door.laptop.agent.socket) in problem.message
            assert "ssh-add" in problem.advice
            door.laptop.agent.socket.unlink(missing_ok=True)
            door.laptop.agent.start()
            door.laptop.agent.add(door.laptop.key)
            await up(link)  # by itself
    finally:
        if not door.laptop.agent.socket.exists():
            door.laptop.agent.start()


async def test_an_empty_agent_is_named_and_watched_for(door: World) -> None:
    door.laptop.agent.clear()
    async with network_of(door.laptop) as network:
        link = network.link(route(door))
        problem = await blocked(link)
        assert problem.kind is ErrorKind.AGENT_EMPTY
        assert "ssh-add" in problem.advice
        door.laptop.agent.add(door.laptop.key)
        await up(link)


async def test_a_wrong_key_is_denied_after_one_login(door: World) -> None:
    wrong = keys.generate(door.directory / "wrong")
    try:
        door.laptop.agent.clear()
        door.laptop.agent.add(wrong)
        before = logins(door.bastion.sshd)
        async with network_of(door.laptop) as network:
            link = network.link(route(door))
            problem = await blocked(link)
            assert problem.kind is ErrorKind.AUTH_DENIED
            assert problem.hop == "door"
            assert "authorized_keys" in problem.advice
            link.check_now(after_wake=True)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(link.wait_until(lambda link: link.is_up), 1.0)
            assert logins(door.bastion.sshd) == before + 1
            door.bastion.authorize(door.laptop.key.public, wrong.public)
            network.retry_now(link)
            await up(link)
    finally:
        wrong.path.unlink()
        wrong.public_path.unlink()


async def test_many_keys_in_the_agent(door: World) -> None:
    """sshd hangs up after MaxAuthTries, 6: as with ssh, the advice is to name the key; then it
    works with as many."""
    many = [keys.generate(door.directory / f"many-{k}") for k in range(8)]
    door.laptop.agent.clear()
    for key in many:
        door.laptop.agent.add(key)
    door.laptop.agent.add(door.laptop.key)
    async with network_of(door.laptop) as network:
        problem = await blocked(network.link(route(door)))
        assert problem.kind is ErrorKind.AUTH_DENIED
        assert "too many" in problem.message.lower()
        assert "identity_file" in problem.advice
        named = route(door, identity_files=(door.laptop.key.public_path,))
        await up(network.link(named))


async def test_identities_only_offers_no_other_key(door: World) -> None:
    other = new_key(door, "other")
    door.bastion.authorize(door.laptop.key.public)
    door.laptop.agent.add(other)
    async with network_of(door.laptop) as network:
        only = route(door, identities_only=True, identity_files=(other.path,))
        assert (await blocked(network.link(only))).kind is ErrorKind.AUTH_DENIED
        tried = door.bastion.sshd.log().count(door.laptop.key.fingerprint)
        both = route(door, identity_files=(other.path,))
        await up(network.link(both))
        assert door.bastion.sshd.log().count(door.laptop.key.fingerprint) > tried


async def test_identity_agent_of_a_hop(door: World) -> None:
    """`IdentityAgent` names another agent than the app's; `none` means none."""
    async with network_of(door.laptop) as network:
        nowhere = str(door.laptop.home / "no-agent")
        problem = await blocked(network.link(route(door, identity_agent=nowhere)))
        assert problem.kind is ErrorKind.AGENT_MISSING
        problem = await blocked(network.link(route(door, identity_agent="none")))
        assert problem.kind is ErrorKind.AGENT_MISSING
        network.agent.socket = None  # as if there was no agent for the app itself
        await up(network.link(route(door, identity_agent=str(door.laptop.agent.socket))))


async def test_an_agent_that_refuses_to_sign(door: World) -> None:
    """A key that wants each use confirmed (`ssh-add -c`), and nobody there to confirm."""
    door.laptop.agent.clear()
    door.laptop.agent.add(door.laptop.key, "-c")
    async with network_of(door.laptop) as network:
        problem = await blocked(network.link(route(door)))
        assert problem.kind is ErrorKind.AUTH_DENIED
        assert "the agent refused to sign" in problem.message
    door.laptop.agent.clear()


# Certificates


@pytest.mark.parametrize("held_by", ["agent", "file"])
async def test_certificates_of_users(door: World, held_by: str) -> None:
    authority = _fresh(door.directory / "authority")
    key = _fresh(door.laptop.ssh_dir / "certified")
    certificate = keys.certify(key, authority, principals=["researcher"])
    (door.bastion.directory / "authority.pub").write_text(authority.public + "\n")
    reconfigure(
        door.bastion.sshd,
        KbdInteractiveAuthentication="no",
        TrustedUserCAKeys="/opt/lab/authority.pub",
    )
    door.bastion.authorize()
    door.laptop.agent.clear()
    options: dict[str, Any] = {}
    if held_by == "agent":
        door.laptop.agent.add(key)
    else:
        options = {"identity_files": (key.path,), "certificate_files": (certificate,)}
    async with network_of(door.laptop) as network:
        await up(network.link(route(door, **options)))
    assert re.search(r"Accepted publickey .* ED25519-CERT", door.bastion.sshd.log())


async def test_a_certificate_beside_a_key_that_the_agent_holds_bare(door: World) -> None:
    authority = _fresh(door.directory / "authority")
    key = _fresh(door.laptop.ssh_dir / "certified")
    door.laptop.agent.clear()
    door.laptop.agent.add(key)
    certificate = keys.certify(key, authority, principals=["researcher"])
    (door.bastion.directory / "authority.pub").write_text(authority.public + "\n")
    reconfigure(
        door.bastion.sshd,
        KbdInteractiveAuthentication="no",
        TrustedUserCAKeys="/opt/lab/authority.pub",
    )
    door.bastion.authorize()
    hop = {"identity_files": (key.public_path,), "certificate_files": (certificate,)}
    async with network_of(door.laptop) as network:
        await up(network.link(route(door, **hop)))


def _fresh(path: Path) -> Key:
    for name in (path.name, f"{path.name}.pub", f"{path.name}-cert.pub"):
        path.with_name(name).unlink(missing_ok=True)
    return keys.generate(path)


# Key files


async def test_a_key_file_without_a_passphrase(door: World) -> None:
    door.laptop.agent.clear()
    person = Person()
    async with network_of(door.laptop, person) as network:
        await up(network.link(route(door, identity_files=(door.laptop.key.path,))))
    assert person.asked == []


async def test_a_passphrase_is_asked_for_once_and_the_agent_gets_the_key(door: World) -> None:
    """Forty logins at once, one question; afterwards the agent holds the key for its lifetime."""
    key = new_key(door, "locked", passphrase="open sesame")
    door.laptop.agent.clear()
    person = Person(passphrases=["wrong", "open sesame"])
    async with network_of(door.laptop, person, key_lifetime_seconds=3600) as network:
        links = [
            network.link(route(door, name=f"door-{k}", identity_files=(key.path,)))
            for k in range(40)
        ]
        await asyncio.gather(*map(up, links))
        assert [type(question) for question in person.asked] == [PassphraseQuestion] * 2
        first, second = person.asked
        assert isinstance(first, PassphraseQuestion)
        assert isinstance(second, PassphraseQuestion)
        assert (first.wrong, second.wrong) == (False, True)
        assert first.key_file == str(key.path)
        assert first.fingerprint == key.fingerprint
        assert first.lifetime_seconds == 3600
    assert door.laptop.agent.fingerprints() == [key.fingerprint]


async def test_the_agent_keeps_the_key_for_its_lifetime_only(door: World) -> None:
    key = new_key(door, "locked", passphrase="open sesame")
    door.laptop.agent.clear()
    person = Person(passphrases=["open sesame"])
    async with network_of(door.laptop, person, key_lifetime_seconds=1) as network:
        await up(network.link(route(door, identity_files=(key.path,))))
        await await_until(lambda: not door.laptop.agent.fingerprints(), "the key to expire")


async def test_a_person_may_take_longer_than_the_login_may(door: World) -> None:
    key = new_key(door, "locked", passphrase="open sesame")
    door.laptop.agent.clear()
    remembered = asyncio.Event()
    person = Person(passphrases=["open sesame"], thinks=remembered.wait)
    async with network_of(door.laptop, person) as network:
        link = network.link(route(door, identity_files=(key.path,), connect_timeout=1.0))
        await await_until(lambda: person.asked, "the question")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await link.wait_until(lambda link: link.status.problem is not None)
        remembered.set()
        await up(link)
        assert link.status.connect_seconds is not None
        assert link.status.connect_seconds < 1.0


async def test_a_passphrase_that_is_not_given_blocks_and_can_be_asked_again(door: World) -> None:
    key = new_key(door, "locked", passphrase="open sesame")
    door.laptop.agent.clear()
    person = Person()
    async with network_of(door.laptop, person) as network:
        link = network.link(route(door, identity_files=(key.path,)))
        problem = await blocked(link)
        assert problem.kind is ErrorKind.AUTH_DENIED
        assert f"the passphrase of {key.path} was not given" in problem.message
        person.passphrases = ["open sesame"]
        network.retry_now(link)
        await up(link)
        assert len(person.asked) == 2


async def test_an_agents_key_is_tried_before_a_passphrase_is_asked_for(door: World) -> None:
    key = new_key(door, "locked", passphrase="open sesame")
    person = Person()
    async with network_of(door.laptop, person) as network:
        await up(network.link(route(door, identity_files=(key.path,))))
    assert person.asked == []


async def test_a_locked_key_that_the_server_does_not_want_is_not_asked_for(door: World) -> None:
    key = new_key(door, "locked", passphrase="open sesame")
    door.bastion.authorize()
    person = Person(passphrases=["open sesame"])
    async with network_of(door.laptop, person) as network:
        problem = await blocked(network.link(route(door, identity_files=(key.path,))))
    assert problem.kind is ErrorKind.AUTH_DENIED
    assert person.asked == []


async def test_an_old_pem_key_with_a_passphrase(door: World) -> None:
    """Its public half cannot be read without the passphrase, and no .pub stands beside it."""
    path = door.laptop.ssh_dir / "old_rsa"
    path.unlink(missing_ok=True)
    key = new_key(door, "old_rsa", kind="rsa", passphrase="open sesame")
    door.laptop.run(
        ["ssh-keygen", "-q", "-p", "-m", "PEM", "-P", "open sesame", "-N", "open sesame",
         "-f", key.path]
    )  # fmt: skip
    key.public_path.unlink()
    door.laptop.agent.clear()
    person = Person(passphrases=["open sesame"])
    async with network_of(door.laptop, person) as network:
        await up(network.link(route(door, identity_files=(key.path,))))
    assert len(person.asked) == 1


# What the server asks


async def test_a_second_factor_reaches_the_person(door: World) -> None:
    reconfigure(door.bastion.sshd, AuthenticationMethods="publickey,keyboard-interactive:pam")
    seen = asyncio.Event()
    person = Person(answers={"Password": PASSWORD}, thinks=seen.wait)
    async with network_of(door.laptop, person) as network:
        link = network.link(route(door, connect_timeout=1.0))
        await await_until(lambda: person.asked, "the question")
        with pytest.raises(TimeoutError):  # looking for one's phone is no timeout
            async with asyncio.timeout(1.5):
                await link.wait_until(lambda link: link.status.problem is not None)
        seen.set()
        await up(link)
    (question,) = person.asked
    assert isinstance(question, ChallengeQuestion)
    assert question.hop == "door"
    assert question.prompts == (("Password: ", False),)


async def test_a_wrong_second_factor_is_denied_and_not_tried_blindly(door: World) -> None:
    reconfigure(door.bastion.sshd, AuthenticationMethods="publickey,keyboard-interactive:pam")
    before = logins(door.bastion.sshd)
    person = Person(answers={"Password": "wrong"})
    async with network_of(door.laptop, person) as network:
        link = network.link(route(door))
        problem = await blocked(link, seconds=30)
        assert problem.kind is ErrorKind.AUTH_DENIED
        assert "did not accept the answers" in problem.message
        assert 1 <= len(person.asked) <= 3
        assert logins(door.bastion.sshd) == before + 1


async def test_nobody_to_ask_is_a_denial_after_one_login(door: World) -> None:
    reconfigure(door.bastion.sshd, AuthenticationMethods="publickey,keyboard-interactive:pam")
    before = logins(door.bastion.sshd)
    async with network_of(door.laptop) as network:
        problem = await blocked(network.link(route(door)))
        assert problem.kind is ErrorKind.AUTH_DENIED
        assert "its question was not answered" in problem.message
        assert logins(door.bastion.sshd) == before + 1


async def test_a_password(door: World) -> None:
    reconfigure(
        door.bastion.sshd,
        KbdInteractiveAuthentication="no",
        PasswordAuthentication="yes",
        PubkeyAuthentication="no",
    )
    person = Person(answers={"password": PASSWORD})
    async with network_of(door.laptop, person) as network:
        await up(network.link(route(door)))
    (question,) = person.asked
    assert isinstance(question, ChallengeQuestion)
    assert question.prompts == ((f"researcher@{door.bastion.address}'s password: ", False),)
