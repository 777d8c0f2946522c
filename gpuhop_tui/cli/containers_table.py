"""The table of `containers`: one block a node, one line a container."""

from __future__ import annotations

from collections.abc import Iterator

from gpuhop_tui.cli.node_lines import node_head, problem_lines
from gpuhop_tui.cli.text import clean, fit, wrap
from gpuhop_tui.containers.model import Container
from gpuhop_tui.fleet.containers_report import containers_problem
from gpuhop_tui.fleet.state import FleetState, NodeState

_NAME, _IMAGE = 20, 24  # columns


def render_containers(
    state: FleetState, *, now: float, width: int = 80, colour: bool = False
) -> str:
    """All nodes as plain text, each line at most `width` columns wide, ending in a newline.

    `now` is the wall clock, seconds since the epoch: ages are told by it.
    """
    blocks = ("\n".join(_node(node, now, width, colour)) for node in state.nodes)
    return "\n\n".join(blocks) + "\n"


def _node(node: NodeState, now: float, width: int, colour: bool) -> Iterator[str]:
    problem = containers_problem(node)
    facts = [node.link.state.value]
    if node.via:
        facts.append("via " + ", ".join(node.via))
    listing = node.containers
    if listing is not None:
        number = len(listing.containers)
        facts += [listing.engine, f"{number} container{'' if number == 1 else 's'}"]
        if listing.disk is not None:
            facts.append(f"images {_bytes(listing.disk.images_bytes)}")
    yield node_head(
        node.name, facts, room=min(width - 12, 90), well=problem is None, width=width, colour=colour
    )
    if problem is not None:
        yield from problem_lines(problem, width)
    for container in listing.containers if listing else ():
        yield from _container(container, now, width)


def _container(container: Container, now: float, width: int) -> Iterator[str]:
    grant = f"gpus {container.gpus}" if container.gpus else ""
    cpu = "-" if container.cpu_percent is None else f"{container.cpu_percent:.0f} %"
    columns = (
        fit(clean(container.name), _NAME),
        fit(clean(container.image), _IMAGE),
        fit(_state(container, now), 18),
        cpu.rjust(6),
        _bytes(container.memory_bytes).rjust(8),
        _bytes(container.gpu_memory_bytes).rjust(8),
        "  ".join(part for part in (grant, _ports(container)) if part),
    )
    yield fit("  " + "  ".join(columns), width).rstrip()
    if container.lost_gpus is not None:
        yield from wrap(str(container.lost_gpus), width, "    ")
        yield from wrap(container.lost_gpus.advice, width, "      ")
    elif container.error:
        yield from wrap(container.error, width, "    ")


def _state(container: Container, now: float) -> str:
    """Such as "running 3 h", "unhealthy 2 d", "exited 137 5 m"."""
    if container.running:
        word = container.health or container.state
        since = container.started_at
    else:
        word = container.state
        if container.exit_code is not None:
            word += f" {container.exit_code}"
        since = container.finished_at or container.created_at
    if container.restart_count:
        word += f" ↻{container.restart_count}"
    return clean(f"{word} {_span(now - since)}" if since is not None else word)


def _ports(container: Container) -> str:
    return clean(" ".join(str(port) for port in container.ports if port.host_port is not None))


def _span(seconds: float) -> str:
    """A time in its largest unit, such as "3 h"."""
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _bytes(number: int | None) -> str:
    """In the largest unit of 1024, such as "1.5 GiB"; "-" where it is not known."""
    if number is None:
        return "-"
    size, units = float(number), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "B" or size >= 100 else f"{size:.1f} {units[0]}"
