"""The fleet as a tree: which rows there are, in what order, and each as a line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from rich.cells import cell_len

from gpuhop_tui.fleet.state import BastionState, FleetState, NodeState
from gpuhop_tui.fleet.summary import (
    free_instances,
    gpu_processes,
    node_totals,
    node_utilization,
    use_percent,
)
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.render.bars import mini, tone_of
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit, fit_line, spread, width_of
from gpuhop_tui.tui.render.states import GLYPHS, link_words, node_glyph, problem_label
from gpuhop_tui.tui.render.units import age, rtt

MINIS_MOST = 16
SIMULATED = " sim"


class Sort(StrEnum):
    """Orders of the nodes behind a bastion; the value is how it is called."""

    CONFIG = "config"
    NAME = "name"
    FREE = "free GPUs"
    USE = "utilization"

    @property
    def next(self) -> Sort:
        orders = list(Sort)
        return orders[(orders.index(self) + 1) % len(orders)]


class Row(NamedTuple):
    """One row of the tree. Kind and name tell rows apart, whatever their place."""

    kind: Literal["bastion", "node"]
    name: str
    depth: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name


def tree_rows(
    state: FleetState,
    needle: str = "",
    sort: Sort = Sort.CONFIG,
    folded: Collection[str] = (),
) -> tuple[Row, ...]:
    """Bastions, each followed by what is behind it; then nodes that are reached directly.

    With a needle only nodes that match are left, and the bastions on the way to them; nothing is
    folded then.
    """
    needle = needle.strip().lower()
    known = {bastion.name for bastion in state.bastions}
    nodes: dict[str | None, list[NodeState]] = {}
    for node in state.nodes:
        if not needle or matches(node, needle):
            nodes.setdefault(_parent(node.via, known), []).append(node)
    for group in nodes.values():
        group.sort(key=_ORDERS[sort])
    bastions: dict[str | None, list[BastionState]] = {}
    for bastion in state.bastions:
        bastions.setdefault(_parent(bastion.via, known), []).append(bastion)

    def under(parent: str | None, depth: int) -> Iterator[Row]:
        for bastion in bastions.get(parent, ()):
            behind = list(under(bastion.name, depth + 1))
            if behind or not needle:
                yield Row("bastion", bastion.name, depth)
                if needle or bastion.name not in folded:
                    yield from behind
        for node in nodes.get(parent, ()):
            yield Row("node", node.name, depth)

    return tuple(under(None, 0))


def _parent(via: Sequence[str], known: Collection[str]) -> str | None:
    return via[-1] if via and via[-1] in known else None


def _by_name(node: NodeState) -> object:
    return node.name.lower(), node.name


def _by_free(node: NodeState) -> object:
    return -node_totals(node).free


def _by_use(node: NodeState) -> object:
    use = node_utilization(node)
    return use is None, use


_ORDERS: dict[Sort, Callable[[NodeState], Any]] = {
    Sort.CONFIG: lambda node: 0,
    Sort.NAME: _by_name,
    Sort.FREE: _by_free,
    Sort.USE: _by_use,
}


def matches(node: NodeState, needle: str) -> bool:
    """Whether name, a tag, a GPU's name or a user contains the needle (in lower case)."""
    if needle in node.name.lower() or any(needle in tag.lower() for tag in node.tags):
        return True
    for gpu in node.sample.gpus if node.sample else ():
        if gpu.name and needle in gpu.name.lower():
            return True
        if any(needle in process.user.lower() for process in gpu_processes(gpu) if process.user):
            return True
    return False


@dataclass(frozen=True, slots=True)
class TreeLayout:
    """Widths in cells that all rows share, so that they line up."""

    width: int
    name: int
    minis: int
    rtt: bool

    @classmethod
    def of(cls, state: FleetState, width: int) -> TreeLayout:
        """The layout for a fleet in a tree of `width` cells."""
        minis = max((len(n.sample.gpus) for n in state.nodes if n.sample), default=8)
        minis = min(minis, MINIS_MOST)
        marked = max((_indent(n) + _name(n) + _mark(n) for n in state.nodes), default=8)
        name = max((_indent(n) + _name(n) for n in state.nodes), default=8)
        tail = len(f"{minis} free")
        room = width - 2 - 2 - minis - 1 - tail
        with_rtt = room - marked >= 8
        if name > room:  # names are kept whole, at the cost of the bars
            room = min(name, width - 2 - 2 - tail)
        return cls(width, max(6, min(marked, room)), minis, with_rtt)


