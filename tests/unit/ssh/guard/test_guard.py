"""A lent agent as its clients find it: sockets, messages, limits, questions."""

import asyncio
import os
import stat
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.ssh.guard import lent as lent_module
from gpuhop_tui.ssh.guard import upstream as upstream_module
from gpuhop_tui.ssh.guard.guard import Guard, GuardSettings
from gpuhop_tui.ssh.guard.policy import Decision, Policy, Rule
from gpuhop_tui.ssh.guard.wire import FAILURE, SIGN, SUCCESS, framed, string
from gpuhop_tui.ssh.known_hosts import KnownHosts
from gpuhop_tui.ssh.prompts import NoPrompter, SignatureAnswer
from gpuhop_tui.ssh.session_bind import EXTENSION, SessionBind
from tests.lab.foreign_agent import ForeignAgent, SoftKey
from tests.lab.waiting import await_until
from tests.unit.ssh.guard.parts import bind, key, login, sign, sshsig

ALLOW = Policy(Decision.ALLOW)
ROUTE = Route((Hop("jump", "j", 22, "u"), Hop("gpu-01", "h", 22, "u")))
NODE, OTHER = key(), key()
OWN = b"own session of 32 bytes, or so.."
SIGNED, LISTED = 14, 12


@dataclass
class Person(NoPrompter):
    """Answers as told, once it may."""

    answer: SignatureAnswer = SignatureAnswer.DENY
    may: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list = field(default_factory=list)
    taken_back: int = 0

    async def signature(self, question):
        self.asked.append(question)
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.taken_back += 1
            raise
        return self.answer


