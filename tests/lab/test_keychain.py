"""The keychain with a real ssh-agent, and agents that are started for the user."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuhop_tui.ssh import keychain as keychains
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.key_care import Terms
from gpuhop_tui.ssh.key_files import KeyRing
from gpuhop_tui.ssh.keychain import Keychain, KeychainError
from gpuhop_tui.ssh.own_agent import OwnAgent, kept_socket
from gpuhop_tui.ssh.prompts import NoPrompter
from tests.lab import keys
from tests.lab.foreign_agent import ForeignAgent, SoftKey
from tests.lab.waiting import wait_until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, with one locked and one unlocked key; there is no agent."""
    keys.generate(tmp_path / ".ssh" / "id_ed25519", passphrase="open sesame", comment="mira")
    keys.generate(tmp_path / ".ssh" / "id_rsa", kind="rsa", comment="old")
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


@pytest.fixture
def ended() -> Iterator[list[int]]:
    """Processes to be ended after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGTERM)


def keychain_of(agent: Agent) -> Keychain:
    return Keychain(agent, KeyRing(NoPrompter(), agent, 3600), 3600)


def listed(path: str | None) -> str:
    """What `ssh-add -l` says."""
    env = {**os.environ, "SSH_AUTH_SOCK": str(path)}
    return subprocess.run(
        ["ssh-add", "-l"], env=env, capture_output=True, text=True, timeout=30
    ).stdout


async def test_from_no_agent_to_a_key_in_one(home: Path) -> None:
    agent = Agent.from_environment()
    keychain = keychain_of(agent)
    view = await keychain.view()
    assert (view.socket, view.agent_problem) == (None, "no agent")
    assert [(file.path.name, file.locked) for file in view.files] == [
        ("id_ed25519", True),
        ("id_rsa", False),
    ]
    await keychain.start_agent(keep=False)
    try:
        assert (await keychain.view()).own_agent == keychains.BOUND
        assert "no identities" in listed(agent.socket)
        locked, unlocked = (file.path for file in view.files)
        with pytest.raises(KeychainError) as missing:
            await keychain.add(locked)
        with pytest.raises(KeychainError) as wrong:
            await keychain.add(locked, "guess")
        assert (missing.value.field, wrong.value.field) == ("passphrase", "passphrase")
        before = time.time()
        await keychain.add(locked, "open sesame", lifetime_seconds=600)
        await keychain.add(unlocked, confirm=True)
        first, second = (await keychain.view()).held
        assert (first.facts.kind, first.facts.comment) == ("ed25519", "mira")
        assert first.terms is not None
        assert first.terms.until is not None
        assert before + 600 <= first.terms.until <= time.time() + 600
        assert second.terms == Terms(None, True)
        assert first.facts.fingerprint in listed(agent.socket)
        await keychain.remove(first.facts.fingerprint)
        assert first.facts.fingerprint not in listed(agent.socket)
        await keychain.add(locked)  # the passphrase was given before
        assert first.facts.fingerprint in listed(agent.socket)
    finally:
        await keychain.close()
    assert listed(agent.socket) == ""
    assert list((home / "run" / "gpuhop-tui").iterdir()) == []


async def test_a_certificate_is_added_with_its_key(home: Path) -> None:
    authority = keys.generate(home / "ca")
    keys.certify(keys.Key(home / ".ssh" / "id_rsa"), authority, principals=["mira"])
    agent = Agent.from_environment()
    keychain = keychain_of(agent)
    await keychain.start_agent(keep=False)
    try:
        await keychain.add(home / ".ssh" / "id_rsa")
        held = (await keychain.view()).held
        plain, certified = sorted(held, key=lambda key: key.facts.certificate is not None)
        assert plain.facts.certificate is None
        assert certified.facts.certificate is not None
        assert certified.facts.certificate.principals == ("mira",)
        await keychain.remove(plain.facts.fingerprint)
        assert (await keychain.view()).held == ()
    finally:
        await keychain.close()


async def test_an_agent_that_is_kept_is_found_by_the_next_program(
    home: Path, ended: list[int]
) -> None:
    agent = Agent.from_environment()
    keychain = keychain_of(agent)
    await keychain.start_agent(keep=True)
    ended.append(_agent_at(str(agent.socket)))
    await keychain.add(home / ".ssh" / "id_rsa")
    await keychain.close()
    later = Agent.from_environment()
    assert later.socket == str(kept_socket())
    assert len((await later.status()).keys) == 1
    assert (await keychain_of(later).view()).own_agent == keychains.KEPT
    with pytest.raises(KeychainError, match="already"):
        await keychain_of(later).start_agent(keep=False)
    os.environ["SSH_AUTH_SOCK"] = str(home / "gone")  # put back by the fixture
    assert Agent.from_environment().socket == later.socket
    assert Agent.from_environment(str(home / "named")).socket == str(home / "named")


def _agent_at(path: str) -> int:
    """The pid of the ssh-agent with this socket on its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] == b"ssh-agent" and path.encode() in words:
                return int(entry.name)
    raise AssertionError("no agent runs")


def test_an_agent_ends_with_a_program_that_is_killed(home: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from gpuhop_tui.ssh.own_agent import OwnAgent\n"
        "async def main():\n"
        "    own = await OwnAgent.start(keep=False)\n"
        "    print(own.socket, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    path = process.stdout.readline().strip()
    process.stdout.close()
    assert "no identities" in listed(path)
    process.kill()
    process.wait()
    # ssh-agent looks every 10 seconds whether its command is there.
    wait_until(lambda: listed(path) == "", "the agent to end", 60)


async def test_what_a_dead_agent_has_left_is_no_obstacle(home: Path) -> None:
    path = kept_socket().with_name(f"agent-{os.getpid()}.sock")
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    own = await OwnAgent.start(keep=False)
    try:
        assert own.socket == str(path)
        assert "no identities" in listed(own.socket)
        assert path.parent.stat().st_mode & 0o777 == 0o700
    finally:
        await own.stop()


async def test_why_no_agent_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keychain = keychain_of(Agent.from_environment())
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(KeychainError, match="there is no ssh-agent"):
        await keychain.start_agent(keep=False)


async def test_an_agent_that_takes_no_keys_says_so(home: Path) -> None:
    with ForeignAgent(home / "foreign", SoftKey()) as foreign:
        agent = Agent(str(foreign.socket))
        keychain = keychain_of(agent)
        (held,) = (await keychain.view()).held
        assert (held.facts.kind, held.facts.comment) == ("ed25519", "foreign")
        with pytest.raises(KeychainError, match="does not take keys"):
            await keychain.add(home / ".ssh" / "id_rsa")
        with pytest.raises(KeychainError, match="did not remove"):
            await keychain.remove(held.facts.fingerprint)


async def test_files_that_are_no_keys_are_left_out(home: Path) -> None:
    ssh = home / ".ssh"
    (ssh / "config").write_text("Host *\n")
    (ssh / "fifo").unlink(missing_ok=True)
    os.mkfifo(ssh / "fifo")
    (ssh / "broken").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n!\n")
    view = await keychain_of(Agent(None)).view()
    assert [file.path.name for file in view.files] == ["id_ed25519", "id_rsa"]
