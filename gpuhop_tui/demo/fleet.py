"""The demo's fleet: the plan that leads to the demo's servers, and the ordinary fleet by it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.plan import Plan, PlannedBastion, PlannedNode
from gpuhop_tui.demo.local_shells import SHELLS_VARIABLE, wanted_environment
from gpuhop_tui.demo.scenario import BASTIONS, DemoBastion
from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.ssh.guard.guard import GuardSettings
from gpuhop_tui.ssh.prompts import Prompter

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
    async def start(cls, *, shells: bool = False) -> DemoServers:
        """Raises DemoError where the servers do not come up. `shells`: hops get real ones, of this
        machine."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-s",  # nothing of the user's site-packages
            "-m",
            "gpuhop_tui.demo.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(shells=shells),
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


class DemoFleet(Fleet):
    """The fleet of the demo. Stopping it ends the servers too."""

    def __init__(self, servers: DemoServers, plan: Plan, **options: Any) -> None:
        """`options` are those of `Fleet`."""
        super().__init__(
            plan,
            agent_socket=servers.agent_socket,
            guard=GuardSettings(audit=servers.directory / "agent.jsonl"),
            remember_hops=False,  # what was open ends with the demo
            **options,
        )
        self.keychain.home = servers.directory  # nothing of the user's own is looked at
        self._servers = servers

    async def stop(self) -> None:
        try:
            await super().stop()
        finally:
            await self._servers.close()


async def open_demo(
    prompter: Prompter,
    *,
    choose: Callable[[Plan], Plan] = lambda plan: plan,
    sample_interval: float = 2.0,
    retry: bool = True,
    shells: bool = False,
) -> DemoFleet:
    """Start the servers and make their fleet, not yet started; `choose` may cut the plan down.
    `shells` is as in `DemoServers.start`."""
    servers = await DemoServers.start(shells=shells)
    try:
        return DemoFleet(
            servers,
            choose(servers.plan()),
            prompter=prompter,
            sample_interval=sample_interval,
            retry=retry,
        )
    except BaseException:
        await servers.close()
        raise


def _environment(*, shells: bool) -> dict[str, str]:
    """The least that finds this package again: nothing of the user's comes along, but what real
    shells need."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    found = {"PATH": os.defpath, "PYTHONPATH": path, "TMPDIR": tempfile.gettempdir()}
    if shells:
        found[SHELLS_VARIABLE] = json.dumps(wanted_environment(os.environ))
    return found


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the child's input, which ends it; kill it should it not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), SECONDS_TO_END)
    except TimeoutError:
        process.kill()
        await process.wait()
