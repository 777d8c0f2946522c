"""Link states as a glyph, a tone and a few words."""

from __future__ import annotations

import math

from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from gpuhop_tui.tui.render.line import Span, Tone, clean

GLYPHS: dict[LinkState, Span] = {
    LinkState.UP: Span("●", Tone.GOOD),
    LinkState.CONNECTING: Span("◌", Tone.WARN),
    LinkState.WAITING: Span("○", Tone.WARN),
    LinkState.BLOCKED: Span("!", Tone.BAD),
    LinkState.DOWN: Span("×", Tone.BAD),
}

MEANINGS: dict[LinkState, str] = {
    LinkState.UP: "up",
    LinkState.CONNECTING: "connecting",
    LinkState.WAITING: "lost or failed; tries again by itself",
    LinkState.BLOCKED: "blocked: needs you, see its advice",
    LinkState.DOWN: "down",
}

NO_FIGURES = Span("●", Tone.WARN)  # up, but there is nothing to show


def label(kind: ErrorKind) -> str:
    """An error kind in words, such as `host key changed`."""
    return kind.value.replace("-", " ")


def node_glyph(node: NodeState) -> Span:
    """The state of a node; a link that is up without figures is not quite well."""
    if node.link.state is LinkState.UP and (node.problem or node.stale):
        return NO_FIGURES
    return GLYPHS[node.link.state]


def link_words(link: LinkStatus, now: float) -> Span:
    """What a link that is not up is doing, in few words."""
    tone = GLYPHS[link.state].tone
    if link.state is LinkState.CONNECTING:
        return Span(f"{clean(link.step)}…" if link.step else "connecting", tone)
    if link.state is LinkState.WAITING and link.retry_at is not None:
        return Span(f"waiting {max(0, math.ceil(link.retry_at - now))} s", tone)
    if link.state is LinkState.BLOCKED and link.problem:
        return Span(label(link.problem.kind), tone)
    return Span(link.state.value, tone)


def problem_label(problem: Problem) -> Span:
    """The problem's kind in words."""
    return Span(label(problem.kind), Tone.BAD if problem.kind.needs_person else Tone.WARN)