def _indent(node: NodeState) -> int:
    return 2 * len(node.via)


def _name(node: NodeState) -> int:
    return cell_len(clean(node.name))


def _mark(node: NodeState) -> int:
    simulated = node.sample is not None and node.sample.source == "simulated"
    return len(SIMULATED) if simulated else 0


def bastion_line(
    bastion: BastionState, row: Row, layout: TreeLayout, now: float, folded: bool
) -> Line:
    """`▾ jump-server   12 ms`"""
    link = bastion.link
    left = [Span("  " * row.depth), Span("▸ " if folded else "▾ ", Tone.DIM)]
    if link.state is LinkState.UP:
        right = Span(rtt(link.rtt_seconds) if link.rtt_seconds is not None else "up", Tone.DIM)
    else:
        left.append(Span(GLYPHS[link.state].text + " ", GLYPHS[link.state].tone))
        right = link_words(link, now)
    room = layout.width - width_of(left)
    name = cut(clean(bastion.name), max(4, room - cell_len(right.text) - 1))
    return spread([*left, Span(name, Tone.STRONG)], [_cut(right, room - 5)], layout.width)


def node_line(node: NodeState, row: Row, layout: TreeLayout, now: float) -> Line:
    """`● gpu-01  ▇▇▁█▅▁▁▂  3 free`, or what stands in the way of it."""
    indent = 2 * row.depth
    room = max(4, layout.name - indent)
    minis, tail = _minis(node, layout.minis), _tail(node, layout, now)
    left = [Span(" " * indent), node_glyph(node), Span(" ")]
    mark = _mark(node)
    needed = width_of(left) + _name(node) + mark + 2 + width_of(minis) + 1 + width_of(tail)
    if mark and needed <= layout.width:
        pad = " " * (room - mark - _name(node))
        left += [Span(clean(node.name)), Span(SIMULATED + pad, Tone.INFO)]
    else:  # the head of the node marks it too
        left.append(Span(fit(clean(node.name), room)))
    left.append(Span("  "))
    rest = layout.width - width_of(left)
    if minis and width_of(minis) + 1 + width_of(tail) > rest:
        minis = []
    if minis:
        return (*left, *spread(minis, tail, rest))
    if width_of(tail) > rest:  # words that are long begin right after the name
        left = [*left[:-2], Span(left[-2].text.rstrip() + "  ", left[-2].tone)]
    return fit_line([*left, *tail], layout.width)


def _cut(span: Span, width: int) -> Span:
    return Span(cut(span.text, max(1, width)), span.tone)


def _minis(node: NodeState, most: int) -> list[Span]:
    """One character a GPU; where there are too many for the place, the last says so."""
    gpus = node.sample.gpus if node.sample else ()
    spans = [_mini(gpu) for gpu in gpus[:most]]
    if len(gpus) > most:
        spans[-1] = Span("+", Tone.DIM)
    if node.stale:
        spans = [Span(span.text, Tone.OLD) for span in spans]
    return spans


def _mini(gpu: Gpu) -> Span:
    if gpu.lost is not None:
        return Span("×", Tone.BAD)
    use = use_percent(gpu)
    return Span("?", Tone.DIM) if use is None else Span(mini(use), tone_of(use))


def _tail(node: NodeState, layout: TreeLayout, now: float) -> list[Span]:
    link, sample = node.link, node.sample
    if link.state is not LinkState.UP:
        return [link_words(link, now)]
    if node.problem:
        return [problem_label(node.problem)]
    if sample is None:
        return [Span("sampling…", Tone.DIM)]
    if node.stale:
        return [Span(age(now - sample.sampled_at), Tone.WARN)]
    free, parts = node_totals(node).free, sum(map(free_instances, sample.gpus))
    words = f"{parts} MIG" if parts and not free else f"{free} free"
    spans = [Span(words, Tone.GOOD if free or parts else Tone.DIM)]
    if layout.rtt:
        spans.append(Span(fit(rtt(link.rtt_seconds), 8, "right"), Tone.DIM))
    return spans
