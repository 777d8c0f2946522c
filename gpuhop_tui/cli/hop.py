"""`gpuhop-tui hop`: a shell on a node that is still there after a disconnect."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import select
import shlex
import sys
import threading
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import CommandError
from gpuhop_tui.cli.hop_demo import ENDED, demo_network
from gpuhop_tui.cli.prompts import Dialogue, T, TerminalPrompter
from gpuhop_tui.cli.text import clean
from gpuhop_tui.sessions.container_door import ContainerDoor, container_route
from gpuhop_tui.sessions.hop import run_hop
from gpuhop_tui.sessions.hop_memory import forget, open_hops
from gpuhop_tui.sessions.hop_target import (
    DEFAULT_SESSION,
    EXIT_NO_LINK,
    HopEnd,
    HopResult,
    HopTarget,
)
from gpuhop_tui.sessions.in_container import DEFAULT_SOCKET
from gpuhop_tui.ssh.prompts import HostKeyAnswer, HostKeyQuestion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncssh import SSHClientProcess, SSHReader

    from gpuhop_tui.config.hops import Route
    from gpuhop_tui.config.plan import Plan, PlannedBastion, PlannedNode
    from gpuhop_tui.ssh.link import Link
    from gpuhop_tui.ssh.network import Network
    from gpuhop_tui.ssh.terminal import Terminal


def run_hop_command(options: argparse.Namespace) -> int:
    """Run the command and return the exit status of what ran on the node; 255 without a link.

    Raises `CommandError` where the config, a name or the command line is wrong.
    """
    command = " ".join(options.command_words) or None  # one line for the login shell, as ssh has it
    node, _, container = (options.node or "").partition("/")
    if options.node is not None and "/" in options.node and not container:
        raise CommandError(f"{options.node!r} names no container: NODE/CONTAINER")
    if not container and (options.user or options.directory or options.ssh):
        raise CommandError("--user, --directory and --ssh are for a container: NODE/CONTAINER")
    if options.ssh and options.directory:
        raise CommandError("--directory is not for --ssh: a login begins at home")
    wanted = Wanted(
        node, container, command, options.session, options.user, options.directory, options.ssh
    )
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if command is None or not node:
            raise CommandError("a hop needs a terminal; without one, give a command after --")
        return asyncio.run(_piped(options, wanted))
    try:
        return asyncio.run(_hop(options, wanted) if node else _hop_back(options))
    except ValueError as error:
        raise CommandError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line names."""

    node: str
    container: str = ""
    command: str | None = None
    session: str | None = None
    user: str | None = None
    directory: str | None = None
    by_ssh: bool = False

    async def target(self, way: Way, link: Link) -> HopTarget:
        """Raises CommandError where there is no such container, ValueError for a bad session."""
        plain = HopTarget.shell(self.session or DEFAULT_SESSION)
        if self.command is not None:
            plain = HopTarget.running(self.command, self.session)
        if not self.container:
            return plain
        from gpuhop_tui.cli.hop_container import place_of

        place = await place_of(link, way.docker_socket, self)
        if isinstance(place, ContainerDoor):
            return replace(plain, door=place)
        return HopTarget.in_container(place, session=self.session, command=self.command)


async def _hop(options: argparse.Namespace, wanted: Wanted) -> int:
    prompter = HopPrompter()
    async with _way(options, wanted.node, prompter) as way:
        if not wanted.container:
            target = await wanted.target(way, way.network.link(way.route))
            result = await _run(way, target, prompter)
            return _told(result, wanted.node, target, in_demo=options.demo)
        # Also the hop's, which needs no login of its own then; by SSH the node is lent no agent.
        async with way.link(lend=not wanted.by_ssh) as link:
            target = await wanted.target(way, link)
            result = await _run(way, target, prompter)
            return _told(result, wanted.node, target, in_demo=options.demo)


async def _hop_back(options: argparse.Namespace) -> int:
    """Into what was open when its program was killed."""
    before = [] if options.demo else open_hops()
    if not before:
        raise CommandError("no hop was left open: name a node")
    hop, target = before[0], before[0].way_back
    prompter = HopPrompter()
    async with _way(options, hop.node, prompter) as way:
        print(f"back to {clean(target.title)} on {hop.node}", file=sys.stderr)
        result = await _run(way, target, prompter)
    if result.end is not HopEnd.SIGNALLED:
        forget(hop)
    return _told(result, hop.node, target)


