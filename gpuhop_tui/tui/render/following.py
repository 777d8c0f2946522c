"""How the following of a container's log or figures goes, in a few words."""

from __future__ import annotations

from gpuhop_tui.containers.following import FollowState, FollowView
from gpuhop_tui.tui.render.line import Span, Tone, clean
from gpuhop_tui.tui.render.units import duration


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
