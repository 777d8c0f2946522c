"""The hosts of `~/.ssh/config` as entries of a config: bastions, and nodes with `via`.

`ssh -G` says what each alias is. What a config can say becomes `host`, `port`, `user`; an alias
that says more (an agent of its own, several keys, a ProxyCommand, …) stays one: `ssh = "alias"`.
Which it is, our own planner decides: an entry counts only if its route is the alias's.
"""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.openssh import Chain, OpenSsh
from gpuhop_tui.config.plan import Plan
from gpuhop_tui.config.resolve import plan_fleet
from gpuhop_tui.config.same_login import same_login, same_way
from gpuhop_tui.config.schema import Config
from gpuhop_tui.config.ssh_options import Destination, LocalUser, home_folder
from gpuhop_tui.config.ssh_words import host_name
from gpuhop_tui.problem import ProblemError

Table = dict[str, Any]

_FORGES = ("git", "hg")  # the users of servers that give no shell


@dataclass(frozen=True, slots=True)
class Imported:
    """What to add to a config: raw tables, and which hosts were left out: (name, reason)."""

    bastions: tuple[Table, ...] = ()
    nodes: tuple[Table, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(table["name"] for table in (*self.bastions, *self.nodes))

    def tables(self) -> Table:
        """As they stand in a config."""
        found = {"bastions": list(self.bastions), "nodes": list(self.nodes)}
        return {kind: copy.deepcopy(tables) for kind, tables in found.items() if tables}

    def add_to(self, raw: Table) -> None:
        """Appends the entries to the raw tables of a config."""
        for kind, tables in self.tables().items():
            raw.setdefault(kind, []).extend(tables)


async def import_hosts(
    aliases: Sequence[str], existing: Config, environ: Mapping[str, str] = os.environ
) -> Imported:
    """Entries for `aliases` and the jump hosts before them, without those that `existing` has."""
    ssh = OpenSsh(environ)
    left_out: list[tuple[str, str]] = []
    chains: dict[str, Chain] = {}
    answers = await asyncio.gather(*(_resolve(ssh, alias) for alias in aliases))
    for alias, answer in zip(aliases, answers, strict=True):
        if isinstance(answer, str):
            left_out.append((alias, answer))
        elif answer.hop.user in _FORGES:
            left_out.append((alias, f'its user is "{answer.hop.user}": it gives no shell'))
        else:
            chains[alias] = answer
    draft = _Draft(existing, await plan_fleet(existing, environ), chains)
    draft.fill()
    imported = await _checked(draft, existing, environ)
    return replace(imported, left_out=(*left_out, *draft.left_out))


async def _resolve(ssh: OpenSsh, alias: str) -> Chain | str:
    try:
        return await ssh.resolve(alias, Destination(alias))
    except ProblemError as error:
        return f"{error.problem.message}; {error.problem.advice}"


@dataclass(slots=True)
class _Wish:
    """One entry to be, the way that it must lead, and how to say it by an alias."""

    table: Table
    way: tuple[Hop, ...]
    alias: Table


class _Draft:
    """Entries that say all in words of the config, each with the way that it stands for."""

    def __init__(self, existing: Config, plan: Plan, chains: Mapping[str, Chain]) -> None:
        self.bastions: list[_Wish] = []
        self.nodes: list[_Wish] = []
        self.left_out: list[tuple[str, str]] = []
        self._chains = chains
        entries = (*existing.bastions, *existing.nodes)
        self._taken = {entry.name for entry in entries}
        self._known_aliases = {entry.ssh for entry in entries if entry.ssh}
        self._nodes = [node.route for node in plan.nodes if isinstance(node.route, Route)]
        named = {bastion.name for bastion in existing.bastions}
        self._ways: list[tuple[tuple[Hop, ...], str]] = [
            (bastion.route.hops, bastion.name)
            for bastion in plan.bastions
            if isinstance(bastion.route, Route) and bastion.name in named
        ]

    def fill(self) -> None:
        jumps = [jump for chain in self._chains.values() for jump in chain.jumps]
        for alias, chain in self._chains.items():
            way = (*chain.jumps, chain.hop)
            if any(same_login(chain.hop, jump) for jump in jumps):
                self._bastion(way, alias)
            elif alias in self._known_aliases or any(
                same_way(way, route.hops) for route in self._nodes
            ):
                self.left_out.append((alias, "the config has it"))
            elif alias in self._taken:
                self.left_out.append((alias, "the config has another entry of that name"))
            else:
                self._taken.add(alias)
                self.nodes.append(self._wish(alias, way, {"ssh": alias}))
        self._leave_out_needless()

    def _leave_out_needless(self) -> None:
        """Bastions whose name the config has already for another entry, and that nothing new
        leads through."""
        for wish in self.bastions[::-1]:  # each stands behind those that it needs
            alias, name = wish.alias["ssh"], wish.table["name"]
            entries = (*self.bastions, *self.nodes)
            is_used = any(name in each.table.get("via", ()) for each in entries)
            if alias in self._chains and name != alias and not is_used:
                self.bastions.remove(wish)
                self.left_out.append((alias, "the config has another entry of that name"))

    def _wish(self, name: str, way: tuple[Hop, ...], alias: Table) -> _Wish:
        via = self._via(way[:-1])
        return _Wish(_in_words(name, way[-1], via), way, {"name": name, **alias})

    def _via(self, jumps: tuple[Hop, ...]) -> list[str]:
        """The bastions' names; the last alone where it leads through the others by itself."""
        if not jumps:
            return []
        name = self._bastion(jumps, None)
        whole = next((way for way, known in self._ways if known == name), ())
        return [name] if same_way(whole, jumps) else [*self._via(jumps[:-1]), name]

    def _bastion(self, way: tuple[Hop, ...], alias: str | None) -> str:
        """The name of the bastion at the end of `way`, made where there is none yet."""
        hop = way[-1]
        exact = (name for known, name in self._ways if same_way(known, way))
        alike = (name for known, name in self._ways if same_login(known[-1], hop))
        if known := next(exact, None) or next(alike, None):
            if alias is not None and known != alias:
                self.left_out.append((alias, f'it is the bastion "{known}"'))
            elif alias is not None and not any(w.table["name"] == known for w in self.bastions):
                self.left_out.append((alias, "the config has it"))
            return known
        alias = alias or self._alias_of(way)
        name = self._free(alias or host_name(hop.host))
        spelled: Table = {"ssh": alias} if alias else {"ssh": hop.host, "user": hop.user}
        if alias is None and hop.port != 22:
            spelled["port"] = hop.port
        self._ways.append((way, name))
        self.bastions.append(self._wish(name, way, spelled))
        return name

    def _alias_of(self, way: tuple[Hop, ...]) -> str | None:
        """The alias that leads the same way, so that a jump host has the name the person knows."""
        for alias, chain in self._chains.items():
            if same_way((*chain.jumps, chain.hop), way):
                return alias
        return None

    def _free(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}-{number}", number + 1
        self._taken.add(name)
        return name


def _in_words(name: str, hop: Hop, via: Sequence[str]) -> Table:
    """The entry, as far as the config has words for the hop."""
    table: Table = {"name": name, "host": hop.host}
    if hop.port != 22:
        table["port"] = hop.port
    if hop.user != LocalUser.current().name:
        table["user"] = hop.user
    if len(hop.identity_files) == 1:
        table["identity_file"] = _short(hop.identity_files[0])
    if hop.forward_agent:
        table["forward_agent"] = True
    if via:
        table["via"] = list(via)
    return table


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(home_folder())}"
    except ValueError:
        return str(path)


