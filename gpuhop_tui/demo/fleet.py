"""The demo's fleet: the plan that leads to the demo's servers, and the ordinary fleet by it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.plan import Plan, PlannedBastion, PlannedNode
from gpuhop_tui.demo.scenario import BASTIONS, DemoBastion
from gpuhop_tui.fleet.containers import NodeContainers
from gpuhop_tui.fleet.doctor.examine import Scope
from gpuhop_tui.fleet.doctor.finding import Finding
from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.fleet.sessions import NodeSessions
from gpuhop_tui.fleet.state import FleetSource, FleetState, HistoryPoint
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.sessions.hop import EXIT_NO_LINK
from gpuhop_tui.sessions.hop_target import HopEnd, HopResult, HopTarget
from gpuhop_tui.ssh.guard.guard import GuardSettings
from gpuhop_tui.ssh.keychain import Keychain
from gpuhop_tui.ssh.prompts import Prompter
from gpuhop_tui.ssh.terminal import Terminal

PROBE_ONLY = "the demo's nodes have no shells, sessions or containers"
SECONDS_TO_START = 20.0
SECONDS_TO_END = 5.0


class DemoError(Exception):
    """The demo could not start; `str()` of it is for the user's eyes."""


class DemoServers:
    """The child process with the servers; it ends when `close` is called or this process ends."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self._process = process
        self.pid = process.pid
        self.directory = Path(ready["directory"])
        self.agent_socket: str = ready["agent"]
        self.ports: dict[str, int] = ready["ports"]

    @classmethod
    async def start(cls) -> DemoServers:
        """Raises DemoError where the servers do not come up."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-s",  # nothing of the user's site-packages
            "-m",
            "gpuhop_tui.demo.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # ctrl+c is for us: the servers end after the links to them
        )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), SECONDS_TO_START)
        except BaseException as error:
            await _end(process)
            if isinstance(error, TimeoutError):
                raise DemoError("the demo's servers are too slow to start") from None
            raise
        ready = json.loads(line or '{"error": "their process ended"}')
        if "error" in ready:
            await _end(process)
            raise DemoError(f"the demo's servers did not start: {ready['error']}")
        return cls(process, ready)

    async def close(self) -> None:
        """End the servers; their directory is gone afterwards."""
        await _end(self._process)

    def plan(self) -> Plan:
        """The way to every node of the scenario, as a config would have it."""
        bastions, nodes = [], []
        for bastion in BASTIONS:
            route = Route((self._bastion_hop(bastion),))
            bastions.append(PlannedBastion(bastion.name, route))
            for node in bastion.nodes:
                hop = Hop(
                    node.name,
                    node.host,
                    node.port,
                    node.user,
                    known_hosts_files=(self.directory / "known_hosts",),
                )
                nodes.append(PlannedNode(node.name, Route((*route.hops, hop)), tags=node.tags))
        return Plan(tuple(bastions), tuple(nodes))

    def _bastion_hop(self, bastion: DemoBastion) -> Hop:
        return Hop(
            bastion.name,
            "127.0.0.1",
            self.ports[bastion.name],
            bastion.user,
            known_hosts_files=(self.directory / "known_hosts",),
        )


class DemoFleet:
    """The fleet of the demo. Stopping it ends the servers too."""

    def __init__(self, fleet: FleetSource, servers: DemoServers) -> None:
        self._fleet = fleet
        self._servers = servers

    @property
    def state(self) -> FleetState:
        return self._fleet.state

    def changes(self) -> AsyncIterator[FleetState]:
        return self._fleet.changes()

    def history(self, node: str, gpu_index: int) -> Sequence[HistoryPoint]:
        return self._fleet.history(node, gpu_index)

    def retry(self, name: str | None = None) -> None:
        self._fleet.retry(name)

    def lock_agent(self, locked: bool) -> None:
        self._fleet.lock_agent(locked)

    def revoke_grant(self, grant: int) -> None:
        self._fleet.revoke_grant(grant)

    def watch_sessions(self, wanted: bool) -> None:
        self._fleet.watch_sessions(wanted)

    def sessions(self, node: str) -> NodeSessions | None:
        return self._fleet.sessions(node)

    def watch_containers(self, wanted: bool) -> None:
        self._fleet.watch_containers(wanted)

    def containers(self, node: str) -> NodeContainers | None:
        return self._fleet.containers(node)

    @property
    def keychain(self) -> Keychain:
        return self._fleet.keychain

    async def hop(
        self,
        node: str,
        target: HopTarget,
        *,
        is_asking: Callable[[], bool],
        on_terminal: Callable[[Terminal | None], None],
    ) -> HopResult:
        """Refuses: the servers run what they are told on this machine, which is the user's."""
        problem = Problem(
            node,
            ErrorKind.REFUSED,
            PROBE_ONLY,
            "Name nodes of yours in the config.",
        )
        return HopResult(HopEnd.FAILED, EXIT_NO_LINK, problem.message, problem)

    def examine(self, scope: Scope) -> AsyncGenerator[Finding, None]:
        return self._fleet.examine(scope)

    async def start(self) -> None:
        await self._fleet.start()

    async def stop(self) -> None:
        try:
            await self._fleet.stop()
        finally:
            await self._servers.close()


async def open_demo(
    prompter: Prompter,
    *,
    choose: Callable[[Plan], Plan] = lambda plan: plan,
    sample_interval: float = 2.0,
    retry: bool = True,
) -> DemoFleet:
    """Start the servers and make their fleet, not yet started; `choose` may cut the plan down."""
    servers = await DemoServers.start()
    try:
        fleet = Fleet(
            choose(servers.plan()),
            prompter=prompter,
            agent_socket=servers.agent_socket,
            sample_interval=sample_interval,
            key_lifetime=None,
            retry=retry,
            probe_only=PROBE_ONLY,
            guard=GuardSettings(audit=servers.directory / "agent.jsonl"),
        )
        fleet.keychain.home = servers.directory  # nothing of the user's own is looked at
    except BaseException:
        await servers.close()
        raise
    return DemoFleet(fleet, servers)


def _environment() -> dict[str, str]:
    """The least that finds this package again: nothing of the user's comes along."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {"PATH": os.defpath, "PYTHONPATH": path, "TMPDIR": tempfile.gettempdir()}


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the child's input, which ends it; kill it should it not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), SECONDS_TO_END)
    except TimeoutError:
        process.kill()
        await process.wait()
