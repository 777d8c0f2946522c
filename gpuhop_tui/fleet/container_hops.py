"""From a container of a node to a hop into it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from gpuhop_tui.containers.actions import ssh_host_key
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.text import plain
from gpuhop_tui.fleet.doors import login_user, published_sshd
from gpuhop_tui.sessions.container_door import ContainerDoor
from gpuhop_tui.sessions.in_container import InContainer
from gpuhop_tui.ssh.known_hosts import is_host_key

_SHOWN = 8  # names in an error


async def find_container(engine: Engine, word: str) -> Container:
    """The container that has this name, or the one whose id begins so.

    Raises ContainerError where there is none or more than one, and as `Engine.call` does.
    """
    found = await engine.call("listing containers", lambda client: client.containers(all=True))
    names = {
        str(each["Id"]): [str(name).removeprefix("/") for name in each.get("Names") or ()]
        for each in found
    }
    identity = chosen(engine.node, word, names)
    facts = await engine.call(
        f"looking at {word}", lambda client: client.inspect_container(identity)
    )
    return read_container(engine.node, facts)


def chosen(node: str, word: str, names: dict[str, list[str]]) -> str:
    """The id, of the names by id, that `word` means. Raises ContainerError."""
    if named := [identity for identity, each in names.items() if word in each]:
        return named[0]
    if word and (begun := [identity for identity in names if identity.startswith(word.lower())]):
        if len(begun) == 1:
            return begun[0]
        called = ", ".join(sorted(_name(names[identity]) for identity in begun))
        raise ContainerError(f"{plain(word)!r} on {node} may be {called}", "Give more of the id.")
    raise _unknown(node, word, [plain(_name(each)) for each in names.values()])


def _name(names: Sequence[str]) -> str:
    return min(names, key=len, default="?")  # links of other containers add longer ones


def _unknown(node: str, word: str, known: list[str]) -> ContainerError:
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if near:
        advice = f"Did you mean {' or '.join(repr(name) for name in near)}?"
    elif known:
        more = ", …" if len(known) > _SHOWN else ""
        advice = f"There are: {', '.join(sorted(known)[:_SHOWN])}{more}"
    else:
        advice = f"There is none there; `gpuhop-tui run TEMPLATE {node}` starts one."
    return ContainerError(f"no container on {node} is named {plain(word)!r}", advice)


async def place_in(
    engine: Engine, container: Container, *, user: str = "", directory: str = ""
) -> InContainer:
    """The way into it by the engine's own means. Raises as `Engine.facts` does."""
    socket = (await engine.facts()).socket
    return InContainer(container.id, container.name, socket, user, directory)


async def door_of(engine: Engine, container: Container, *, user: str = "") -> ContainerDoor:
    """The way into it by its own sshd, which has to show the host key that stands in the container
    itself, where the engine finds one there.

    Raises ContainerError where it has no sshd that the node publishes, and as `Engine.call` does.
    """
    published = published_sshd(container)
    if published is None:
        raise ContainerError(
            f"the container {container.name} on {engine.node} publishes no SSH server",
            "Publish its port 22 on the node, or name that port with `ssh_port` in its template.",
        )
    port, address = published
    key = await ssh_host_key(engine, container) if container.running else None
    return ContainerDoor(
        container.id,
        container.name,
        port,
        address,
        user or login_user(container),
        key if key and is_host_key(key) else "",
    )
