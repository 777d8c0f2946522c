"""A running fleet: every link and every node's monitor, gathered into one state."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.plan import Plan, PlannedBastion, PlannedNode
from gpuhop_tui.fleet.containers import NodeContainers, with_container_names, with_gpu_memory
from gpuhop_tui.fleet.jobs.book import JobBook
from gpuhop_tui.fleet.jobs.places import with_session_names
from gpuhop_tui.fleet.monitor import NodeMonitor
from gpuhop_tui.fleet.past import Past
from gpuhop_tui.fleet.past_jobs import PastJob
from gpuhop_tui.fleet.ports import memory as ports_memory
from gpuhop_tui.fleet.ports.node import NodePorts
from gpuhop_tui.fleet.sessions import NodeSessions
from gpuhop_tui.fleet.state import BastionState, FleetState, HistoryPoint, NodeState
from gpuhop_tui.fleet.state_file import StateFile
from gpuhop_tui.fleet.store.database import LIMIT_BYTES
from gpuhop_tui.fleet.store.points import StoredPoint
from gpuhop_tui.fleet.store.store import Store
from gpuhop_tui.problem import Problem
from gpuhop_tui.sessions.hop import EXIT_NO_LINK, Tell, run_hop
from gpuhop_tui.sessions.hop_target import HopEnd, HopResult, HopTarget
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.guard.guard import GuardSettings
from gpuhop_tui.ssh.keychain import Keychain
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.network import Network
from gpuhop_tui.ssh.prompts import Prompter
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from gpuhop_tui.ssh.terminal import Terminal

if TYPE_CHECKING:
    from gpuhop_tui.fleet.doctor.examine import Scope
    from gpuhop_tui.fleet.doctor.finding import Finding

MERGE_SECONDS = 0.05  # changes within this time are told as one
TICK_SECONDS = 1.0
AGENT_SECONDS = 10.0


class Fleet:
    """The `FleetSource` of real nodes. Made idle; `start()` connects, `stop()` closes all."""

    def __init__(
        self,
        plan: Plan,
        *,
        prompter: Prompter,
        agent_socket: str | None = None,
        sample_interval: float = 2.0,
        key_lifetime: float | None = None,
        retry: bool = True,
        guard: GuardSettings | None = None,
        remember_hops: bool = True,
        store: Path | None = None,
        store_limit: int = LIMIT_BYTES,
    ) -> None:
        """`sample_interval` and `key_lifetime` are seconds; without `retry` a link that fails
        stays down. `guard`: what a lent agent may be used for. `remember_hops`: to offer them
        again after a crash, and to keep the forwarded ports that the user saves. `store`: the file
        that keeps the past across restarts, of at most `store_limit` bytes; None: it is kept in
        memory only."""
        self._remember_hops = remember_hops
        self._plan = plan
        self._interval = sample_interval
        self._past = Past(store, store_limit, self._tell)
        self.network = Network(
            prompter=prompter,
            agent=Agent.from_environment(agent_socket),
            key_lifetime_seconds=int(key_lifetime) if key_lifetime else None,
            retry=retry,
            guard=guard,
        )
        self.network.guard.listen(self._tell)
        self._monitors: dict[str, NodeMonitor] = {}
        self._sessions: dict[str, NodeSessions] = {}
        self._sessions_watched = False
        self._containers: dict[str, NodeContainers] = {}
        self._containers_watched = False
        self._ports: dict[str, NodePorts] = {}
        self._jobs: dict[str, JobBook] = {}
        self._bastion_links: dict[str, Link] = {}
        self._bastions: dict[str, BastionState] = {
            bastion.name: _first_bastion_state(bastion) for bastion in plan.bastions
        }
        self._nodes: dict[str, NodeState] = {
            node.name: _first_node_state(node) for node in plan.nodes
        }
        self._agent_line = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._subscribers: set[asyncio.Event] = set()
        self._state = self._build()
        self._dirty = False

    @property
    def state(self) -> FleetState:
        if self._dirty:
            self._state = self._build()
            self._dirty = False
        return self._state

    async def start(self) -> None:
        """Begins to connect to every node whose route is known. Returns at once."""
        await self._past.start()
        for node in self._plan.nodes:
            if isinstance(node.route, Route):
                self._watch_node(node, node.route)
        for bastion in self._plan.bastions:
            if isinstance(bastion.route, Route) and self._is_used(bastion.route):
                self._watch_bastion(bastion, bastion.route)
        self._tasks.append(asyncio.create_task(self._tick(), name="staleness"))
        self._tasks.append(asyncio.create_task(self._watch_agent(), name="agent"))

    async def stop(self) -> None:
        """Ends every monitor and closes every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        closing = [each.close() for each in self._sessions.values()]
        closing += [each.close() for each in self._containers.values()]
        closing += [each.close() for each in self._ports.values()]
        closing.append(self._past.close())
        await asyncio.gather(*closing, return_exceptions=True)
        await self.network.close()

    async def changes(self) -> AsyncIterator[FleetState]:
        """Yields the state now, and the newest state after each change."""
        changed = asyncio.Event()
        changed.set()
        self._subscribers.add(changed)
        try:
            while True:
                await changed.wait()
                await asyncio.sleep(MERGE_SECONDS)
                changed.clear()
                yield self.state
        finally:
            self._subscribers.discard(changed)

    def history(self, node: str, gpu_index: int) -> Sequence[HistoryPoint]:
        return self._past.recent(node, gpu_index)

    async def past(
        self, node: str, gpu_index: int, since: float, until: float
    ) -> Sequence[StoredPoint]:
        """All figures of one GPU between two times, oldest first, gaps as such."""
        return await self._past.points(node, gpu_index, since, until)

    @property
    def notes(self) -> Store | None:
        """What keeps small facts across restarts; None: there is nothing that does."""
        return self._past.store

    async def past_gpus(self, node: str) -> Sequence[int]:
        """The indexes of the GPUs of which a past was kept, in order."""
        return await self._past.gpus(node)

    async def past_jobs(self) -> Sequence[PastJob]:
        """The jobs that ended in the last seven days, as far as that was seen, newest first."""
        return await self._past.jobs()

    def retry(self, name: str | None = None) -> None:
        """Tries the named node or bastion now, and the bastions before it; None: all of them."""
        if name is None:
            self.network.retry_now()
        for monitor_name, monitor in self._monitors.items():
            if name is None or monitor_name == name:
                monitor.retry_now()
                self.network.retry_now(monitor.link)
        if name in self._bastion_links:
            self.network.retry_now(self._bastion_links[name])

    def watch_sessions(self, wanted: bool) -> None:
        """Begins or ends to list the tmux sessions of every node: on while somebody looks."""
        self._sessions_watched = wanted
        for sessions in self._sessions.values():
            sessions.watch(wanted)

    def sessions(self, node: str) -> NodeSessions | None:
        """What acts upon a node's tmux sessions; None where the way to the node is not known."""
        return self._sessions.get(node)

    async def hop(
        self,
        node: str,
        target: HopTarget,
        *,
        is_asking: Callable[[], bool] = lambda: False,
        on_terminal: Callable[[Terminal | None], None] = lambda _terminal: None,
        on_line: Callable[[Tell | None], None] = lambda _tell: None,
    ) -> HopResult:
        """Hands the terminal over to a session on a node or bastion until it is left. See
        `run_hop`.

        Raises KeyError for a name that the plan lacks.
        """
        routes = {bastion.name: bastion.route for bastion in self._plan.bastions}
        route = (routes | {each.name: each.route for each in self._plan.nodes})[node]
        if isinstance(route, Problem):
            return HopResult(HopEnd.FAILED, EXIT_NO_LINK, route.message, route)
        return await run_hop(
            self.network,
            route,
            target,
            is_asking=is_asking,
            on_terminal=on_terminal,
            on_line=on_line,
            remember=self._remember_hops,
        )

    def dismiss_job(self, node: str, pid: int, started_at: float | None) -> None:
        """Forgets a job that is over, or off the GPUs."""
        book = self._jobs.get(node)
        if book is not None:
            book.dismiss(pid, started_at)
            self._nodes[node] = replace(self._nodes[node], jobs=book.jobs)
            self._tell()

    def lock_agent(self, locked: bool) -> None:
        """Refuses everything to everybody whom the agent is lent to, until it is unlocked; what
        was allowed for a while is over."""
        self.network.guard.lock(locked)

    def revoke_grant(self, grant: int) -> None:
        """Ends what was allowed for a while, by its id."""
        self.network.guard.revoke(grant)

    def watch_containers(self, wanted: bool) -> None:
        """Begins or ends to list the containers of every node: on while somebody looks."""
        self._containers_watched = wanted
        for containers in self._containers.values():
            containers.watch(wanted)

    def containers(self, node: str) -> NodeContainers | None:
        """A node's engine, to act upon; None where the way to the node is not known."""
        return self._containers.get(node)

    def ports(self, node: str) -> NodePorts | None:
        """What listens on a node and is forwarded; None where the way to it is not known."""
        return self._ports.get(node)

    async def restore_ports(self) -> None:
        """Forwards again what was saved, of every node; the fleet has been started."""
        for ports in tuple(self._ports.values()):
            await ports.restore()

    @property
    def keychain(self) -> Keychain:
        """The agent's keys and the user's key files, to be looked at and acted upon."""
        return self.network.keychain

    def examine(self, scope: Scope) -> AsyncGenerator[Finding, None]:
        """Every check of the doctor, told as each ends. For a fleet that was started."""
        from gpuhop_tui.fleet.doctor.examine import PatientBastion, PatientNode, examine

        bastions = [
            PatientBastion(each.name, each.route, link, self._links_behind(link))
            for each in self._plan.bastions
            for link in [self._bastion_links.get(each.name)]
        ]
        nodes = [
            PatientNode(
                each.name,
                each.route,
                monitor.link if (monitor := self._monitors.get(each.name)) else None,
                engine.engine if (engine := self._containers.get(each.name)) else None,
                partial(self._nodes.__getitem__, each.name),
            )
            for each in self._plan.nodes
        ]
        return examine(self.network.agent, self.keychain, bastions, nodes, scope)

    def _links_behind(self, bastion: Link | None) -> tuple[Link, ...]:
        links = (monitor.link for monitor in self._monitors.values())
        return tuple(link for link in links if bastion is not None and link.parent is bastion)

    def _is_used(self, bastion: Route) -> bool:
        length = len(bastion.hops)
        return any(
            isinstance(node.route, Route) and node.route.hops[:length] == bastion.hops
            for node in self._plan.nodes
        )

    def _watch_node(self, node: PlannedNode, route: Route) -> None:
        name = node.name

        def changed() -> None:
            state = monitor.state
            listing, found = containers.listing, sessions.sessions
            jobs.update(state.sample, state.stale, found, listing, time.time())
            self._past.saw_jobs(jobs.jobs)
            sample = with_session_names(state.sample, found)
            self._nodes[name] = replace(
                state,
                sample=with_container_names(sample, listing),
                sessions=found,
                sessions_problem=sessions.problem,
                sessions_left_out=sessions.left_out,
                containers=with_gpu_memory(listing, state.live_sample),
                containers_problem=containers.problem,
                jobs=jobs.jobs,
            )
            self._tell()

        link = self.network.link(route)
        login = self._nodes[name].address.rpartition("@")[0]
        self._jobs[name] = jobs = JobBook(name, login=login)
        sessions = NodeSessions(link, changed, node.docker_socket)
        sessions.watch(self._sessions_watched)
        self._sessions[name] = sessions
        containers = NodeContainers(link, node.docker_socket, self.network.agent, changed)
        containers.watch(self._containers_watched)
        self._containers[name] = containers
        self._ports[name] = NodePorts(
            link,
            containers.engine,
            self._tell,
            file=StateFile(ports_memory.FILE_NAME) if self._remember_hops else None,
        )
        monitor = NodeMonitor(
            self._nodes[name],
            link,
            self._interval,
            changed,
            sampled=lambda sample: self._past.record(name, sample),
            gap=lambda: self._past.gap(name),
        )
        self._monitors[name] = monitor
        self._tasks.append(asyncio.create_task(monitor.run(), name=f"monitor {name}"))

    def _watch_bastion(self, bastion: PlannedBastion, route: Route) -> None:
        first = self._bastions[bastion.name]
        link = self.network.link(route)

        def changed() -> None:
            self._bastions[bastion.name] = BastionState(
                first.name, first.address, first.via, link.status, tuple(link.events)
            )
            self._tell()

        self._bastion_links[bastion.name] = link
        link.listen(changed)
        changed()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for monitor in self._monitors.values():
                monitor.mark_if_stale()

    async def _watch_agent(self) -> None:
        while True:
            line = (await self.network.agent.status()).line
            if line != self._agent_line:
                self._agent_line = line
                self._tell()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGENT_SECONDS):
                    await self.keychain.changed.wait()
            self.keychain.changed.clear()

    def _tell(self) -> None:
        self._dirty = True
        for changed in self._subscribers:
            changed.set()

    def _build(self) -> FleetState:
        guard = self.network.guard
        lendings = guard.lendings
        return FleetState(
            tuple(self._bastions.values()),
            tuple(self._nodes.values()),
            self._agent_line,
            tuple(dict.fromkeys(lending.node for lending in lendings)),
            lendings,
            guard.events,
            guard.locked,
            forwarded_ports=sum(len(each.forwards) for each in self._ports.values()),
            past_problem=self._past.problem,
            past_notice=self._past.notice,
        )


def _first_bastion_state(bastion: PlannedBastion) -> BastionState:
    address, via, link = _route_facts(bastion.route)
    return BastionState(bastion.name, address, via, link)


def _first_node_state(node: PlannedNode) -> NodeState:
    address, via, link = _route_facts(node.route)
    return NodeState(node.name, address, via, node.tags, link)


def _route_facts(route: Route | Problem) -> tuple[str, tuple[str, ...], LinkStatus]:
    """Address, bastions before it, and the link's first state; a route that cannot be found
    out is blocked until the config is mended."""
    if isinstance(route, Problem):
        return "", (), LinkStatus(LinkState.BLOCKED, since=time.time(), problem=route)
    via = tuple(hop.name for hop in route.via)
    return _address(route.target), via, LinkStatus(since=time.time())


def _address(hop: Hop) -> str:
    return f"{hop.user}@{hop.address}"
