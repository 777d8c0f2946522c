"""What stands above a tail: whose it is, and how it goes."""

from __future__ import annotations

from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.sessions.tail_view import TailState, TailView
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit_line, spread, width_of
from gpuhop_tui.tui.render.pager import LinePager
from gpuhop_tui.tui.render.tail import stale_words

_STATES: dict[TailState, Span] = {
    TailState.STARTING: Span("starting…", Tone.DIM),
    TailState.LIVE: Span("● live", Tone.GOOD),
    TailState.FLOOD: Span("≋ too fast to follow: a glance now and then", Tone.WARN),
    TailState.ENDED: Span("■ ended: its last screen", Tone.WARN),
}


def tail_head(
    session: TmuxSession, pane: TmuxPane, view: TailView, stale_seconds: float, width: int
) -> Line:
    """`train on gpu-01  0.1 python                ● live`"""
    state = _state(view, stale_seconds)
    window = next((w for w in session.windows if pane in w.panes), None)
    place = f"{window.index}.{pane.index} " if window and len(session.panes) > 1 else ""
    left = [
        Span(clean(session.name), Tone.STRONG),
        Span(f" on {clean(session.node)}"),
        Span(f"  {place}{clean(pane.command)}", Tone.DIM),
    ]
    if width_of(left) + 2 + len(state.text) > width:
        left = left[:2]
    room = width - width_of(left) - 2
    if room < 10:
        return fit_line(left, width)
    return spread(left, [Span(cut(state.text, room), state.tone)], width)


def _state(view: TailView, stale_seconds: float) -> Span:
    problem = view.problem
    if view.state is TailState.STALE:
        why = clean(problem.message) if problem else "the link is lost"
        return Span(f"○ {stale_words(stale_seconds, why)}", Tone.WARN)
    if view.dead and view.state is TailState.LIVE:
        if view.exit_signal is not None:
            return Span(f"■ ended by signal {view.exit_signal}", Tone.BAD)
        if view.exit_status is None:
            return Span("■ ended", Tone.WARN)
        return Span(f"■ exit {view.exit_status}", Tone.BAD if view.exit_status else Tone.GOOD)
    return _STATES[view.state]


def tail_foot(pager: LinePager[Line], view: TailView, width: int) -> Line:
    """`held at 812 of 5000 · 3 of 17 “loss” · wrap            200×50`"""
    parts = []
    if pager.following:
        parts.append(Span("following", Tone.DIM))
    else:
        at, count = pager.position
        parts.append(Span(f"{'paused' if pager.paused else 'held'} at line {at} of {count}",
                          Tone.INFO))  # fmt: skip
    if pager.needle:
        found = "no" if pager.match is None else f"{pager.match + 1} of {len(pager.matches)}"
        tone = Tone.WARN if pager.match is None else Tone.INFO
        parts.append(Span(f"{found} “{clean(pager.needle)}”", tone))
    if pager.wrap:
        parts.append(Span("wrap", Tone.DIM))
    elif pager.column:
        parts.append(Span(f"from column {pager.column + 1}", Tone.DIM))
    line: list[Span] = []
    for part in parts:
        line += [Span(" · ", Tone.DIM), part] if line else [part]
    return spread(line, [Span(f"{view.columns}×{view.rows}", Tone.DIM)], width)
