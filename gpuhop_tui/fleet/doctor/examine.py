"""All checks of a running fleet, told as each ends; a slow hop delays nobody else's."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.ssh_options import home_folder
from gpuhop_tui.fleet.doctor import hops
from gpuhop_tui.fleet.doctor.agent import check_agent, check_lending
from gpuhop_tui.fleet.doctor.engine import (
    check_container_sshd,
    check_engine,
    check_store,
    look_at_engine,
)
from gpuhop_tui.fleet.doctor.finding import LAPTOP, Finding, counted, ok, unchecked
from gpuhop_tui.fleet.doctor.keys import check_keys
from gpuhop_tui.fleet.doctor.laptop import check_laptop
from gpuhop_tui.fleet.doctor.node import check_clock, check_gpus, check_look
from gpuhop_tui.fleet.doctor.remote import Look, look
from gpuhop_tui.fleet.doctor.terminal import check_terminal, surrounding_tmux
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.problem import Problem
from gpuhop_tui.ssh import abilities
from gpuhop_tui.ssh.abilities import NotAskedError
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.keychain import Keychain
from gpuhop_tui.ssh.link import Link

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import TemplateConfig
    from gpuhop_tui.containers.engine import Engine

LINK_SECONDS = 20.0  # how long a link may take before the doctor goes on without it
PROBE_SECONDS = 20.0  # and a probe, once the link is up
NODE_CHECKS = ("python", "tmux", "clock", "disk", "gpu", "docker", "containers")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scope:
    """What the config says beside the fleet. Without a path, files of the user are left alone."""

    config_path: Path | None = None
    templates: Sequence[TemplateConfig] = ()
    link_seconds: float = LINK_SECONDS


@dataclass(frozen=True, slots=True)
class PatientBastion:
    """A bastion to be examined, and the links of hosts behind it."""

    name: str
    route: Route | Problem
    link: Link | None
    behind: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class PatientNode:
    """A node to be examined. `state` tells its state of now."""

    name: str
    route: Route | Problem
    link: Link | None
    engine: Engine | None
    state: Callable[[], NodeState]


async def examine(
    agent: Agent,
    keychain: Keychain,
    bastions: Sequence[PatientBastion],
    nodes: Sequence[PatientNode],
    scope: Scope,
) -> AsyncGenerator[Finding, None]:
    """Every finding, as soon as it is known. Leaving the iteration ends what still runs."""
    told: asyncio.Queue[Finding | None] = asyncio.Queue()
    ways = [*(each.route for each in bastions), *(each.route for each in nodes)]
    routes = [way for way in ways if isinstance(way, Route)]
    parts: list[tuple[str, Awaitable[None]]] = [
        (LAPTOP, _laptop(told.put_nowait, agent, keychain, routes, scope)),
        *((each.name, _bastion(told.put_nowait, each, scope)) for each in bastions),
        *((each.name, _node(told.put_nowait, each, scope)) for each in nodes),
    ]
    tasks = [
        asyncio.create_task(_guarded(told.put_nowait, name, part), name=f"doctor {name}")
        for name, part in parts
    ]
    everything = asyncio.gather(*tasks)
    everything.add_done_callback(lambda _done: told.put_nowait(None))
    try:
        while (finding := await told.get()) is not None:
            yield finding
    finally:
        everything.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Tell = Callable[[Finding], None]


async def _guarded(tell: Tell, name: str, part: Awaitable[None]) -> None:
    """A fault of one check is a finding, and no end of the others."""
    try:
        await part
    except Exception as error:
        _log.exception("a check of %s failed", name)
        reason = f"unexpected {type(error).__name__}: {error} (--log-file has the details)"
        tell(unchecked("doctor", name, reason))


async def _laptop(
    tell: Tell, agent: Agent, keychain: Keychain, routes: Sequence[Route], scope: Scope
) -> None:
    used = [hop for route in routes for hop in route.hops]
    _tell_all(tell, await asyncio.to_thread(check_laptop, scope.config_path, used))
    terminal = sys.__stdout__ is not None and sys.__stdout__.isatty()
    size = os.get_terminal_size() if terminal else None
    tmux = await surrounding_tmux()
    _tell_all(tell, check_terminal(os.environ, tmux, (size.columns, size.lines) if size else None))
    _tell_all(tell, check_agent(await agent.status(), routes))
    if scope.config_path is None:
        tell(unchecked("keys", LAPTOP, "the demo uses no key of yours"))
    else:
        _tell_all(tell, check_keys(await keychain.view(), time.time(), home_folder()))


async def _bastion(tell: Tell, bastion: PatientBastion, scope: Scope) -> None:
    route, link = bastion.route, bastion.link
    if isinstance(route, Problem):
        _tell_all(tell, hops.check_route(bastion.name, route))
        return
    if link is None:
        tell(unchecked("login", bastion.name, "no node is behind it"))
        return
    _tell_all(tell, hops.check_settings(route.target))
    await _settled(link, scope.link_seconds)
    _tell_all(tell, hops.check_link(route, link.status, abilities.server_version(link)))
    if not link.is_up:
        for check in ("forwarding", "clock"):
            tell(unchecked(check, bastion.name, "it was not reached"))
        _tell_all(tell, check_lending(route, None))
        return
    seen, _ = await asyncio.gather(
        look(link),
        _tell_forwarding(tell, route, link, bastion.behind, scope.link_seconds),
    )
    tell(check_clock(bastion.name, seen))
    _tell_all(tell, check_lending(route, seen.others))
    tell(_users(bastion.name, seen))


async def _tell_forwarding(
    tell: Tell, route: Route, link: Link, behind: Sequence[Link], seconds: float
) -> None:
    await asyncio.gather(*(_settled(each, seconds) for each in behind))
    statuses = [each.status for each in behind]
    granted: bool | None = None
    if route.target.transport == "tcp" and not any(each.is_up for each in behind):
        try:
            granted = await abilities.forwards_tcp(link)
        except NotAskedError:
            granted = None
    tell(hops.check_forwarding(route, statuses, granted))


def _users(name: str, seen: Look) -> Finding:
    if seen.reason:
        return unchecked("users", name, seen.reason)
    if not seen.others:
        return ok("users", name, "nobody else is logged in")
    return ok("users", name, f"logged in beside you: {counted(seen.others, 'other user')}")


async def _node(tell: Tell, node: PatientNode, scope: Scope) -> None:
    route, link = node.route, node.link
    if not isinstance(route, Route) or link is None:
        _tell_all(tell, hops.check_route(node.name, route))
        return
    _tell_all(tell, hops.check_settings(route.target))
    await _settled(link, scope.link_seconds)
    _tell_all(tell, hops.check_link(route, link.status, abilities.server_version(link)))
    if not link.is_up:
        for check in NODE_CHECKS:
            tell(unchecked(check, node.name, "it was not reached"))
        return
    gpus = asyncio.create_task(_gpus(tell, node))
    try:
        await asyncio.gather(
            _tell_node_forwarding(tell, route.target, link),
            _machine(tell, node, link, gpus),
            *(_container_sshd(tell, link, each) for each in scope.templates),
        )
        # Last, and alone: it takes every session that the server gives.
        await gpus
        await _tell_sessions(tell, route.target, link)
    finally:
        gpus.cancel()


async def _gpus(tell: Tell, node: PatientNode) -> bool:
    """Whether the node has GPUs."""
    clock = asyncio.get_running_loop().time
    until = clock() + PROBE_SECONDS
    state = node.state()
    while state.live_sample is None and state.probe_problem is None and clock() < until:
        await asyncio.sleep(0.1)
        state = node.state()
    tell(check_gpus(state))
    return state.live_sample is not None and bool(state.live_sample.gpus)


async def _machine(tell: Tell, node: PatientNode, link: Link, gpus: asyncio.Task[bool]) -> None:
    seen = await look(link)
    _tell_all(tell, check_look(node.name, seen))
    if node.engine is None:
        return
    engine = await look_at_engine(node.engine)
    has_gpus = await asyncio.shield(gpus)
    _tell_all(tell, check_engine(node.name, engine, seen.programs, has_gpus))
    sample = node.state().live_sample
    disks = {d.path: (d.free_bytes, d.total_bytes) for d in (sample.host.disks if sample else ())}
    _tell_all(tell, check_store(node.name, engine, disks))


async def _tell_node_forwarding(tell: Tell, hop: Hop, link: Link) -> None:
    try:
        tell(hops.check_node_forwarding(hop, await abilities.forwards_tcp(link)))
    except NotAskedError as error:
        tell(unchecked("forwarding", hop.name, str(error)))


async def _tell_sessions(tell: Tell, hop: Hop, link: Link) -> None:
    try:
        tell(hops.check_sessions(hop, await abilities.sessions_refused_after(link)))
    except NotAskedError as error:
        tell(unchecked("sessions", hop.name, str(error)))


async def _container_sshd(tell: Tell, link: Link, template: TemplateConfig) -> None:
    """Silent where nothing answers at the template's port: no such container runs there."""
    if template.ssh_port is None:
        return
    try:
        methods = await abilities.login_methods(link, template.ssh_port)
    except NotAskedError:
        return
    tell(check_container_sshd(link.name, template.name, template.ssh_port, methods))


async def _settled(link: Link, seconds: float) -> None:
    """Returns when the link is up or has failed once, or after `seconds`."""

    def settled(link: Link) -> bool:
        return link.is_up or link.status.problem is not None

    try:
        async with asyncio.timeout(seconds):
            await link.wait_until(settled)
    except TimeoutError:
        pass


def _tell_all(tell: Tell, findings: Iterable[Finding]) -> None:
    for finding in findings:
        tell(finding)
