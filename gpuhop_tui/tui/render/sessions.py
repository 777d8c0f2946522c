"""The tmux sessions of a node: two lines each, and a sentence where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.problem import Problem
from gpuhop_tui.sessions.model import Progress, TmuxPane, TmuxSession
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.render.bars import bar
from gpuhop_tui.tui.render.columns import Column, choose, heading, row
from gpuhop_tui.tui.render.gpus import dimmed
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit_line, join, width_of, wrap
from gpuhop_tui.tui.render.states import label, link_words, problem_label
from gpuhop_tui.tui.render.units import MISSING, brief, duration, figure, plural

SessionKey = tuple[str, str, int, str]  # TmuxSession.key
SessionRow = tuple[SessionKey | None, Line]

COLUMNS: tuple[Column, ...] = (
    Column("name", "SESSION", 10, grow=3, most=32),
    Column("runs", "RUNS", 8, grow=2, most=24),
    Column("windows", "WIN/PANES", 9, rank=4, align="right"),
    Column("size", "SIZE", 7, rank=5, align="right"),
    Column("age", "ACTIVE", 7, rank=1, align="right"),
    Column("clients", "ATTACHED", 8, rank=2, align="right"),
)
_INDENT = "  "
_BAR_LEAST, _BAR_MOST = 8, 30
_GAP = Span("  ")


class KeyNames(NamedTuple):
    """How the keys are called that a line mentions."""

    new: str
    hop: str
    kill: str


def session_rows(node: NodeState, width: int, now: float, keys: KeyNames) -> list[SessionRow]:
    """Lines, each with the session that it belongs to (None: a heading or a note)."""
    notes = _problem(node.sessions_problem, width) if node.sessions_problem else []
    if node.link.state is not LinkState.UP:
        words = link_words(node.link, now).text
        notes = [(Span(cut(f"No link to {clean(node.name)}: {words}", width), Tone.WARN),)]
    left_out: list[Line] = []
    if node.sessions_left_out and node.link.state is LinkState.UP:
        left_out = wrap(f"Left out: {clean(node.sessions_left_out)}.", width, Tone.WARN)
    if not node.sessions:
        return [(None, line) for line in (*(notes or _none(node, width, keys)), *left_out)]
    columns = choose(COLUMNS, width)
    rows: list[SessionRow] = [(None, line) for line in (*notes, heading(columns))]
    for session in node.sessions:
        lines = (
            row(columns, _cells(session, now)),
            fit_line((Span(_INDENT), *_said(session, width - len(_INDENT), keys)), width),
        )
        if node.link.state is not LinkState.UP:
            lines = (dimmed(lines[0]), dimmed(lines[1]))
        rows += [(session.key, line) for line in lines]
    return [*rows, *((None, line) for line in left_out)]


def _problem(problem: Problem, width: int) -> list[Line]:
    """What is wrong, and what to do."""
    kind = problem_label(problem)
    lines = wrap(f"{label(problem.kind).capitalize()}: {problem.message}", width, kind.tone)
    return [*lines, *wrap(f"→ {problem.advice}", width, Tone.INFO), ()]


def _none(node: NodeState, width: int, keys: KeyNames) -> list[Line]:
    if node.sessions is None:
        return [(Span(f"Looking for tmux sessions on {clean(node.name)}…", Tone.DIM),)]
    words = (
        f"No tmux session of yours runs on {clean(node.name)}. {keys.new} makes one; "
        f"{keys.hop} opens a shell that is still there after a disconnect."
    )
    return wrap(words, width, Tone.DIM)


def _cells(session: TmuxSession, now: float) -> dict[str, Line]:
    windows, panes = len(session.windows), len(session.panes)
    activity, window = session.activity_at, session.active_window
    return {
        "name": _name(session),
        "runs": running(session.active_pane),
        "windows": (Span(str(windows) if windows == panes else f"{windows}/{panes}", Tone.DIM),),
        "size": (Span(f"{window.columns}×{window.rows}" if window else MISSING, Tone.DIM),),
        "age": (Span(MISSING if activity is None else brief(now - activity)),),
        "clients": (Span(str(session.attached), Tone.INFO),) if session.attached else (),
    }


def _name(session: TmuxSession) -> Line:
    socket = socket_name(session)
    name = Span(clean(session.name), Tone.STRONG)
    if session.container is not None:
        return (name, Span(f" in {clean(session.container)}", Tone.INFO))
    return (name, Span(f" @{socket}", Tone.DIM)) if socket else (name,)


def socket_name(session: TmuxSession) -> str:
    """What tells the session's server apart: its -L name or path; empty for the usual one."""
    path = clean(session.socket)
    folder, _, name = path.rpartition("/")
    if not folder.rpartition("/")[2].startswith("tmux-"):
        return path
    return "" if name == "default" else name


