"""The top line: the fleet's totals, the agent, the time."""

from __future__ import annotations

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.fleet.summary import fleet_totals
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit_line, width_of
from gpuhop_tui.tui.render.units import clock, plural

_GAP = Span("   ")


def header_line(
    state: FleetState | None, width: int, now: float, work: Line = (), alerts: Line = ()
) -> Line:
    """`gpuhop  5/6 nodes  41 GPUs  17 free  9 users    agent: 2 keys  lent to gpu-01  14:02:11`,
    with what runs in the background and what there is of alerts before the agent.

    The agent's line gives way first where there is no room; that it is lent or locked stays.
    """
    right = [Span(clock(now)), Span(" ")]
    if state is not None and state.lent_to:
        lent = cut(f"lent to {', '.join(map(clean, state.lent_to))}", max(24, width // 4))
        right = [Span(lent, Tone.WARN), _GAP, *right]
    if state is not None and state.agent_locked:
        right = [Span("agent locked", Tone.BAD), _GAP, *right]
    if state is not None and state.forwarded_ports:
        right = [Span(plural(state.forwarded_ports, "port"), Tone.INFO), _GAP, *right]
    for more in (work, alerts):
        if more:
            right = [*more, _GAP, *right]
    left = [Span(" "), Span("gpuhop", Tone.STRONG)]
    if state is None:
        left += [_GAP, Span("opening the fleet…", Tone.DIM)]
    else:
        for part in _totals(state):
            if width_of([*left, _GAP, *part, *right]) < width:
                left += [_GAP, *part]
        room = width - width_of([*left, _GAP, *right]) - 4
        agent = cut(f"agent: {clean(state.agent)}", room) if state.agent else ""
        if len(agent) > len("agent: 1 k"):
            right = [Span(agent, Tone.DIM), _GAP, *right]
    gap = width - width_of(left) - width_of(right)
    return fit_line([*left, Span(" " * max(1, gap)), *right], width)


def _totals(state: FleetState) -> list[list[Span]]:
    """The totals as number and word, the most wanted first."""
    totals = fleet_totals(state.nodes)
    down = totals.nodes - totals.nodes_up
    parts = [
        [
            Span(f"{totals.nodes_up}/{totals.nodes}", Tone.WARN if down else Tone.STRONG),
            Span(" nodes", Tone.DIM),
        ],
        _count(totals.gpus, "GPU", Tone.STRONG),
        [
            Span(str(totals.free), Tone.GOOD if totals.free else Tone.STRONG),
            Span(" free", Tone.DIM),
        ],
        [Span(str(totals.busy), Tone.STRONG), Span(" busy", Tone.DIM)],
        _count(len(totals.users), "user", Tone.STRONG),
    ]
    sampled = [node.sample for node in state.nodes if node.sample]
    if sampled and all(sample.source == "simulated" for sample in sampled):
        parts.insert(1, [Span("simulated", Tone.INFO)])
    return parts


def _count(count: int, noun: str, tone: Tone) -> list[Span]:
    return [Span(str(count), tone), Span(f" {noun}" if count == 1 else f" {noun}s", Tone.DIM)]
