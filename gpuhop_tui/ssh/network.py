"""All links of one program: shared bastions, limits per server, waking up, closing down."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncssh

from gpuhop_tui.config.hops import Route
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.guard.guard import Guard, GuardSettings
from gpuhop_tui.ssh.guard.lent import LentAgent
from gpuhop_tui.ssh.key_files import KeyRing
from gpuhop_tui.ssh.keychain import Keychain
from gpuhop_tui.ssh.known_hosts import KnownHosts
from gpuhop_tui.ssh.link import SESSIONS, Link
from gpuhop_tui.ssh.login import LoggedIn, LoginContext, agent_for, lendable_socket, log_in
from gpuhop_tui.ssh.prompts import Prompter
from gpuhop_tui.ssh.wake import Addresses, local_address, watch

# sshd's MaxStartups is 10:30:100: from the tenth unauthenticated connection on it drops some.
HANDSHAKES = 8

_log = logging.getLogger(__name__)

_Lane = tuple[Route, bool, int]  # route, whether the agent is lent, which of several connections


@dataclass(slots=True)
class _Relays:
    """How many relays (transport = "exec") each connection to one bastion carries."""

    used: list[int] = field(default_factory=list)

    def take(self) -> int:
        """The first connection with a free session, counting from 0; a new one if none has."""
        for lane, count in enumerate(self.used):
            if count < SESSIONS:
                self.used[lane] += 1
                return lane
        self.used.append(1)
        return len(self.used) - 1


class Network:
    """Gives out links, one shared connection for each equal route."""

    def __init__(
        self,
        *,
        prompter: Prompter,
        agent: Agent,
        key_lifetime_seconds: int | None = None,
        retry: bool = True,
        guard: GuardSettings | None = None,
    ) -> None:
        """`guard`: what a lent agent may be used for; without it a person is asked each time."""
        self.agent = agent
        self._ring = KeyRing(prompter, agent, key_lifetime_seconds)
        self.keychain = Keychain(agent, self._ring, key_lifetime_seconds)
        known_hosts = KnownHosts()
        self._context = LoginContext(prompter, agent, self._ring, known_hosts)
        self.guard = Guard(guard or GuardSettings(), prompter, known_hosts)
        self._retry = retry
        self._links: dict[_Lane, Link] = {}
        self._relays: dict[Route, _Relays] = {}
        self._gates: dict[object, asyncio.Semaphore] = {}
        self._borrowers: Counter[Link] = Counter()
        self._watch: asyncio.Task[None] | None = None

    @property
    def links(self) -> list[Link]:
        return list(self._links.values())

    def link(self, route: Route, *, lend_agent: bool = False) -> Link:
        """The link for `route`, begun if it is new.

        With `lend_agent` it is a connection of its own whose sessions may use the user's agent
        (`ssh -A`), through the guard; bastions on the way are shared and never see the agent.
        """
        return self._lane(route, lend_agent, 0)

    @asynccontextmanager
    async def lending(self, route: Route) -> AsyncIterator[Link]:
        """The link for shells with the agent; it is closed when its last user leaves the block."""
        link = self.link(route, lend_agent=True)
        self._borrowers[link] += 1
        try:
            yield link
        finally:
            self._borrowers[link] -= 1
            if not self._borrowers[link]:
                del self._borrowers[link]
                await self.release(link)

    async def release(self, link: Link) -> None:
        """Closes one link and forgets it: the next `link` for its route begins anew."""
        for lane, known in tuple(self._links.items()):
            if known is link:
                del self._links[lane]
                break
        else:
            return
        parent = link.parent
        for (route, _lent, number), known in self._links.items():
            if known is parent and route in self._relays:
                self._relays[route].used[number] -= 1
        await link.close()
        if link.lent is not None:
            await self.guard.end(link.lent)

    def retry_now(self, link: Link | None = None) -> None:
        """Tries the link (None: every link) at once; questions declined before are asked again."""
        self._ring.ask_again()
        for each in self.links if link is None else _with_parents(link):
            each.retry_now()

    async def close(self) -> None:
        """Closes every connection, nodes before their bastions."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        by_depth: dict[int, list[Link]] = {}
        for link in self.links:
            by_depth.setdefault(len(link.route.hops), []).append(link)
        for depth in sorted(by_depth, reverse=True):
            closing = (link.close() for link in by_depth[depth])
            await asyncio.gather(*closing, return_exceptions=True)
        self._links.clear()
        await self.keychain.close()
        await self.guard.close()

    def _lane(self, route: Route, lend_agent: bool, lane: int) -> Link:
        key = (route, lend_agent, lane)
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = self._make(route, lend_agent)
            link.start()
            if self._watch is None:
                self._watch = asyncio.create_task(self._watch_clocks(), name="wake watch")
        return link

    def _make(self, route: Route, lend_agent: bool) -> Link:
        parent = self._parent(route)
        gate = self._gate(route)
        lent = self._lend(route) if lend_agent else None

        async def gated(
            through: asyncssh.SSHClientConnection | None, on_step: Callable[[str], None]
        ) -> LoggedIn:
            on_step("its turn")
            async with gate:
                socket = await lent.start() if lent is not None else None
                logged_in = await log_in(
                    route.hops, through, self._context, lent_socket=socket, on_step=on_step
                )
            if lent is not None:
                lent.bound(logged_in.bind)
            return logged_in

        agent = agent_for(route.target, self.agent)
        link = Link(
            route, parent, gated, agent_has_keys=agent.has_keys, retry=self._retry, lent=lent
        )
        if ignored := route.target.not_followed:
            verb = "is" if len(ignored) == 1 else "are"
            link.note(f"ssh_config of {link.name}: {', '.join(ignored)} {verb} not followed")
        return link

    def _lend(self, route: Route) -> LentAgent | None:
        socket = lendable_socket(route.target, self.agent)
        return self.guard.lend(route, socket) if socket is not None else None

    def _parent(self, route: Route) -> Link | None:
        parent = route.parent
        if parent is None:
            return None
        if parent.target.transport == "tcp":
            return self._lane(parent, False, 0)
        return self._lane(parent, False, self._relays.setdefault(parent, _Relays()).take())

    def _gate(self, route: Route) -> asyncio.Semaphore:
        target = route.target
        # Where a ProxyCommand leads is its own affair; all of them share one gate.
        by_proxy = route.parent is None and target.proxy_command
        server: object = "proxy" if by_proxy else (route.parent, target.host, target.port)
        return self._gates.setdefault(server, asyncio.Semaphore(HANDSHAKES))

    async def _watch_clocks(self) -> None:
        def addresses() -> dict[Route, Addresses]:
            """Our own address towards each outermost hop that was reached before."""
            return {
                link.route: Addresses(
                    link.own_address, local_address(link.peer_address, link.route.target.port)
                )
                for link in self.links
                if link.parent is None and link.peer_address
            }

        def woke(seconds: float) -> None:
            _log.info("woke up: %.0f s were lost", seconds)
            self._check(f"woke up after {seconds:.0f} s")

        def route_changed() -> None:
            _log.info("the local address changed")
            self._check("network changed")

        await watch(woke, addresses, route_changed)

    def _check(self, why: str) -> None:
        for link in self.links:
            if link.parent is None:
                link.note(why)
            link.check_now(after_wake=True)


def _with_parents(link: Link) -> list[Link]:
    return [link, *(_with_parents(link.parent) if link.parent else [])]