def running(pane: TmuxPane | None) -> Line:
    """What runs in a pane, or how it ended."""
    if pane is None:
        return (Span(MISSING, Tone.DIM),)
    if not pane.dead:
        return (Span(clean(pane.command)),)
    if pane.exit_signal is not None:
        return (Span(f"signal {pane.exit_signal}", Tone.BAD),)
    if pane.exit_status is None:
        return (Span("ended", Tone.WARN),)
    return (Span(f"exit {pane.exit_status}", Tone.BAD if pane.exit_status else Tone.GOOD),)


def _said(session: TmuxSession, width: int, keys: KeyNames) -> Line:
    """The progress bar of the last line, or that line."""
    pane = session.active_pane
    if pane is None:
        return ()
    if pane.progress is not None and not pane.dead:
        return progress_line(pane.progress, width)
    line = clean(pane.last_line or "").strip()
    spans = [Span(line or ("nothing was printed" if pane.last_line == "" else ""), Tone.DIM)]
    if pane.dead:
        spans = [Span(f"finished, {keys.kill} dismisses it  ", Tone.INFO), *spans]
    return tuple(spans)


def progress_line(progress: Progress, width: int) -> Line:
    """`train  ━━━━━━━━──── 71 %  2.1 it/s  eta 1 h 20 min`, as much as the line told and has room:
    the label is left out first, then the rate."""
    facts: list[Line] = []
    if progress.percent is None and progress.done is not None:
        facts.append((Span(f"{progress.done:g} done"),))
    if progress.rate is not None:
        facts.append((Span(f"{progress.rate:.3g} {clean(progress.rate_unit or '/s')}"),))
    if progress.eta_seconds is not None:
        facts.append((Span("eta ", Tone.DIM), Span(duration(progress.eta_seconds))))
    name = clean(progress.label).strip(" :")
    before: list[Span] = [Span(cut(name, max(8, width // 4)), Tone.DIM), _GAP] if name else []
    figures = 0 if progress.percent is None else 8
    least = figures and figures + _BAR_LEAST
    if least + width_of(before) + width_of(join(facts, _GAP)) > width:
        before = []
    if least + width_of(join(facts, _GAP)) > width and len(facts) > 1:
        del facts[-2]
    told = join(facts, _GAP)
    if progress.percent is None:
        return (*before, *told)
    room = width - width_of(before) - width_of(told) - figures
    filled = bar(progress.percent, min(_BAR_MOST, max(_BAR_LEAST, room)), Tone.GOOD)
    return (*before, *filled, Span(f" {figure(progress.percent, ' %')}  ", Tone.STRONG), *told)


def describe(session: TmuxSession) -> str:
    """What runs in a session, in a sentence for a question about its end."""
    alive = [pane for pane in session.panes if not pane.dead]
    programs = list(dict.fromkeys(clean(pane.command) for pane in alive))
    what = ", ".join(programs[:4]) + (" and more" if len(programs) > 4 else "")
    words = f"{what or 'nothing'} in {plural(len(session.panes), 'pane')}"
    if session.attached:
        words += f"; {plural(session.attached, 'terminal')} attached to it"
    return words


def pane_line(session: TmuxSession, pane: TmuxPane, width: int) -> Line:
    """`0:main.1  python  200×50  the last that it said`."""
    window = next(w for w in session.windows if pane in w.panes)
    place = f"{window.index}:{clean(window.name)}.{pane.index}"
    spans = [Span(place, Tone.STRONG), _GAP, *running(pane), _GAP]
    spans += [Span(f"{pane.columns}×{pane.rows}", Tone.DIM), _GAP]
    return fit_line([*spans, Span(clean(pane.last_line or "").strip(), Tone.DIM)], width)


def all_sessions(nodes: tuple[NodeState, ...]) -> Iterator[TmuxSession]:
    """Every session that was seen on these nodes."""
    for node in nodes:
        yield from node.sessions or ()