async def _run(way: Way, target: HopTarget, prompter: HopPrompter) -> HopResult:
    return await run_hop(
        way.network,
        way.route,
        target,
        is_asking=lambda: prompter.asking,
        on_terminal=prompter.use,
        remember=way.is_remembered,
    )


def _told(result: HopResult, node: str, target: HopTarget, *, in_demo: bool = False) -> int:
    """Says on stderr how the hop ended, where that is news, and what a command has written."""
    if result.output:
        sys.stdout.flush()
        os.write(1, result.output.rstrip(b"\n") + b"\x1b[0m\n")
    problem = result.problem
    if problem is not None:
        print(f"gpuhop-tui: {clean(str(problem))}", file=sys.stderr)
        print(f"  {clean(problem.advice)}", file=sys.stderr)
    elif result.end in (HopEnd.DETACHED, HopEnd.DISCONNECTED):
        back = f"{result.message}; back: {_command_for(node, target)}"
        if in_demo:
            back = f"left {target.title} on {node}: {ENDED}"
        print(f"gpuhop-tui: {clean(back)}", file=sys.stderr)
    elif result.end is not HopEnd.ENDED or (target.run and result.exit_status):
        print(f"gpuhop-tui: {clean(result.message)}", file=sys.stderr)
    return result.exit_status


def _command_for(node: str, target: HopTarget) -> str:
    """The command line that leads there again."""
    place, door = target.container, target.door
    inside = place or door
    words = ["gpuhop-tui", "hop", f"{node}/{inside.name}" if inside else node]
    if door is not None:
        words += ["--ssh"]
    if inside is not None and inside.user and (place or inside.user != "root"):
        words += ["--user", inside.user]
    if place is not None and place.directory:
        words += ["--directory", place.directory]
    if target.session != (place.session if place else DEFAULT_SESSION):
        words += ["--session", target.session]
    return shlex.join(words)


async def _piped(options: argparse.Namespace, wanted: Wanted) -> int:
    """Without a terminal: the command's own streams, nothing persistent, as `ssh NODE CMD`."""
    from gpuhop_tui.problem import ProblemError
    from gpuhop_tui.sessions.in_container import piped_line
    from gpuhop_tui.ssh.terminal_session import SessionEnd

    assert wanted.command is not None
    prompter = HopPrompter()
    async with _way(options, wanted.node, prompter) as way, _ready(way, not wanted.by_ssh) as link:
        command = wanted.command
        if wanted.container:
            target = await wanted.target(way, link)
            if target.container is not None:
                command = piped_line(target.container, command)
            elif target.door is not None:
                way = replace(way, route=container_route(way.route, target.door))
        if link.lent_socket and (warning := way.network.guard.warning(link.name)):
            print(f"gpuhop-tui: warning: {warning}", file=sys.stderr)
        try:
            async with _ready(way) as link, link.process(command) as process:
                await _pump(process, lambda: prompter.asking)
                ended_by = process.exit_signal
                end = SessionEnd(None, ended_by[0]) if ended_by else SessionEnd(process.exit_status)
        except ProblemError as error:
            if isinstance(error.__cause__, BrokenPipeError):  # who reads our output has gone
                raise error.__cause__ from None
            raise CommandError([str(error), error.problem.advice], EXIT_NO_LINK) from None
    if end.lost:
        raise CommandError(f"the link to {wanted.node} was lost", EXIT_NO_LINK)
    return end.exit_status


@asynccontextmanager
async def _ready(way: Way, lend: bool = True) -> AsyncIterator[Link]:
    """The link of a way, once it is up or it is known why not."""
    async with way.link(lend=lend) as link:
        await link.wait_until(lambda link: link.is_up or link.status.problem is not None)
        yield link


async def _pump(process: SSHClientProcess[bytes], is_asking: Callable[[], bool]) -> None:
    """Copies our standard streams to and from the process, until it has ended. What is typed while
    a question is on the terminal is the question's."""
    loop = asyncio.get_running_loop()

    async def copy(source: SSHReader[bytes], fd: int) -> None:
        while data := await source.read(1 << 16):
            await asyncio.to_thread(_write_all, fd, data)

    async def send(data: bytes) -> None:
        if data:
            process.stdin.write(data)
            await process.stdin.drain()
        else:
            process.stdin.write_eof()

    def read_input() -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the process or the loop has ended
            data = b"?"
            while data:
                while os.isatty(0) and (is_asking() or not select.select([0], [], [], 0.2)[0]):
                    time.sleep(0.05)
                data = os.read(0, 1 << 16)
                asyncio.run_coroutine_threadsafe(send(data), loop).result()

    threading.Thread(target=read_input, daemon=True).start()
    await asyncio.gather(copy(process.stdout, 1), copy(process.stderr, 2))
    await process.wait_closed()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@dataclass(frozen=True, slots=True)
