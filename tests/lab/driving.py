"""Driving the core against a world: networks in this process, and a person who answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.load import load_config
from gpuhop_tui.config.plan import Plan
from gpuhop_tui.config.resolve import plan_fleet
from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.problem import Problem
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.network import Network
from gpuhop_tui.ssh.prompts import (
    ChallengeQuestion,
    HostKeyAnswer,
    HostKeyQuestion,
    PassphraseQuestion,
    Prompter,
    SignatureAnswer,
    SignatureQuestion,
)
from gpuhop_tui.ssh.status import LinkState
from tests.lab.laptop import Laptop
from tests.lab.machine import Machine, Spec
from tests.lab.sshd import Sshd

LOGIN_SECONDS = 20.0  # far beyond what any login of a world takes


@dataclass
class Person:
    """A `Prompter` that answers as told, and remembers what it was asked."""

    host_key_answer: HostKeyAnswer = HostKeyAnswer.REFUSE
    passphrases: list[str] = field(default_factory=list)  # in the order given; then none
    answers: dict[str, str] = field(default_factory=dict)  # part of a prompt: what is typed
    signature_answer: SignatureAnswer = SignatureAnswer.DENY
    thinks: Callable[[], Awaitable[object]] | None = None  # before each answer
    asked: list[HostKeyQuestion | PassphraseQuestion | ChallengeQuestion] = field(
        default_factory=list
    )
    signatures: list[SignatureQuestion] = field(default_factory=list)  # asked about
    withdrawn: int = 0  # of these, taken back

    async def host_key(self, question: HostKeyQuestion) -> HostKeyAnswer:
        await self._think(question)
        return self.host_key_answer

    async def passphrase(self, question: PassphraseQuestion) -> str | None:
        await self._think(question)
        return self.passphrases.pop(0) if self.passphrases else None

    async def challenge(self, question: ChallengeQuestion) -> list[str] | None:
        await self._think(question)
        typed = [
            next((answer for part, answer in self.answers.items() if part in text), None)
            for text, _echo in question.prompts
        ]
        return None if None in typed else [text for text in typed if text is not None]

    async def signature(self, question: SignatureQuestion) -> SignatureAnswer:
        self.signatures.append(question)
        try:
            if self.thinks is not None:
                await self.thinks()
        except asyncio.CancelledError:
            self.withdrawn += 1
            raise
        return self.signature_answer

    async def _think(
        self, question: HostKeyQuestion | PassphraseQuestion | ChallengeQuestion
    ) -> None:
        self.asked.append(question)
        if self.thinks is not None:
            await self.thinks()


@asynccontextmanager
async def network_of(
    laptop: Laptop, person: Prompter | None = None, **options: Any
) -> AsyncIterator[Network]:
    """A network whose connections start from the laptop, with its agent. Closed at the end."""
    with laptop.entered():
        network = Network(prompter=person or Person(), agent=Agent.from_environment(), **options)
        try:
            yield network
        finally:
            await network.close()


@asynccontextmanager
async def fleet_of(
    laptop: Laptop, person: Prompter | None = None, **options: Any
) -> AsyncIterator[Fleet]:
    """The running fleet of the laptop's config."""
    with laptop.entered():
        options.setdefault("sample_interval", 0.5)
        fleet = Fleet(await plan_of(laptop), prompter=person or Person(), **options)
        await fleet.start()
        try:
            yield fleet
        finally:
            await fleet.stop()


async def plan_of(laptop: Laptop, config: Path | None = None) -> Plan:
    """The plan of the laptop's config, or of another; to be called on the laptop (`entered`)."""
    return await plan_fleet(load_config(config or laptop.config_path), laptop.environ())


async def route_to(laptop: Laptop, name: str, config: Path | None = None) -> Route:
    """The route of one bastion or node of the laptop's config, or of another."""
    plan = await plan_of(laptop, config)
    found = next(entry for entry in (*plan.nodes, *plan.bastions) if entry.name == name)
    assert isinstance(found.route, Route), found.route
    return found.route


