"""What is offered when the agent is of no help."""

import asyncio
from dataclasses import replace

import asyncssh

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh import identities
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.identities import offer_keys
from gpuhop_tui.ssh.key_files import KeyRing
from gpuhop_tui.ssh.patience import Patience
from gpuhop_tui.ssh.prompts import NoPrompter

HOP = Hop("gpu-01", "10.0.0.50", 22, "user")


async def test_an_agent_that_hangs_keeps_no_key_file_from_being_offered(monkeypatch, tmp_path):
    monkeypatch.setattr(identities, "ANSWER_SECONDS", 0.05)
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    hangs = await asyncio.start_unix_server(lambda _reader, _writer: None, tmp_path / "agent")
    agent = Agent(str(tmp_path / "agent"))
    client = agent.client()
    try:
        async with asyncio.timeout(10):
            offer = await offer_keys(
                replace(HOP, identity_files=(key,)),
                agent,
                client,
                KeyRing(NoPrompter(), agent, None),
                Patience(10),
                [],
            )
    finally:
        client.close()
        hangs.close()
    assert [pair.algorithm for pair in offer.pairs] == [b"ssh-ed25519"]
    assert offer.agent_problem == f"the agent at {agent.socket} does not answer"