class Way:
    """The network of the config, and the route to a node or bastion."""

    network: Network
    route: Route
    docker_socket: str
    is_remembered: bool = True  # whether hops by it are offered again after a crash

    @asynccontextmanager
    async def link(self, *, lend: bool = True) -> AsyncIterator[Link]:
        """The link that shells there go over; without `lend` one that never lends the agent."""
        if lend and self.route.target.forward_agent:
            async with self.network.lending(self.route) as link:
                yield link
        else:
            yield self.network.link(self.route)


@asynccontextmanager
async def _way(options: argparse.Namespace, node: str, prompter: HopPrompter) -> AsyncIterator[Way]:
    """The way to a node or bastion of the config. All is closed at the end."""
    from gpuhop_tui.cli import open as opening
    from gpuhop_tui.config.plan import PlannedNode
    from gpuhop_tui.config.resolve import plan_fleet
    from gpuhop_tui.ssh.agent import Agent
    from gpuhop_tui.ssh.guard.settings import guard_settings
    from gpuhop_tui.ssh.network import Network

    if options.demo:
        async with demo_network(prompter, shells=options.demo_shells) as (plan, network):
            planned = _planned(plan, node)
            yield Way(network, _route(planned), DEFAULT_SOCKET, is_remembered=False)
        return
    path = opening.find(options.config)
    if not path.exists() and not opening.is_named(options.config):
        raise CommandError(opening.no_config_lines(path))
    config = opening.load(path)
    plan = await plan_fleet(config)
    planned = _planned(plan, node)
    route = _route(planned)
    docker_socket = planned.docker_socket if isinstance(planned, PlannedNode) else DEFAULT_SOCKET
    socket = config.agent.socket
    network = Network(
        prompter=prompter,
        agent=Agent.from_environment(str(socket) if socket else None),
        key_lifetime_seconds=config.agent.key_lifetime,
        guard=guard_settings(config, plan),
    )
    try:
        yield Way(network, route, docker_socket)
    finally:
        await network.close()


def _planned(plan: Plan, name: str) -> PlannedNode | PlannedBastion:
    """Raises CommandError for a name that the plan lacks."""
    from gpuhop_tui.cli.open import choose_nodes

    bastion = next((each for each in plan.bastions if each.name == name), None)
    return bastion or choose_nodes(plan, [name]).nodes[0]


def _route(planned: PlannedNode | PlannedBastion) -> Route:
    """Raises CommandError where it cannot be found out."""
    from gpuhop_tui.problem import Problem

    if isinstance(planned.route, Problem):
        raise CommandError([str(planned.route), planned.route.advice], EXIT_NO_LINK)
    return planned.route


class HopPrompter(TerminalPrompter):
    """Asks on the terminal, unknown host keys too: a person sits at it. While the terminal is
    raw, it is given back for as long as the question takes."""

    _held: Terminal | None = None

    def use(self, terminal: Terminal | None) -> None:
        """The terminal that a hop holds now."""
        self._held = terminal

    async def host_key(self, question: HostKeyQuestion) -> HostKeyAnswer:
        route = f" (through {', '.join(question.route)})" if question.route else ""
        head = (
            f"The host key of {question.address}{route} is not known: {question.algorithm} "
            f"{question.fingerprint}. Compare it with what its administrator says."
        )
        answers = await self._ask(head, [("Accept it? [once/always/NO] ", True)])
        word = answers[0].strip().lower() if answers else ""
        return {"once": HostKeyAnswer.ONCE, "always": HostKeyAnswer.ALWAYS}.get(
            word, HostKeyAnswer.REFUSE
        )

    async def _converse(self, dialogue: Dialogue[T]) -> T | None:
        terminal = self._held
        if terminal is None:
            return await super()._converse(dialogue)
        terminal.cooked()
        try:
            return await super()._converse(dialogue)
        finally:
            if self._held is terminal:
                terminal.raw()
