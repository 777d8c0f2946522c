"""The fleet as entries of ssh_config(5), so that ssh, scp, rsync, git and editors see its hosts.

An entry says everything that a route says, so that what stands elsewhere in the user's files
changes nothing of it; `ssh -G` on it gives the route again. Names that the user's own `Host` lines
have are never taken: where such an entry leads elsewhere, ours is called `NAME.gpuhop`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.openssh import OpenSsh
from gpuhop_tui.config.plan import Plan, PlannedBastion, PlannedNode
from gpuhop_tui.config.resolve import plan_fleet
from gpuhop_tui.config.same_login import same_way
from gpuhop_tui.config.schema import Config, NodeConfig, TemplateConfig
from gpuhop_tui.config.ssh_options import Destination, certificates_beside
from gpuhop_tui.config.ssh_words import InexpressibleError, command, host_name, literal, word
from gpuhop_tui.problem import Problem, ProblemError

MARK = "# Written by gpuhop-tui"
SUFFIX = ".gpuhop"
LOOPBACK = "127.0.0.1"

Settings = tuple[tuple[str, str], ...]
Relay = Callable[[str, int], str]
"""A shell command for a bastion, in one line, that connects its input and output to a server."""


@dataclass(frozen=True, slots=True)
class Door:
    """A container's own sshd: the node, the container's name, and where on the node it answers."""

    node: str
    container: str
    port: int
    address: str = LOOPBACK  # as the node has it
    user: str = "root"


@dataclass(frozen=True, slots=True)
class Entry:
    """One `Host`: `name` is what the fleet calls it, `host` what ssh does."""

    name: str
    host: str
    settings: Settings
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """The entries, and why others have none, by name: (name, reason)."""

    entries: tuple[Entry, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    hosts: Mapping[str, str] | None = None
    """What ssh calls each bastion, node and "NODE/CONTAINER" of the fleet."""


def template_doors(plan: Plan, templates: Sequence[TemplateConfig]) -> list[Door]:
    """Where the sshd of each template that has one answers, once it runs on a node under the
    template's name."""
    return [
        Door(node.name, template.name, template.ssh_port, _address(template), _user(template))
        for node in plan.nodes
        for template in templates
        if template.ssh_port is not None
    ]


async def export(
    plan: Plan,
    config: Config,
    *,
    doors: Sequence[Door] = (),
    taken: Collection[str] = (),
    relay: Relay,
    environ: Mapping[str, str] = os.environ,
) -> Export:
    """Entries for every bastion, node and door. `taken` are the names that the user's own `Host`
    lines have. Never raises: what cannot be said is in `left_out`."""
    ssh = OpenSsh(environ)
    usual = await _usual_hop()
    agents = _Agents(
        str(config.agent.socket) if config.agent.socket else None, environ.get("SSH_AUTH_SOCK")
    )
    writer = _Writer(set(taken) | _aliases(config), ssh, usual, agents, relay)
    for bastion in plan.bastions:
        await writer.add(bastion)
    for node in plan.nodes:
        await writer.add(node)
    routes = {node.name: node.route for node in plan.nodes}
    for door in doors:
        writer.add_door(door, routes.get(door.node))
    return Export(tuple(writer.entries), tuple(writer.left_out), writer.hosts)


