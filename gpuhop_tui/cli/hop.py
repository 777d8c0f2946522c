"""`gpuhop-tui hop`: a shell on a node that is still there after a disconnect."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import CommandError
from gpuhop_tui.cli.prompts import Prompt, TerminalPrompter
from gpuhop_tui.cli.text import clean
from gpuhop_tui.sessions.hop import run_hop
from gpuhop_tui.sessions.hop_memory import OpenHop, forget, open_hops
from gpuhop_tui.sessions.hop_target import (
    DEFAULT_SESSION,
    EXIT_NO_LINK,
    HopEnd,
    HopResult,
    HopTarget,
)
from gpuhop_tui.ssh.prompts import HostKeyAnswer, HostKeyQuestion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncssh import SSHClientProcess, SSHReader

    from gpuhop_tui.config.hops import Route
    from gpuhop_tui.ssh.network import Network
    from gpuhop_tui.ssh.terminal import Terminal


def run_hop_command(options: argparse.Namespace) -> int:
    """Run the command and return the exit status of what ran on the node; 255 without a link.

    Raises `CommandError` where the config, the node's name or the command line is wrong.
    """
    if options.demo:
        raise CommandError("the demo's nodes have no shells to hop into")
    command = " ".join(options.command_words) or None  # one line for the login shell, as ssh has it
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if command is None or options.node is None:
            raise CommandError("a hop needs a terminal; without one, give a command after --")
        return asyncio.run(_piped(options, command))
    try:
        node, target, remembered = _chosen(options, command)
        return asyncio.run(_hop(options, node, target, remembered))
    except ValueError as error:
        raise CommandError(str(error)) from None


def _chosen(
    options: argparse.Namespace, command: str | None
) -> tuple[str, HopTarget, OpenHop | None]:
    """Node and session: as named, or, where no node is named, what was open before."""
    if options.node is not None:
        if command is not None:
            return options.node, HopTarget.running(command, options.session), None
        return options.node, HopTarget.shell(options.session or DEFAULT_SESSION), None
    before = open_hops()
    if not before:
        raise CommandError("no hop was left open: name a node")
    hop = before[0]
    return hop.node, hop.way_back, hop


async def _hop(
    options: argparse.Namespace, node: str, target: HopTarget, remembered: OpenHop | None
) -> int:
    prompter = HopPrompter()
    async with _way(options, node, prompter) as (network, route):
        if remembered is not None:
            print(f"back to {target.session} on {node}", file=sys.stderr)
        result = await run_hop(
            network,
            route,
            target,
            is_asking=lambda: prompter.asking,
            on_terminal=prompter.use,
        )
    if remembered is not None and result.end is not HopEnd.SIGNALLED:
        forget(remembered)
    return _told(result, node, target)


def _told(result: HopResult, node: str, target: HopTarget) -> int:
    """Says on stderr how the hop ended, where that is news, and what a command has written."""
    if result.output:
        sys.stdout.flush()
        os.write(1, result.output.rstrip(b"\n") + b"\x1b[0m\n")
    problem = result.problem
    if problem is not None:
        print(f"gpuhop-tui: {clean(str(problem))}", file=sys.stderr)
        print(f"  {clean(problem.advice)}", file=sys.stderr)
    elif result.end in (HopEnd.DETACHED, HopEnd.DISCONNECTED):
        back = f"gpuhop-tui hop {node}"
        if target.session != DEFAULT_SESSION:
            back += f" --session {target.session}"
        print(f"gpuhop-tui: {clean(result.message)}; back: {back}", file=sys.stderr)
    elif result.end is not HopEnd.ENDED or (target.run and result.exit_status):
        print(f"gpuhop-tui: {clean(result.message)}", file=sys.stderr)
    return result.exit_status


async def _piped(options: argparse.Namespace, command: str) -> int:
    """Without a terminal: the command's own streams, nothing persistent, as `ssh NODE CMD`."""
    from gpuhop_tui.problem import ProblemError
    from gpuhop_tui.ssh.terminal_session import SessionEnd

    async with _way(options, options.node, HopPrompter()) as (network, route):
        lend = route.target.forward_agent
        link = network.link(route, lend_agent=lend)
        await link.wait_until(lambda link: link.is_up or link.status.problem is not None)
        try:
            async with link.process(command) as process:
                await _pump(process)
                ended_by = process.exit_signal
                end = SessionEnd(None, ended_by[0]) if ended_by else SessionEnd(process.exit_status)
        except ProblemError as error:
            if isinstance(error.__cause__, BrokenPipeError):  # who reads our output has gone
                raise error.__cause__ from None
            raise CommandError([str(error), error.problem.advice], EXIT_NO_LINK) from None
    if end.lost:
        raise CommandError(f"the link to {options.node} was lost", EXIT_NO_LINK)
    return end.exit_status


async def _pump(process: SSHClientProcess[bytes]) -> None:
    """Copies our standard streams to and from the process, until it has ended."""
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
                data = os.read(0, 1 << 16)
                asyncio.run_coroutine_threadsafe(send(data), loop).result()

    threading.Thread(target=read_input, daemon=True).start()
    await asyncio.gather(copy(process.stdout, 1), copy(process.stderr, 2))
    await process.wait_closed()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@asynccontextmanager
async def _way(
    options: argparse.Namespace, node: str, prompter: HopPrompter
) -> AsyncIterator[tuple[Network, Route]]:
    """The network of the config, and the route to a node or bastion. All is closed at the end."""
    from gpuhop_tui.cli import open as opening
    from gpuhop_tui.config.hops import Route
    from gpuhop_tui.config.resolve import plan_fleet
    from gpuhop_tui.ssh.agent import Agent
    from gpuhop_tui.ssh.network import Network

    if "/" in node:
        raise CommandError(f"{node!r} names a container: a hop leads to nodes only for now")
    path = opening.find(options.config)
    if not path.exists() and not opening.is_named(options.config):
        raise CommandError(opening.no_config_lines(path))
    config = opening.load(path)
    plan = await plan_fleet(config)
    bastion = next((each for each in plan.bastions if each.name == node), None)
    planned = bastion or opening.choose_nodes(plan, [node]).nodes[0]
    if not isinstance(planned.route, Route):
        raise CommandError([str(planned.route), planned.route.advice], EXIT_NO_LINK)
    socket = config.agent.socket
    network = Network(
        prompter=prompter,
        agent=Agent.from_environment(str(socket) if socket else None),
        key_lifetime_seconds=config.agent.key_lifetime,
    )
    try:
        yield network, planned.route
    finally:
        await network.close()


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

    async def _ask(self, head: str, prompts: Sequence[Prompt]) -> list[str] | None:
        terminal = self._held
        if terminal is None:
            return await super()._ask(head, prompts)
        terminal.cooked()
        try:
            return await super()._ask(head, prompts)
        finally:
            if self._held is terminal:
                terminal.raw()
