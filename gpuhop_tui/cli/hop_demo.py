"""The demo's plan and network for one hop: its servers end with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import EXIT_SOME_FAILED, CommandError

if TYPE_CHECKING:
    from gpuhop_tui.config.plan import Plan
    from gpuhop_tui.ssh.network import Network
    from gpuhop_tui.ssh.prompts import Prompter

ENDED = "what ran there ends with the demo"


@asynccontextmanager
async def demo_network(prompter: Prompter, *, shells: bool) -> AsyncIterator[tuple[Plan, Network]]:
    """`shells`: real ones, of this machine. Raises CommandError where the demo does not start."""
    from gpuhop_tui.demo.fleet import DemoError, DemoServers
    from gpuhop_tui.ssh.agent import Agent
    from gpuhop_tui.ssh.guard.guard import GuardSettings
    from gpuhop_tui.ssh.network import Network

    try:
        servers = await DemoServers.start(shells=shells)
    except DemoError as error:
        raise CommandError(str(error), EXIT_SOME_FAILED) from None
    try:
        network = Network(
            prompter=prompter,
            agent=Agent.from_environment(servers.agent_socket),
            guard=GuardSettings(audit=servers.directory / "agent.jsonl"),
        )
        try:
            yield servers.plan(), network
        finally:
            await network.close()
    finally:
        await servers.close()
