"""Unknown host keys: one question at a time, and nothing waits unseen or holds the loop up."""

import asyncio
import fcntl
import threading
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.ssh import host_key_check
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.host_key_check import Revocation, RevokedHostKey, UnknownHostKeys
from gpuhop_tui.ssh.key_files import KeyRing
from gpuhop_tui.ssh.known_hosts import KnownHosts, KnownKeys
from gpuhop_tui.ssh.login import LoginContext, log_in
from gpuhop_tui.ssh.prompts import HostKeyAnswer, NoPrompter
from tests.lab.waiting import await_until

KEY = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


class Thinks(NoPrompter):
    def __init__(self):
        self.asked = []
        self.answers = asyncio.Queue()

    async def host_key(self, question):
        self.asked.append(question.hop)
        return await self.answers.get()


@pytest.fixture
def hops(tmp_path):
    files = (tmp_path / "known_hosts",)
    return [Hop(f"gpu-{n}", f"10.0.0.{n}", 22, "u", known_hosts_files=files) for n in range(3)]


async def test_who_waits_for_the_question_of_another_hop_says_so(hops):
    prompter = Thinks()
    unknown = UnknownHostKeys(prompter, KnownHosts())
    steps = {hop.name: [] for hop in hops}
    tasks = [asyncio.create_task(unknown.ask((hop,), KEY, steps[hop.name].append)) for hop in hops]
    await await_until(lambda: all(steps.values()), "everybody waits")
    assert prompter.asked == ["gpu-0"]
    assert steps["gpu-0"] == ["your answer about its host key"]
    assert steps["gpu-2"] == ["your answer about gpu-0, which asks first"]

    prompter.answers.put_nowait(HostKeyAnswer.REFUSE)
    await await_until(lambda: len(prompter.asked) == 2, "the next question")
    assert steps["gpu-1"][-1] == "your answer about its host key"
    assert steps["gpu-2"][-1] == "your answer about gpu-1, which asks first"

    tasks[2].cancel()
    prompter.answers.put_nowait(HostKeyAnswer.ONCE)
    refused, accepted, cancelled = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(refused, ProblemError)
    assert accepted is None
    assert isinstance(cancelled, asyncio.CancelledError)


async def test_a_locked_known_hosts_file_holds_up_nothing_else(hops):
    prompter = Thinks()
    unknown = UnknownHostKeys(prompter, KnownHosts())
    file = hops[0].known_hosts_files[0]
    with file.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        asking = asyncio.create_task(unknown.ask((hops[0],), KEY, lambda _step: None))
        prompter.answers.put_nowait(HostKeyAnswer.ALWAYS)
        await await_until(lambda: prompter.asked, "the question")
        for _ in range(20):
            await asyncio.sleep(0.01)  # the loop turns
        assert not asking.done()
    await asking
    assert file.read_text().startswith("10.0.0.0 ssh-ed25519 ")


class Connection:
    def __init__(self):
        self.sent = []
        self.is_aborted = False

    def validate_server_host_key(self, key_data):
        return key_data

    async def send_userauth_request(self, *args, **_options):
        self.sent.append(args)

    def abort(self):
        self.is_aborted = True


@pytest.mark.parametrize("revoked", [True, False])
async def test_no_login_is_asked_for_while_a_key_may_be_revoked_and_all_else_goes_on(
    hops, monkeypatch, revoked
):
    looked = threading.Event()

    def slow(_key_data, _file):
        looked.wait(30)
        return revoked

    monkeypatch.setattr(host_key_check, "is_revoked", slow)
    check = Revocation(replace(hops[0], revoked_host_keys=Path("krl")))
    connection = Connection()
    check.watch(connection)
    assert connection.validate_server_host_key(b"key") == b"key"
    sending = asyncio.create_task(connection.send_userauth_request(b"none"))
    for _ in range(20):
        await asyncio.sleep(0.01)  # the loop turns
    assert connection.sent == []
    looked.set()
    if revoked:
        with pytest.raises(RevokedHostKey, match="revoked"):
            await sending
    else:
        await sending
    assert bool(connection.sent) is not revoked
    await await_until(lambda: connection.is_aborted is revoked, "the end of the connection")


async def test_a_slow_look_into_known_hosts_holds_up_nothing_else(hops, monkeypatch):
    looked = threading.Event()
    known_hosts = KnownHosts()
    monkeypatch.setattr(known_hosts, "lookup", lambda _hop: looked.wait(30) and KnownKeys())
    context = LoginContext(
        NoPrompter(), Agent(None), KeyRing(NoPrompter(), Agent(None), None), known_hosts
    )
    hop = replace(hops[0], host="127.0.0.1", port=1)  # nobody listens there
    login = asyncio.create_task(log_in((hop,), None, context))
    for _ in range(20):
        await asyncio.sleep(0.01)  # the loop turns
    assert not login.done()
    looked.set()
    with pytest.raises(ProblemError, match="refuses connections"):
        await login
