"""From the config to the plan: every entry becomes a route of fully resolved hops."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.openssh import NO_PROXY, Chain, OpenSsh
from gpuhop_tui.config.plan import Plan, PlannedBastion, PlannedNode
from gpuhop_tui.config.schema import BastionConfig, Config, NodeConfig
from gpuhop_tui.config.ssh_options import (
    Destination,
    LocalUser,
    certificates_beside,
    existing_key,
    home_folder,
)
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")

Entry = BastionConfig | NodeConfig


async def plan_fleet(config: Config, environ: Mapping[str, str] = os.environ) -> Plan:
    """The route of every bastion and node; one that has none holds a Problem instead.

    Bastions come in the order of the file, then those that an alias's ProxyJump brought in.
    """
    ssh = OpenSsh(environ)
    entries: list[Entry] = [*config.bastions, *config.nodes]
    resolved = await asyncio.gather(*(_resolve(entry, ssh) for entry in entries))
    resolved = [
        chain if _may_sign(config, entry) else _unlent(chain)
        for entry, chain in zip(entries, resolved, strict=True)
    ]
    routes = _Routes(config.bastions, dict(zip((e.name for e in entries), resolved, strict=True)))
    bastions = [PlannedBastion(entry.name, routes.to(entry)) for entry in config.bastions]
    nodes = [
        PlannedNode(entry.name, routes.to(entry), entry.tags, entry.docker_socket)
        for entry in config.nodes
    ]
    jumps = [PlannedBastion(route.target.name, route) for route in routes.jump_routes]
    return Plan((*bastions, *jumps), tuple(nodes))


async def _resolve(entry: Entry, ssh: OpenSsh) -> Chain | Problem:
    """The entry by itself, before `via`."""
    try:
        return await _from_alias(entry, entry.ssh, ssh) if entry.ssh else Chain((), _given(entry))
    except ProblemError as error:
        return error.problem


def _may_sign(config: Config, entry: Entry) -> bool:
    """Whether anything that the server asks a lent agent for could be allowed."""
    guard = config.agent.guard
    return (entry.guard or guard.default) != "deny" or any(
        rule.decision != "deny" for rule in guard.rules
    )


def _unlent(chain: Chain | Problem) -> Chain | Problem:
    """The same ways, but nobody on them is lent the agent: each signature would be denied."""
    if isinstance(chain, Problem):
        return chain
    jumps = tuple(replace(jump, forward_agent=False) for jump in chain.jumps)
    return Chain(jumps, replace(chain.hop, forward_agent=False))


def _given(entry: Entry) -> Hop:
    """An entry with `host`: OpenSSH's defaults for what it does not say, without ssh_config."""
    home = home_folder() / ".ssh"
    files = _identity_files(entry) or tuple(
        found for name in DEFAULT_KEYS if (found := existing_key(home / name))
    )
    return Hop(
        name=entry.name,
        host=entry.host or entry.name,
        port=entry.port or 22,
        user=entry.user or LocalUser.current().name,
        transport=entry.transport if isinstance(entry, BastionConfig) else "tcp",
        forward_agent=bool(entry.forward_agent),
        identity_files=files,
        certificate_files=certificates_beside(_private(files)),
        known_hosts_files=(
            home / "known_hosts",
            home / "known_hosts2",
            Path("/etc/ssh/ssh_known_hosts"),
            Path("/etc/ssh/ssh_known_hosts2"),
        ),
    )


async def _from_alias(entry: Entry, alias: str, ssh: OpenSsh) -> Chain:
    """An entry with `ssh`: what the alias says, but for the values that stand beside it."""
    files = _identity_files(entry)
    options: tuple[str, ...] = ()
    if entry.host is not None:
        options += (f"HostName={entry.host.replace('%', '%%')}",)
    if entry.via is not None:
        options += NO_PROXY  # `via` replaces whatever way the alias had
    answer = await ssh.resolve(entry.name, Destination(alias, entry.user, entry.port), options)
    hop = answer.hop
    if isinstance(entry, BastionConfig):
        hop = replace(hop, transport=entry.transport)
    if entry.forward_agent is not None:
        hop = replace(hop, forward_agent=entry.forward_agent)
    if files:
        hop = replace(
            hop, identity_files=files, certificate_files=certificates_beside(_private(files))
        )
    return Chain(answer.jumps, hop)


