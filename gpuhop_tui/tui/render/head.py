"""The head of the selected node or bastion: who it is, the way to it, how the link is."""

from __future__ import annotations

from collections import Counter

from gpuhop_tui.fleet.state import BastionState, FleetState, NodeState
from gpuhop_tui.fleet.summary import fleet_totals
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from gpuhop_tui.tui.render.gpus import short_name
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line, join, spread, width_of
from gpuhop_tui.tui.render.states import GLYPHS, link_words, node_glyph
from gpuhop_tui.tui.render.units import age, duration, plural, rtt

_DOT = Span(" · ", Tone.DIM)


def node_head(node: NodeState, width: int, now: float) -> list[Line]:
    """Two lines: name, address, way and link; then driver, source, tags, age of the figures."""
    left = [node_glyph(node), Span(" "), Span(clean(node.name), Tone.STRONG)]
    left += [Span("  " + clean(node.address))]
    if node.via:
        left += [Span(" via ", Tone.DIM), Span(clean(" → ".join(node.via)))]
    return _head(left, _link(node.link, now), _facts(node, now), width)


def _head(left: list[Span], link: Line, facts: list[list[Span]], width: int) -> list[Line]:
    """The state of the link stands at the right, or before the facts where there is no room."""
    if width_of(left) + 2 + width_of(link) > width:
        facts, link = [list(link), *facts], ()
    return [spread(left, link, width), fit_line(join(facts, _DOT), width)]


def bastion_head(bastion: BastionState, fleet: FleetState, width: int, now: float) -> list[Line]:
    """Two lines: name, address, way and link; then what is behind it."""
    glyph = GLYPHS[bastion.link.state]
    left = [glyph, Span(" "), Span(clean(bastion.name), Tone.STRONG)]
    left += [Span("  " + clean(bastion.address))]
    if bastion.via:
        left += [Span(" via ", Tone.DIM), Span(clean(" → ".join(bastion.via)))]
    behind = [node for node in fleet.nodes if bastion.name in node.via]
    totals = fleet_totals(behind)
    facts = [
        [Span("bastion", Tone.DIM)],
        [Span(f"{totals.nodes_up} of {plural(totals.nodes, 'node')} up")],
        [Span(plural(totals.gpus, "GPU"))],
        [Span(f"{totals.free} free", Tone.GOOD if totals.free else Tone.DIM)],
    ]
    return _head(left, _link(bastion.link, now), facts, width)


def _link(link: LinkStatus, now: float) -> Line:
    if link.state is not LinkState.UP:
        words = link_words(link, now)
        if link.state is LinkState.CONNECTING and link.step:
            return (Span("connecting: ", Tone.DIM), words)
        return (words,)
    parts = [[Span(f"up {duration(now - link.since)}")]]
    if link.rtt_seconds is not None:
        parts.append([Span("rtt ", Tone.DIM), Span(rtt(link.rtt_seconds))])
    return join(parts, _DOT)


def _facts(node: NodeState, now: float) -> list[list[Span]]:
    sample = node.sample
    facts: list[list[Span]] = []
    if sample is not None and sample.gpus:
        models = Counter(short_name(clean(gpu.name or "GPU")) for gpu in sample.gpus)
        words = ", ".join(f"{count}× {name}" for name, count in models.items())
        facts.append([Span(words)])
    if sample is not None:
        if node.stale:
            facts.append([Span(age(now - sample.sampled_at), Tone.WARN)])
        if sample.source == "simulated":
            facts.append([Span("simulated GPUs", Tone.INFO)])
        elif sample.source != "nvml":
            facts.append([Span(f"by {sample.source}", Tone.INFO)])
        if sample.driver:
            facts.append([Span("driver ", Tone.DIM), Span(clean(sample.driver))])
        if sample.cuda:
            facts.append([Span("CUDA ", Tone.DIM), Span(clean(sample.cuda))])
    elif node.link.state is LinkState.UP and not node.problem:
        facts.append([Span("waiting for the first sample", Tone.DIM)])
    if node.link.state is LinkState.UP and node.link.connect_seconds is not None:
        login = f"{node.link.connect_seconds:.1f} s"
        facts.append([Span("login ", Tone.DIM), Span(login)])
    if node.tags:
        facts.append([Span(" ".join(f"#{clean(tag)}" for tag in node.tags), Tone.DIM)])
    return facts