def hop_to(laptop: Laptop, sshd: Sshd, **options: Any) -> Hop:
    """A hop to a server beside the laptop, known by the laptop's known_hosts."""
    facts: dict[str, Any] = {
        "name": sshd.machine.name,
        "host": sshd.machine.address,
        "port": sshd.port,
        "user": sshd.machine.user,
        "known_hosts_files": (laptop.known_hosts,),
    }
    return Hop(**{**facts, **options})


# Waiting


async def up(link: Link, seconds: float = LOGIN_SECONDS) -> Link:
    """Waits until the link is up. Raises AssertionError with what it says where it is not."""
    await reached(link, lambda link: link.is_up, "up", seconds)
    return link


async def failed(link: Link, seconds: float = LOGIN_SECONDS) -> Problem:
    """Waits for the first problem."""
    await reached(link, lambda link: link.status.problem is not None, "failed", seconds)
    assert link.status.problem is not None
    return link.status.problem


async def blocked(link: Link, seconds: float = LOGIN_SECONDS) -> Problem:
    """Waits until only a person can help; returns the problem."""
    await reached(link, lambda link: link.status.state is LinkState.BLOCKED, "blocked", seconds)
    assert link.status.problem is not None
    return link.status.problem


async def reached(
    link: Link, condition: Callable[[Link], bool], what: str, seconds: float = LOGIN_SECONDS
) -> None:
    try:
        async with asyncio.timeout(seconds):
            await link.wait_until(condition)
    except TimeoutError:
        log = "\n".join(event.text for event in link.events)
        raise AssertionError(f"{link.name} is not {what}: {link.status}\n{log}") from None


async def fleet_reached(
    fleet: Fleet,
    condition: Callable[[FleetState], bool],
    what: str,
    seconds: float = LOGIN_SECONDS,
) -> FleetState:
    """Waits until the fleet's state is so; returns it."""
    try:
        async with asyncio.timeout(seconds):
            async for state in fleet.changes():
                if condition(state):
                    return state
    except TimeoutError:
        pass
    nodes = "\n".join(f"{node.name}: {node.link} {node.problem}" for node in fleet.state.nodes)
    raise AssertionError(f"the fleet is not {what}:\n{nodes}")


def is_live(node: NodeState | None) -> bool:
    """Whether the node shows live figures."""
    return (
        node is not None
        and node.link.state is LinkState.UP
        and node.sample is not None
        and not node.stale
    )


def all_live(state: FleetState) -> bool:
    return all(map(is_live, state.nodes))


async def says(link: Link, command: str) -> str:
    """What `command` prints at the far end of a link."""
    async with link.process(command) as process:
        return (await process.stdout.read()).decode()


# What servers and commands say


def logins(sshd: Sshd) -> int:
    """How many connections the server has logged so far."""
    return len(re.findall(r"^Connection from ", sshd.log(), re.MULTILINE))


def status(laptop: Laptop, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Runs `gpuhop-tui status --json`: its exit, and what it says of each node."""
    done = laptop.run(["gpuhop-tui", "status", "--json", *arguments], check=False, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    return done.returncode, {node["name"]: node for node in json.loads(done.stdout)["nodes"]}


# GPUs

SIMULATED = {"GPUHOP_SIMULATED": "/opt/lab/gpus.json"}  # for `Spec.env`


def gpu_nodes(count: int = 3, via: str | None = "bastion", **options: Any) -> list[Spec]:
    """Nodes whose probe simulates the GPUs that `simulate` describes."""
    return [Spec(f"gpu-{k:02}", via=via, env=SIMULATED, **options) for k in range(1, count + 1)]


def simulate(*nodes: Machine, gpus: int = 2) -> None:
    """Says which GPUs these nodes have."""
    gpu = {"name": "NVIDIA A100-SXM4-80GB", "profile": "training", "user": "mira"}
    specification = {"seed": 1, "driver": "550.54.15", "cuda": "12.4", "gpus": [gpu] * gpus}
    for node in nodes:
        (node.directory / "gpus.json").write_text(json.dumps(specification))
