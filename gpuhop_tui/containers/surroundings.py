"""What the checks before a container's start need to know of its node."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpuhop_tui.containers.engine import Engine, EngineFacts
from gpuhop_tui.containers.gpus import NodeGpu
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.node_shell import ask_node
from gpuhop_tui.containers.spec import ContainerSpec
from gpuhop_tui.containers.text import plain
from gpuhop_tui.problem import ProblemError

_log = logging.getLogger(__name__)

_LISTEN = "0A"  # of the states in /proc/net/tcp: include/net/tcp_states.h


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks need to know of a node. `gpus` None: there are no figures."""

    engine: EngineFacts
    containers: tuple[Container, ...] = ()
    has_image: bool = True
    gpus: tuple[NodeGpu, ...] | None = None
    user: str = ""
    home: str = ""
    hostname: str = ""  # as uname(1) says it
    ports: dict[tuple[str, int], str] | None = None  # ("tcp", 22): address; None: not known
    missing_paths: tuple[str, ...] = ()
    lends_agent: bool = True  # whether hops to the node lend it the agent


async def look_around(
    engine: Engine, spec: ContainerSpec, gpus: tuple[NodeGpu, ...] | None
) -> Surroundings:
    """Asks engine and node. Raises as `Engine.call` does."""

    def ask(client: Any) -> tuple[list[Any], bool]:
        from docker.errors import APIError, NotFound

        found = []
        for each in client.containers(all=True):
            try:
                found.append(client.inspect_container(each["Id"]))
            except NotFound:
                continue  # it has just gone
        try:
            client.inspect_image(spec.image)
        except APIError:
            return found, False
        return found, True

    facts = await engine.facts()
    found, has_image = await engine.call("looking around", ask)
    containers = tuple(read_container(engine.node, each) for each in found)
    lends = engine.link.route.target.forward_agent
    around = Surroundings(facts, containers, has_image, gpus, lends_agent=lends)
    paths = [source for source in sources(spec) if source.startswith(("/", "~"))]
    try:
        said = await ask_node(engine.link, script(paths))
    except ProblemError as error:
        _log.info("%s: %s", engine.node, error.problem.message)
        return around
    return read_answer(around, said, paths)


def sources(spec: ContainerSpec) -> list[str]:
    """What is mounted: paths of the node, and names of volumes."""
    return [volume.partition(":")[0] for volume in spec.volumes]


def script(paths: Sequence[str]) -> str:
    """Prints user, home, host name, listening ports, and the numbers of paths that are absent."""
    looks = "\n".join(
        f'[ -e {_word(path)} ] || echo "missing {number}"' for number, path in enumerate(paths)
    )
    return f"""echo "user $(id -un)"; echo "home $HOME"; echo "host $(uname -n)"
for n in tcp tcp6 udp udp6; do [ -r /proc/net/$n ] && sed "s/^/port $n /" /proc/net/$n; done
{looks}"""


def read_answer(around: Surroundings, said: str, paths: Sequence[str]) -> Surroundings:
    """The facts of the script's output. Source of the ports: proc_pid_net(5)."""
    user = home = hostname = ""
    ports: dict[tuple[str, int], str] = {}
    missing: list[str] = []
    for line in said.splitlines():
        match line.split():
            case ["user", *words]:
                user = plain(" ".join(words))
            case ["home", *words]:
                home = plain(" ".join(words))
            case ["host", *words]:
                hostname = plain(" ".join(words))
            case ["missing", number]:
                missing.append(paths[int(number)])
            case ["port", kind, _, local, _, state, *_] if ":" in local:
                protocol = kind.removesuffix("6")
                if protocol == "udp" or state == _LISTEN:
                    address, _, port = local.rpartition(":")
                    ports[protocol, int(port, 16)] = address
    return replace(
        around,
        user=user,
        home=home,
        hostname=hostname,
        ports=ports,
        missing_paths=tuple(missing),
    )


def _word(path: str) -> str:
    if path == "~" or path.startswith("~/"):
        return '"$HOME"' + shlex.quote(path[1:])
    return shlex.quote(path)