def render(export: Export, source: Path) -> str:
    """The text of a file. `source` is the config that it was made from."""
    lines = [
        f"{MARK} from {source}: the next `gpuhop-tui ssh-config --install` replaces it.",
    ]
    if any(("ForwardAgent", "no") not in entry.settings for entry in export.entries):
        lines.append("# With ForwardAgent, ssh lends the agent itself, without gpuhop-tui's guard.")
    for entry in export.entries:
        lines += ["", *(f"# {line}" for line in _remarks(entry)), f"Host {entry.host}"]
        lines += [f"    {keyword} {value}" for keyword, value in entry.settings]
    if export.left_out:
        lines.append("")
        lines += [
            f"# No entry for {_one_line(name)}: {_one_line(why)}" for name, why in export.left_out
        ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Agents:
    """Sockets of agents: the config's, and that of the shell, which the next shell may not have."""

    configured: str | None
    of_shell: str | None


class _Writer:
    """Makes the entries, bastions before what is behind them."""

    def __init__(
        self, taken: set[str], ssh: OpenSsh, usual: Hop, agents: _Agents, relay: Relay
    ) -> None:
        self.entries: list[Entry] = []
        self.left_out: list[tuple[str, str]] = []
        self.hosts: dict[str, str] = {}
        self._own = frozenset(taken)  # the user's
        self._taken = taken
        self._ssh = ssh
        self._usual = usual
        self._agents = agents
        self._relay = relay
        self._ways: dict[tuple[Hop, ...], str] = {}  # of bastions: what ssh calls each

    async def add(self, place: PlannedBastion | PlannedNode) -> None:
        route = place.route
        if isinstance(route, Problem):
            self.left_out.append((place.name, f"{route.message}; {route.advice}"))
            return
        if await self._is_own(place.name, route):
            self.left_out.append((place.name, "your own entry of that name leads there"))
            self._keep(place, route, place.name)
            return
        remark = ""
        host = wanted = host_name(place.name)
        if wanted in self._own:
            host = f"{wanted}{SUFFIX}"
            remark = f'your own entry "{wanted}" is another way, and stays as it is'
        host = self._free(host)
        try:
            settings = (*self._way(route), *_settings(route.target, self._usual, self._agents))
        except InexpressibleError as error:
            self.left_out.append((place.name, str(error)))
            return
        self._keep(place, route, host)
        self.entries.append(Entry(place.name, host, settings, remark))

    def add_door(self, door: Door, route: Route | Problem | None) -> None:
        name = f"{door.node}/{door.container}"
        if door.node not in self.hosts or not isinstance(route, Route):
            self.left_out.append((name, f"{door.node} has none"))
            return
        node = self.hosts[door.node]
        wanted = f"{host_name(door.node)}-{host_name(door.container)}"
        host = self._free(wanted if wanted not in self._own else f"{wanted}{SUFFIX}")
        hop = route.target
        try:
            settings = (
                ("HostName", word(door.address)),
                ("Port", str(door.port)),
                ("User", _user_word(door.user)),
                ("ProxyJump", node),
                *_agent_settings(hop, self._agents),
                # Its port of the node answers with another key for each container.
                ("HostKeyAlias", host),
            )
        except InexpressibleError as error:
            self.left_out.append((name, str(error)))
            return
        self.hosts[name] = host
        self.entries.append(Entry(name, host, settings))

    async def _is_own(self, name: str, route: Route) -> bool:
        """Whether the user's own entry of that name is the same way."""
        if name not in self._own or host_name(name) != name:
            return False
        try:
            chain = await self._ssh.resolve(name, Destination(name))
        except ProblemError:
            return False
        return same_way((*chain.jumps, chain.hop), route.hops)

    def _keep(self, place: PlannedBastion | PlannedNode, route: Route, host: str) -> None:
        self.hosts[place.name] = host
        self._taken.add(host)
        if isinstance(place, PlannedBastion):
            self._ways[route.hops] = host

    def _free(self, wanted: str) -> str:
        spellings = (f"{wanted}-{number}" for number in count(2))
        return (
            wanted
            if wanted not in self._taken
            else next(name for name in spellings if name not in self._taken)
        )

    def _way(self, route: Route) -> Iterator[tuple[str, str]]:
        """How the server is reached. Without bastions it is said too, or a `Host *` might say
        otherwise."""
        hop, parent = route.target, route.parent
        yield "HostName", literal(hop.host)
        yield "Port", str(hop.port)
        yield "User", _user_word(hop.user)
        if parent is None:
            if hop.proxy_command:
                yield "ProxyCommand", command(hop.proxy_command)
            else:
                yield "ProxyJump", "none"
        elif parent.target.transport == "exec":
            bastion = self._named(parent)
            relay = shlex.quote(self._relay(hop.host, hop.port))
            yield "ProxyCommand", command(f"ssh -T -e none -- {bastion} {relay}")
        else:
            yield "ProxyJump", self._jumps(parent)

    def _named(self, way: Route) -> str:
        if way.hops in self._ways:
            return self._ways[way.hops]
        raise InexpressibleError(
            f"the bastion {way.target.name} is reached here in another way than by itself: give "
            f"it `via` in the config"
        )

    def _jumps(self, way: Route) -> str:
        """The bastions as ProxyJump wants them: the first as its own entry says, each further one
        through the one before."""
        parent = way.parent
        if way.hops in self._ways or parent is None or parent.target.transport == "exec":
            return self._named(way)
        hop = way.target
        by_itself = next((host for way, host in self._ways.items() if way[-1] == hop), None)
        if by_itself is None:
            return self._named(way)
        return f"{self._jumps(parent)},{by_itself}"


def _settings(hop: Hop, usual: Hop, agents: _Agents) -> Iterator[tuple[str, str]]:
    """The login itself; what is as usual is left out."""
    if set(hop.identity_files) != set(usual.identity_files):
        for file in hop.identity_files:
            yield "IdentityFile", literal(str(file))
    for file in hop.certificate_files:
        if file not in certificates_beside(_private(hop.identity_files)):
            yield "CertificateFile", literal(str(file))
    if hop.identities_only:
        yield "IdentitiesOnly", "yes"
    yield from _agent_settings(hop, agents)
    if hop.host_key_alias:
        yield "HostKeyAlias", word(hop.host_key_alias)
    if hop.known_hosts_files != usual.known_hosts_files:
        yield "UserKnownHostsFile", " ".join(literal(str(f)) for f in hop.known_hosts_files)
    if hop.revoked_host_keys:
        yield "RevokedHostKeys", literal(str(hop.revoked_host_keys))
    if hop.known_hosts_command:
        yield "KnownHostsCommand", " ".join(map(literal, hop.known_hosts_command))
    if hop.strict_host_keys:
        yield "StrictHostKeyChecking", "yes"
    if hop.connect_timeout is not None:
        yield "ConnectTimeout", f"{hop.connect_timeout:.0f}"
    if hop.bind_address:
        yield "BindAddress", word(hop.bind_address)
    if hop.address_family != "any":
        yield "AddressFamily", hop.address_family
    if hop.auth_methods != usual.auth_methods and hop.auth_methods:
        yield "PreferredAuthentications", ",".join(hop.auth_methods)
    if hop.password_prompts != usual.password_prompts:
        yield "NumberOfPasswordPrompts", str(hop.password_prompts)
    for keyword, names in (
        ("HostKeyAlgorithms", hop.host_key_algorithms),
        ("KexAlgorithms", hop.kex_algorithms),
        ("Ciphers", hop.ciphers),
        ("MACs", hop.macs),
        ("PubkeyAcceptedAlgorithms", hop.pubkey_algorithms),
    ):
        if names:
            yield keyword, ",".join(names)


def _agent_settings(hop: Hop, agents: _Agents) -> Iterator[tuple[str, str]]:
    used = hop.identity_agent if hop.identity_agent != agents.of_shell else None
    if socket := used or agents.configured:
        yield "IdentityAgent", literal(socket)
    if not hop.forward_agent:
        yield "ForwardAgent", "no"
    elif hop.forward_agent_socket in (None, agents.of_shell):
        yield "ForwardAgent", "yes"
    else:
        yield "ForwardAgent", literal(hop.forward_agent_socket or "")


def _user_word(user: str) -> str:
    if "%" in user or "$" in user:  # expanded by newer releases, and not by older ones
        raise InexpressibleError(f'releases of ssh read the user name "{user}" in different ways')
    return word(user)


def _private(files: Sequence[Path]) -> list[Path]:
    return [path.with_name(path.name.removesuffix(".pub")) for path in files]


async def _usual_hop() -> Hop:
    """What an entry of the config that says nothing but a host is."""
    plan = await plan_fleet(Config(nodes=(NodeConfig(name="usual", host="usual"),)))
    route = plan.nodes[0].route
    assert isinstance(route, Route)
    return route.target


def _aliases(config: Config) -> set[str]:
    """Names that the config has ssh look up: an entry of ours by one of them would answer in
    place of the user's own."""
    return {entry.ssh for entry in (*config.bastions, *config.nodes) if entry.ssh}


def _address(template: TemplateConfig) -> str:
    """The address of the node at which the template publishes its sshd's port."""
    for port in template.ports:
        match = re.fullmatch(rf"\[?([^\]]+?)\]?:{template.ssh_port}:\d+(/tcp)?", port)
        if match and match[1] not in ("0.0.0.0", "::"):
            return match[1]
    return LOOPBACK


def _user(template: TemplateConfig) -> str:
    name = (template.user or "").partition(":")[0]
    return name if name and not name.isdecimal() else "root"


def _remarks(entry: Entry) -> Iterator[str]:
    if entry.host != entry.name:
        yield _one_line(entry.name)
    if entry.remark:
        yield _one_line(entry.remark)


def _one_line(text: str) -> str:
    return " ".join(text.split())