class Client:
    """A program on the node that uses the agent."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, message: bytes) -> None:
        self.writer.write(framed(message))

    async def answer(self) -> bytes:
        return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(4)))

    async def ask(self, message: bytes) -> bytes:
        self.send(message)
        return await self.answer()

    async def binds(self, contents: bytes) -> bool:
        return (await self.ask(b"\x1b" + string(EXTENSION) + contents))[0] == SUCCESS

    async def signs(self, user_key: SoftKey, data: bytes) -> bool:
        return (await self.ask(bytes([SIGN]) + sign(user_key.blob, data)))[0] == SIGNED

    async def is_gone(self) -> bool:
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:  # cut off with bytes of ours unread
            return True


class Lab:
    """A guard before an agent that holds one key."""

    def __init__(self, directory: Path, person=None, policy=None, habit="refuses", **options):
        self.person = person or Person()
        self.key = SoftKey()
        self.agent = ForeignAgent(directory / "agent", self.key, habit=habit)
        self.log = directory / "agent.jsonl"
        settings = GuardSettings(policy or Policy(), audit=self.log, **options)
        self.guard = Guard(settings, self.person, KnownHosts())
        self.lent = self.guard.lend(ROUTE, str(directory / "agent"))

    async def __aenter__(self):
        self.agent.__enter__()
        await self.lent.start()
        signature = NODE.sign(OWN, b"ssh-ed25519")
        self.lent.bound(SessionBind(NODE.public_data, OWN, signature))
        return self

    async def __aexit__(self, *_):
        await self.guard.close()
        self.agent.__exit__(None, None, None)

    @asynccontextmanager
    async def client(self):
        reader, writer = await asyncio.open_unix_connection(self.lent.socket)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()

    async def reason(self, text: str) -> None:
        """Waits until a decision has this reason."""
        await until(lambda: any(text in event.reason for event in self.guard.events))


async def until(look):
    await await_until(look, "it")


async def test_the_socket_is_for_its_user_alone_and_ends_with_the_lending(tmp_path):
    async with Lab(tmp_path) as lab:
        path = Path(lab.lent.socket)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.stat().st_uid == os.getuid()
        async with lab.client() as client:
            assert (await client.ask(b"\x0b"))[0] == LISTED
            await lab.guard.end(lab.lent)
            assert await client.is_gone()
        assert not path.parent.exists()
        assert lab.guard.lendings == ()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
async def test_another_local_user_cannot_reach_it(tmp_path):
    knock = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    async with Lab(tmp_path) as lab:
        for user in (0, 65534):
            command = ["/usr/bin/python3", "-c", knock, lab.lent.socket]
            done = await asyncio.to_thread(
                subprocess.run, command, user=user, group=user, extra_groups=[], capture_output=True
            )
            assert (done.returncode == 0) is (user == 0)
            assert (b"PermissionError" in done.stderr) is (user != 0)


async def test_only_keys_that_may_sign_are_listed(tmp_path):
    policy = Policy(Decision.ASK, (Rule(Decision.DENY, key="foreign"),))
    async with Lab(tmp_path, policy=policy) as lab, lab.client() as client:
        assert await client.ask(b"\x0b") == bytes([LISTED, 0, 0, 0, 0])
        assert not await client.signs(lab.key, sshsig())
        assert not await client.signs(SoftKey(), sshsig())
        assert 13 not in lab.agent.requests


async def test_every_other_request_is_refused_and_not_passed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(lent_module, "MESSAGES_AT_ONCE", 300)
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        for kind in set(range(256)) - {11, 13, 27}:
            assert await client.ask(bytes([kind]) + string(b"x")) == bytes([FAILURE]), kind
        assert lab.agent.requests == []
        assert (await client.ask(b"\x0b"))[0] == LISTED  # the connection goes on


@pytest.mark.parametrize("name", [b"query", b"restrict-destination-v00@openssh.com", b"\xff"])
async def test_other_extensions_are_refused(tmp_path, name):
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        assert await client.ask(b"\x1b" + string(name)) == bytes([FAILURE])
        assert lab.agent.requests == []


# Binds


async def test_a_bound_login_is_at_its_server(tmp_path):
    person = Person(SignatureAnswer.ONCE)
    person.may.set()
    async with Lab(tmp_path, person) as lab, lab.client() as client:
        assert await client.binds(bind(OTHER, b"1" * 32))
        assert await client.signs(lab.key, login(lab.key.blob, b"1" * 32))
        (question,) = person.asked
        assert question.facts.host_key == OTHER.get_fingerprint()
        assert question.facts.through == ()
        # A session that is not the bound one is nowhere.
        assert await client.signs(lab.key, login(lab.key.blob, b"2" * 32))
        assert person.asked[1].facts.purpose == "unbound"
        assert person.asked[1].facts.host_key == ""


@pytest.mark.parametrize(
    "contents",
    [
        bind(OTHER, b"1" * 32, shown=NODE.public_data),
        bind(OTHER, b"1" * 32)[:-9],
        bind(OTHER, b"1" * 32, signature=OTHER.sign(b"2" * 32, b"ssh-ed25519")),
        bind(OTHER, OWN),
    ],
    ids=["forged", "truncated", "replayed", "the node's own session"],
)
async def test_a_lie_ends_all_trust_in_the_connection(tmp_path, contents):
    async with Lab(tmp_path, policy=ALLOW) as lab:
        async with lab.client() as client:
            assert not await client.binds(contents)
            assert not await client.signs(lab.key, sshsig())
            assert not await client.signs(lab.key, login(lab.key.blob, b"1" * 32))
            await lab.reason("session-bind does not hold")
        async with lab.client() as another:
            assert await another.signs(lab.key, sshsig())


async def test_no_login_on_the_connection_that_lends(tmp_path):
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        assert not await client.signs(lab.key, login(lab.key.blob, OWN))
        await lab.reason("only lent over")


async def test_a_login_that_names_another_host_key_than_the_proven_one(tmp_path):
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        assert await client.binds(bind(OTHER, b"1" * 32))
        wrong = login(lab.key.blob, b"1" * 32, host_key=NODE.public_data)
        assert not await client.signs(lab.key, wrong)
        right = login(lab.key.blob, b"1" * 32, host_key=OTHER.public_data)
        assert await client.signs(lab.key, right)


@pytest.mark.parametrize("habit", ["refuses", "hangs up", "is silent"])
async def test_agents_that_know_no_binds(tmp_path, habit, monkeypatch):
    monkeypatch.setattr("gpuhop_tui.ssh.guard.upstream.BIND_SECONDS", 0.2)
    async with Lab(tmp_path, policy=ALLOW, habit=habit) as lab, lab.client() as client:
        assert await client.binds(bind(OTHER, b"1" * 32))
        assert await client.signs(lab.key, login(lab.key.blob, b"1" * 32))


async def test_an_agent_that_is_gone(tmp_path):
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        (tmp_path / "agent").rename(tmp_path / "elsewhere")
        assert await client.ask(b"\x0b") == bytes([FAILURE])
        await lab.reason("no answer from the agent")
        (tmp_path / "elsewhere").rename(tmp_path / "agent")


async def test_what_the_agent_itself_refuses_is_in_the_log(tmp_path):
    """A confirmation that was declined (`ssh-add -c`), a security key that was not touched."""
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        answer = lab.agent._answer
        lab.agent._answer = lambda message: (
            bytes([FAILURE]) if message[0] == SIGN else answer(message)
        )
        assert not await client.signs(lab.key, sshsig())
        await lab.reason("the agent itself has refused it")


# Bytes


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.binary(max_size=80).map(framed),
            st.binary(max_size=80).map(lambda data: framed(b"\x0d" + data)),
            st.binary(max_size=80).map(lambda data: framed(b"\x1b" + string(EXTENSION) + data)),
            st.just(framed(b"\x0b")),
        ),
        max_size=6,
    )
)
def test_whatever_a_client_sends_the_next_one_is_served(tmp_path_factory, pieces):
    async def talk():
        async with Lab(tmp_path_factory.mktemp("guard"), policy=ALLOW) as lab:
            async with lab.client() as client:
                for piece in pieces:
                    client.writer.write(piece)
                client.writer.write_eof()
                async with asyncio.timeout(10):
                    while await client.reader.read(4096):
                        pass
            async with lab.client() as client:
                assert (await client.ask(b"\x0b"))[0] == LISTED
            await until(lambda: lab.guard.lendings[0].clients == 0)
            assert 17 not in lab.agent.requests

    asyncio.run(talk())


async def test_who_sends_too_much_ahead_is_cut_off(tmp_path):
    person = Person()
    async with Lab(tmp_path, person) as lab, lab.client() as client:
        client.send(bytes([SIGN]) + sign(lab.key.blob, sshsig()))
        await until(lambda: person.asked)
        client.writer.write(framed(b"\x0b" + bytes(200_000)) * 4)
        async with asyncio.timeout(10):
            assert await client.is_gone()
        await until(lambda: person.taken_back == 1)
        await lab.reason("too much")


async def test_who_sends_many_small_messages_ahead_is_cut_off(tmp_path):
    person = Person()
    async with Lab(tmp_path, person) as lab, lab.client() as client:
        client.send(bytes([SIGN]) + sign(lab.key.blob, sshsig()))
        await until(lambda: person.asked)
        client.writer.write(framed(b"\x0b\x0b") * 1000)
        async with asyncio.timeout(10):
            assert await client.is_gone()
        await lab.reason("too much")


async def test_who_never_reads_its_answers_holds_up_no_end(tmp_path):
    async with Lab(tmp_path) as lab, lab.client() as client:
        lab.agent.comment = b"c" * 200_000
        client.writer.transport.pause_reading()
        for _ in range(20):
            client.send(b"\x0b")
        await until(lambda: lab.agent.requests.count(11) >= 2)
        async with asyncio.timeout(10):
            await lab.guard.end(lab.lent)


async def test_nobody_is_served_before_the_connection_is_proven(tmp_path):
    async with Lab(tmp_path, policy=ALLOW) as lab:
        await lab.lent.start()  # the next connection, which is not logged in yet
        async with lab.client() as client:
            assert await client.is_gone()
        assert not lab.agent.requests
        await lab.reason("not proven yet")
        lab.lent.bound(None)
        async with lab.client() as client:
            assert (await client.ask(b"\x0b"))[0] == LISTED


async def test_a_late_answer_of_the_agent_is_nobody_elses(tmp_path, monkeypatch):
    monkeypatch.setattr(upstream_module, "SIGN_SECONDS", 0.2)
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        assert (await client.ask(b"\x0b"))[0] == LISTED
        lab.agent.signs.clear()
        assert not await client.signs(lab.key, sshsig())
        lab.agent.signs.set()
        for _ in range(3):
            assert (await client.ask(b"\x0b"))[0] == FAILURE
        await lab.reason("does not answer")
        async with lab.client() as other:
            assert await other.signs(lab.key, sshsig())


async def test_there_are_only_so_many_clients(tmp_path, monkeypatch):
    monkeypatch.setattr(lent_module, "MAX_CLIENTS", 3)
    async with Lab(tmp_path) as lab:
        async with lab.client() as one, lab.client(), lab.client():
            await until(lambda: lab.guard.lendings[0].clients == 3)
            async with lab.client() as four:
                assert await four.is_gone()
            assert (await one.ask(b"\x0b"))[0] == LISTED
        await until(lambda: lab.guard.lendings[0].clients == 0)
        async with lab.client() as five:
            assert (await five.ask(b"\x0b"))[0] == LISTED


async def test_answers_keep_the_order_of_the_questions(tmp_path):
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        client.writer.write(framed(b"\x0b") + framed(b"\x13") + framed(b"\x0b"))
        assert [(await client.answer())[0] for _ in range(3)] == [LISTED, FAILURE, LISTED]


# Questions


async def test_the_same_asked_twice_is_one_question(tmp_path):
    person = Person(SignatureAnswer.ONCE)
    async with Lab(tmp_path, person) as lab, lab.client() as one, lab.client() as two:
        for client in (one, two):
            client.send(bytes([SIGN]) + sign(lab.key.blob, sshsig()))
        await until(lambda: lab.agent.requests.count(11) == 2)
        await asyncio.sleep(0)
        person.may.set()
        assert [(await client.answer())[0] for client in (one, two)] == [SIGNED, SIGNED]
        assert len(person.asked) == 1
        assert lab.log.read_text().count('"allowed"') == 2


async def test_a_question_goes_with_the_last_who_asked(tmp_path):
    person = Person()
    async with Lab(tmp_path, person) as lab:
        async with lab.client() as one:
            async with lab.client() as two:
                for client in (one, two):
                    client.send(bytes([SIGN]) + sign(lab.key.blob, sshsig()))
                await until(lambda: lab.agent.requests.count(11) == 2 and person.asked)
            await until(lambda: lab.guard.lendings[0].clients == 1)
            assert person.taken_back == 0
        await until(lambda: person.taken_back == 1)


async def test_different_questions_come_one_after_the_other_and_not_without_end(tmp_path):
    person = Person()
    async with (
        Lab(tmp_path, person) as lab,
        lab.client() as a,
        lab.client() as b,
        lab.client() as c,
        lab.client() as d,
    ):
        for number, client in enumerate((a, b, c)):
            client.send(bytes([SIGN]) + sign(lab.key.blob, sshsig(b"n%d" % number)))
            await until(lambda number=number: lab.agent.requests.count(11) == number + 1)
        await until(lambda: len(person.asked) == 1)
        await until(lambda: len(lab.guard._questions._open) == 3)
        assert not await d.signs(lab.key, sshsig(b"n4"))
        await lab.reason("open already")
        assert len(person.asked) == 1


async def test_locked_everything_is_refused_and_open_questions_are_a_no(tmp_path):
    person = Person(SignatureAnswer.LENDING)
    async with Lab(tmp_path, person) as lab, lab.client() as client:
        client.send(bytes([SIGN]) + sign(lab.key.blob, sshsig()))
        await until(lambda: person.asked)
        lab.guard.lock(True)
        assert (await client.answer())[0] == FAILURE
        assert await client.ask(b"\x0b") == bytes([FAILURE])
        assert not await client.signs(lab.key, sshsig())
        lab.guard.lock(False)
        assert (await client.ask(b"\x0b"))[0] == LISTED


@pytest.mark.parametrize(
    ("answer", "again"),
    [(SignatureAnswer.ONCE, 2), (SignatureAnswer.MINUTES, 1), (SignatureAnswer.LENDING, 1)],
)
async def test_how_long_a_yes_holds(tmp_path, answer, again):
    person = Person(answer)
    person.may.set()
    async with Lab(tmp_path, person) as lab, lab.client() as client:
        for _ in range(2):
            assert await client.signs(lab.key, sshsig())
        assert len(person.asked) == again
        assert await client.signs(lab.key, sshsig(b"file"))  # another namespace is asked about
        assert len(person.asked) == again + 1
        for grant in lab.guard.lendings[0].grants:
            lab.guard.revoke(grant.id)
        assert await client.signs(lab.key, sshsig())
        assert len(person.asked) == again + 2


async def test_the_less_is_known_the_less_can_be_allowed(tmp_path):
    person = Person(SignatureAnswer.LENDING)
    person.may.set()
    async with Lab(tmp_path, person) as lab, lab.client() as client:
        assert not await client.signs(lab.key, login(lab.key.blob, b"1" * 32))
        assert not await client.signs(lab.key, b"whatever")
        unbound, unknown = person.asked
        assert SignatureAnswer.LENDING not in unbound.choices
        assert SignatureAnswer.MINUTES not in unknown.choices


async def test_questions_go_where_the_person_is(tmp_path):
    person = Person()
    front = Person(SignatureAnswer.ONCE)
    async with Lab(tmp_path, person) as lab, lab.client() as client:
        client.send(bytes([SIGN]) + sign(lab.key.blob, sshsig()))
        await until(lambda: person.asked)
        with lab.guard.asked_through(front.signature):
            await until(lambda: front.asked and person.taken_back)
        await until(lambda: front.taken_back and len(person.asked) == 2)
        with lab.guard.asked_through(front.signature):
            await until(lambda: len(front.asked) == 2)
            front.may.set()
            assert (await client.answer())[0] == SIGNED


# The log


async def test_what_cannot_be_logged_is_not_signed(tmp_path):
    async with Lab(tmp_path, policy=ALLOW) as lab, lab.client() as client:
        lab.log.mkdir()
        assert not await client.signs(lab.key, sshsig())
        await lab.reason("cannot be written")
        assert SIGN not in lab.agent.requests


async def test_a_flood_is_limited_before_anything_is_looked_up(tmp_path, monkeypatch):
    looked_up = []
    gather = lent_module.gather
    monkeypatch.setattr(lent_module, "gather", lambda *all: looked_up.append(1) or gather(*all))
    async with Lab(tmp_path, policy=ALLOW, signatures_a_minute=5) as lab, lab.client() as client:
        assert 5 <= sum([await client.signs(lab.key, sshsig()) for _ in range(50)]) <= 7
        assert len(looked_up) <= 7


async def test_a_flood_is_limited_and_does_not_fill_the_log(tmp_path):
    async with Lab(tmp_path, policy=ALLOW, signatures_a_minute=5) as lab, lab.client() as client:
        done = [await client.signs(lab.key, sshsig()) for _ in range(100)]
        assert 5 <= sum(done) <= 7
        lines = lab.log.read_text().splitlines()
        assert len(lines) < 40
        assert any("more than 5 signatures" in line for line in lines)
        await lab.guard.end(lab.lent)
        await until(lambda: '"unlogged": 7' in lab.log.read_text())