def _identity_files(entry: Entry) -> tuple[Path, ...]:
    """The configured key. Raises ProblemError where it does not exist."""
    if entry.identity_file is None:
        return ()
    if found := existing_key(entry.identity_file):
        return (found,)
    raise ProblemError(
        Problem(
            entry.name,
            ErrorKind.UNRESOLVED,
            f"its identity_file {entry.identity_file} does not exist",
            "correct identity_file in the config, or leave it out to use the agent's keys",
        )
    )


def _private(files: Iterable[Path]) -> Iterable[Path]:
    """The names of the private halves, which certificates are named after."""
    return (path.with_name(path.name.removesuffix(".pub")) for path in files)


class _Routes:
    """Puts `via` before each entry, and gives hosts of ProxyJump their place and name.

    A login is one connection however many entries lead through it, so equal logins must be equal
    hops: a jump host that is also a bastion of the config is that bastion, and jump hosts that
    differ only in how they were written have the name that was met first.
    """

    def __init__(
        self, bastions: Iterable[BastionConfig], resolved: Mapping[str, Chain | Problem]
    ) -> None:
        self._bastions = {bastion.name: bastion for bastion in bastions}
        self._resolved = resolved
        self._names: dict[tuple[Hop, ...], str] = {}  # of ways to jump hosts, by nameless hops
        self._taken = set(resolved)
        self.jump_routes: list[Route] = []

    def to(self, entry: Entry) -> Route | Problem:
        try:
            return Route(self._hops(entry, ()))
        except ProblemError as error:
            return error.problem

    def _hops(self, entry: Entry, behind: tuple[str, ...]) -> tuple[Hop, ...]:
        if entry.name in behind:
            raise _bad_via(entry.name, "its `via` leads in a circle")
        own = self._resolved[entry.name]
        if isinstance(own, Problem):
            raise ProblemError(own)
        if entry.via is None:
            return (*self._jumps(own.jumps), own.hop)
        hops: list[Hop] = []
        for name in entry.via:
            if name not in self._bastions:
                raise _bad_via(entry.name, f'its `via` names "{name}", which is no bastion')
            for hop in self._hops(self._bastions[name], (*behind, entry.name)):
                if hop in hops:
                    continue
                if hops and hop.proxy_command:
                    raise _bad_via(
                        hop.name,
                        f"its ProxyCommand runs on this machine, so it cannot be reached "
                        f'through "{hops[-1].name}"',
                    )
                hops.append(hop)
        return (*hops, own.hop)

    def _jumps(self, jumps: Iterable[Hop]) -> tuple[Hop, ...]:
        """Jump hosts, outermost first, as the bastions that they are, or named."""
        hops: list[Hop] = []
        for jump in jumps:
            hops.append(self._shared(jump) or self._named(hops, jump))
        return tuple(hops)

    def _shared(self, jump: Hop) -> Hop | None:
        """The bastion of the config that is the same login."""
        for name in self._bastions:
            own = self._resolved[name]
            if isinstance(own, Chain) and _login(own.hop) == _login(jump):
                return replace(own.hop, proxy_command=jump.proxy_command)
        return None

    def _named(self, before: list[Hop], jump: Hop) -> Hop:
        way = (*before, replace(jump, name=""))
        if way not in self._names:
            spellings = (jump.name, f"{jump.name} (jump)")
            numbered = (f"{jump.name} (jump {number})" for number in count(2))
            name = next(name for name in chain(spellings, numbered) if name not in self._taken)
            self._taken.add(name)
            self._names[way] = name
            self.jump_routes.append(Route((*before, replace(jump, name=name))))
        return replace(jump, name=self._names[way])


def _login(hop: Hop) -> tuple[str, int, str]:
    return hop.host, hop.port, hop.user


def _bad_via(hop: str, message: str) -> ProblemError:
    return ProblemError(Problem(hop, ErrorKind.UNRESOLVED, message, "correct `via` in the config"))
