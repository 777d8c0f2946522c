"""How the following of a container's log or figures goes, in a few words."""

from __future__ import annotations

from rich.cells import cell_len

from gpuhop_tui.containers.following import FollowState, FollowView
from gpuhop_tui.containers.model import Container
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit_line, spread, width_of
from gpuhop_tui.tui.render.units import duration


def follow_head(word: str, container: Container, view: FollowView, now: float, width: int) -> Line:
    """`log of train-llm on gpu-01  pytorch-ssh:2.8                ● live`, as far as there is room;
    how it goes is cut last."""
    what, image = Span(f"{word} of ", Tone.DIM), Span(f"  {clean(container.image)}", Tone.DIM)
    who = [Span(clean(container.name), Tone.STRONG), Span(f" on {clean(container.node)}")]
    state = state_span(view, now)
    fitting = (
        left
        for left in ([what, *who, image], [what, *who], who)
        if width_of(left) + 2 + cell_len(state.text) <= width
    )
    left = next(fitting, who)
    room = width - width_of(left) - 2
    if room < 10:
        return fit_line(left, width)
    return spread(left, [Span(cut(state.text, room), state.tone)], width)


def state_span(view: FollowView, now: float) -> Span:
    if view.state is FollowState.AWAY:
        why = clean(view.problem.message) if view.problem else "the link is lost"
        return Span(f"○ away for {duration(now - (view.away_since or now))}: {why}", Tone.WARN)
    if view.state is FollowState.ENDED:
        code = view.exit_code
        if code is None:
            return Span("■ not running", Tone.WARN)
        return Span(f"■ ended: exit {code}", Tone.BAD if code else Tone.GOOD)
    return _STATES[view.state]


_STATES: dict[FollowState, Span] = {
    FollowState.STARTING: Span("starting…", Tone.DIM),
    FollowState.LIVE: Span("● live", Tone.GOOD),
    FollowState.FLOOD: Span("≋ too fast to read: some is left out", Tone.WARN),
    FollowState.REMOVED: Span("■ removed: what was seen last", Tone.WARN),
}
