"""The containers of a node: one line each where it is wide enough, else two; and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gpuhop_tui.containers.model import Container, Listing
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.tui.render.columns import Column, choose, heading, row
from gpuhop_tui.tui.render.engine import Extras, Key, engine_line, engine_notes, short_image
from gpuhop_tui.tui.render.gpus import dimmed
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line, join, width_of, wrap
from gpuhop_tui.tui.render.units import MISSING, brief, figure, ranges, size

ContainerRow = tuple[Key | None, Line]  # Container.key

COLUMNS: tuple[Column, ...] = (
    Column("name", "CONTAINER", 9, comfort=16, grow=3, most=32),
    Column("state", "STATE", 10, grow=1, most=14),
    Column("age", "FOR", 6, rank=1, align="right"),
    Column("gpus", "GPUS", 8, rank=1, grow=1, most=16),
    Column("gpu_memory", "GPU MEM", 7, rank=2, align="right"),
    Column("cpu", "CPU", 6, rank=3, align="right"),
    Column("memory", "MEMORY", 6, rank=3, align="right"),
    Column("restarts", "RESTARTS", 8, rank=5, align="right"),
    Column("image", "IMAGE", 16, rank=6, comfort=24, grow=2, most=44),
    Column("ports", "PORTS", 12, rank=7, comfort=18, grow=2, most=36),
)
_INDENT = "  "
_GAP = Span("  ")
MARK = "✓"

_TONES = {
    "paused": Tone.INFO,
    "restarting": Tone.WARN,
    "removing": Tone.WARN,
    "dead": Tone.BAD,
}
# What is told on a line of its own where it has no column
_NAMED = {"restarts": "restarts ", "gpu_memory": "gpu ", "cpu": "cpu ", "memory": "mem "}
# Figures that may be missing, as a note names them that says why
FIGURES = {
    "cpu_percent": "CPU",
    "memory_bytes": "memory",
    "gpu_memory_bytes": "GPU memory",
}


class KeyNames(NamedTuple):
    """How the keys are called that a line mentions."""

    new: str
    images: str


@dataclass(frozen=True, slots=True)
class _Table:
    """What all lines of a table share."""

    columns: tuple[Column, ...]
    width: int
    now: float
    image: int  # cells of the image's column
    gpus: Mapping[str, str]
    extras: Extras

    @classmethod
    def of(cls, node: NodeState, width: int, now: float, extras: Extras) -> _Table:
        columns = choose(COLUMNS, width)
        image = next((column.width for column in columns if column.key == "image"), 0)
        return cls(columns, width, now, image, gpu_names(node.sample), extras)


def container_rows(
    node: NodeState, width: int, now: float, keys: KeyNames, extras: Extras | None = None
) -> list[ContainerRow]:
    """Lines, each with the container that it belongs to (None: a heading or a note)."""
    extras = extras or Extras()
    listing = node.containers
    notes, live = engine_notes(node, width, now, extras.seen_at)
    if listing is None:
        notes = notes or [(Span(f"Looking for containers on {clean(node.name)}…", Tone.DIM),)]
        return [(None, line) for line in notes]
    notes.append(engine_line(listing, width, keys.images, len(extras.marked)))
    if not listing.containers:
        return [(None, line) for line in (*notes, *_none(node, width, keys))]
    table = _Table.of(node, width, now, extras)
    rows: list[ContainerRow] = [(None, line) for line in (*notes, heading(table.columns))]
    for container in listing.containers:
        lines = _lines(container, table)
        rows += [(container.key, line if live else dimmed(line)) for line in lines]
    return rows + [(None, line) for line in _why_missing(listing, width)]


def all_containers(nodes: Iterable[NodeState]) -> Iterator[Container]:
    """Every container that was seen on these nodes."""
    for node in nodes:
        yield from node.containers.containers if node.containers else ()


def _none(node: NodeState, width: int, keys: KeyNames) -> list[Line]:
    words = f"There is no container on {clean(node.name)}. {keys.new} starts one."
    return wrap(words, width, Tone.DIM)


def _lines(container: Container, table: _Table) -> Iterator[Line]:
    """Its columns; what has no column; and what is wrong with it."""
    extras = table.extras
    mark = (Span(f"{MARK} ", Tone.INFO),) if container.key in extras.marked else ()
    cells: dict[str, Line] = {
        "name": (*mark, Span(clean(container.name), Tone.STRONG)),
        "state": (state_words(container),),
        "age": _age(container, table.now),
        "gpus": gpus_given(container, table.gpus),
        "gpu_memory": _bytes(container, container.gpu_memory_bytes),
        "cpu": _cpu(container),
        "memory": _bytes(container, container.memory_bytes),
        "restarts": _restarts(container),
        "image": (Span(short_image(container.image, table.image), Tone.DIM),),
        "ports": ports(container),
    }
    if container.key in extras.busy:
        cells["state"] = (Span(f"{extras.busy[container.key]}…", Tone.INFO),)
    yield row(table.columns, cells)
    rest = _rest(container, cells, table)
    if rest:
        yield fit_line((Span(_INDENT), *rest), table.width)
    for words, tone in _wrong(container, extras):
        for line in wrap(words, table.width - len(_INDENT), tone):
            yield (Span(_INDENT), *line)


def _rest(container: Container, cells: Mapping[str, Line], table: _Table) -> Line:
    """What has no column, named where its figure does not say what it is."""
    shown = {column.key for column in table.columns}
    parts: list[Line] = []
    for key, name in _NAMED.items():
        cell = cells[key]
        if key not in shown and cell:
            parts.append((Span(name, Tone.DIM), *cell))
    if "image" not in shown:
        taken = width_of(join(parts, _GAP)) + len(_GAP.text)
        room = max(16, table.width - len(_INDENT) - taken)
        parts.append((Span(short_image(container.image, room), Tone.DIM),))
    if "ports" not in shown:
        parts.append(cells["ports"])
    return join(parts, _GAP)


def _wrong(container: Container, extras: Extras) -> Iterator[tuple[str, Tone]]:
    """What is wrong with it, and what to do."""
    lost = container.lost_gpus
    if lost is not None:
        yield str(lost), Tone.BAD
        yield f"→ {lost.advice}", Tone.INFO
    if container.oom_killed and not container.running:
        yield "killed: it ran out of memory", Tone.BAD
    if container.error and not container.running:
        began = "" if container.state == "dead" else "did not start: "
        yield f"{began}{container.error}", Tone.BAD
    if container.key in extras.failures:
        yield extras.failures[container.key], Tone.BAD


# Cells


def state_words(container: Container) -> Span:
    """`running`, `healthy`, `unhealthy`, `exited 137`, …"""
    state = clean(container.state)
    if state == "running":
        health = clean(container.health or "")
        tones = {"": Tone.GOOD, "healthy": Tone.GOOD, "starting": Tone.WARN}
        return Span(health or state, tones.get(health, Tone.BAD))
    if state == "exited" and container.exit_code is not None:
        return Span(f"exited {container.exit_code}", Tone.BAD if container.exit_code else Tone.DIM)
    return Span(state, _TONES.get(state, Tone.DIM))


def gpus_given(container: Container, names: Mapping[str, str]) -> Line:
    """`all`, `0-3`, `any 2`, a MIG instance; where some are lost, how many it still sees.

    `names`: what the node's GPUs and MIG instances are called, by UUID.
    """
    grant, lost = container.gpus, container.lost_gpus
    if grant is None:
        return ()
    if lost is not None:
        if lost.seen is None:
            return (Span("silent", Tone.BAD),)
        given = "all" if lost.given is None else lost.given
        return (Span(f"{lost.seen}/{given} lost", Tone.BAD),)
    if grant.all or not grant.ids:
        return (Span("all" if grant.all else f"any {grant.count}"),)
    called = [names.get(each, each) for each in grant.ids]
    if all(name.isdecimal() for name in called):
        return (Span(ranges(tuple(map(int, called)))),)
    return (Span(clean(",".join(called))),)


def gpu_names(sample: Sample | None) -> dict[str, str]:
    """`3` for a GPU, `0:1` for instance 1 of GPU 0, by their UUIDs."""
    names: dict[str, str] = {}
    for gpu in sample.gpus if sample else ():
        if gpu.uuid:
            names[gpu.uuid] = str(gpu.index)
        for instance in gpu.mig:
            if instance.uuid:
                names[instance.uuid] = f"{gpu.index}:{instance.index}"
    return names


def ports(container: Container) -> Line:
    """Those that are published: `2222→22 8888→8888`."""
    published = [str(port) for port in container.ports if port.host_port is not None]
    return (Span(clean(" ".join(published))),) if published else ()


def _age(container: Container, now: float) -> Line:
    """For how long it has been in its state."""
    at = container.started_at if container.running else container.finished_at
    at = at or container.created_at
    return (Span(MISSING if at is None else brief(now - at), Tone.DIM),)


def _cpu(container: Container) -> Line:
    return _figure(figure(container.cpu_percent, " %")) if container.running else ()


def _bytes(container: Container, value: int | None) -> Line:
    return _figure(size(value)) if container.running else ()


def _figure(text: str) -> Line:
    return (Span(text, Tone.DIM if text == MISSING else Tone.PLAIN),)


def _restarts(container: Container) -> Line:
    count = container.restart_count
    return (Span(str(count), Tone.WARN),) if count else ()


# Reasons


def _why_missing(listing: Listing, width: int) -> list[Line]:
    """Why running containers lack figures, each reason once."""
    reasons: dict[str, dict[str, None]] = {}
    for container in listing.containers:
        for name, why in container.missing.items() if container.running else ():
            if name in FIGURES and getattr(container, name) is None:
                reasons.setdefault(why, {})[FIGURES[name]] = None
    words = (f"{MISSING} {', '.join(names)}: {why}" for why, names in reasons.items())
    return [line for each in words for line in wrap(each, width, Tone.DIM)]