async def _checked(draft: _Draft, existing: Config, environ: Mapping[str, str]) -> Imported:
    """The draft, with each entry whose route is not its alias's said by the alias instead."""
    wishes = [*draft.bastions, *draft.nodes]
    for wish in wishes:
        if wish.way[-1].not_followed or not _is_valid(wish.table):
            wish.table = wish.alias
        elif len(wish.way[-1].identity_files) == 1:
            wish.table = await _without_usual_key(wish, environ)
    while True:
        imported = Imported(
            tuple(wish.table for wish in draft.bastions), tuple(wish.table for wish in draft.nodes)
        )
        routes = await _routes(existing, imported, environ)
        wrong = [
            wish
            for wish in wishes
            if wish.table is not wish.alias and not _leads(routes.get(wish.table["name"]), wish.way)
        ]
        if not wrong:
            return imported
        nearest = min(len(wish.way) for wish in wrong)  # what is behind it may be wrong by that
        for wish in wrong:
            if len(wish.way) == nearest:
                wish.table = wish.alias


async def _without_usual_key(wish: _Wish, environ: Mapping[str, str]) -> Table:
    """The entry without its key, where that is the one that is used anyway."""
    bare = {key: value for key, value in wish.table.items() if key != "identity_file"}
    alone = {key: value for key, value in bare.items() if key != "via"}
    plan = await plan_fleet(Config.model_validate({"nodes": [alone]}), environ)
    route = plan.nodes[0].route
    return bare if _leads(route, wish.way[-1:]) else wish.table


def _is_valid(table: Table) -> bool:
    alone = {key: value for key, value in table.items() if key != "via"}
    try:
        Config.model_validate({"nodes": [alone]})
    except ValueError:
        return False
    return True


async def _routes(
    existing: Config, imported: Imported, environ: Mapping[str, str]
) -> dict[str, object]:
    raw = imported.tables()
    added = Config.model_validate(raw)
    whole = existing.model_copy(
        update={
            "bastions": (*existing.bastions, *added.bastions),
            "nodes": (*existing.nodes, *added.nodes),
        }
    )
    plan = await plan_fleet(whole, environ)
    routes: dict[str, object] = {bastion.name: bastion.route for bastion in plan.bastions}
    return routes | {node.name: node.route for node in plan.nodes}


def _leads(route: object, way: Sequence[Hop]) -> bool:
    return isinstance(route, Route) and same_way(route.hops, way)
