"""The table of `sessions`: one block a node, one line a session."""

from __future__ import annotations

from collections.abc import Iterator

from gpuhop_tui.cli.node_lines import node_head, problem_lines
from gpuhop_tui.cli.text import clean, fit, wrap
from gpuhop_tui.fleet.sessions_report import sessions_problem
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.sessions.model import Progress, TmuxPane, TmuxSession

_NAME, _COMMAND = 18, 10  # columns


def render_sessions(state: FleetState, *, now: float, width: int = 80, colour: bool = False) -> str:
    """All nodes as plain text, each line at most `width` columns wide, ending in a newline.

    `now` is the wall clock, seconds since the epoch: ages are told by it.
    """
    blocks = ("\n".join(_node(node, now, width, colour)) for node in state.nodes)
    return "\n\n".join(blocks) + "\n"


def _node(node: NodeState, now: float, width: int, colour: bool) -> Iterator[str]:
    problem = sessions_problem(node)
    facts = [node.link.state.value]
    if node.via:
        facts.append("via " + ", ".join(node.via))
    if node.sessions is not None:
        facts.append(_counted(len(node.sessions), "session"))
    yield node_head(node.name, facts, room=60, well=problem is None, width=width, colour=colour)
    if problem is not None:
        yield from problem_lines(problem, width)
    for session in node.sessions or ():
        yield _session(session, now, width)
    if node.sessions_left_out:
        yield from wrap(clean(f"Left out: {node.sessions_left_out}"), width, "  ")


def _session(session: TmuxSession, now: float, width: int) -> str:
    pane = session.active_pane
    columns = (
        fit(clean(_called(session)), _NAME),
        _counted(len(session.windows), "window").rjust(10),
        ("attached" if session.attached else "detached"),
        _age(session.activity_at, now).rjust(5),
        fit(clean(pane.command if pane else "-"), _COMMAND),
        _said(pane),
    )
    return fit("  " + "  ".join(columns), width).rstrip()


def _called(session: TmuxSession) -> str:
    """Its name, and the container that it is in."""
    return f"{session.name} in {session.container}" if session.container else session.name


def _said(pane: TmuxPane | None) -> str:
    """How far it is, or the last that it said; of a dead pane how it ended, too."""
    if pane is None:
        return ""
    said = clean(pane.last_line or "")
    if pane.progress is not None and pane.progress.percent is not None:
        said = _progress(pane.progress)
    return f"[{_end(pane)}] {said}" if pane.dead else said


def _end(pane: TmuxPane) -> str:
    if pane.exit_signal is not None:
        return f"killed by signal {pane.exit_signal}"
    return "ended" if pane.exit_status is None else f"exit {pane.exit_status}"


def _progress(progress: Progress) -> str:
    parts = [progress.label, f"{progress.percent:.0f} %"]
    if progress.rate is not None:
        parts.append(f"{progress.rate:g} {progress.rate_unit}")
    if progress.eta_seconds is not None:
        parts.append(f"eta {_span(progress.eta_seconds)}")
    return clean("  ".join(part for part in parts if part))


def _age(at: float | None, now: float) -> str:
    return "-" if at is None else _span(max(0.0, now - at))


def _span(seconds: float) -> str:
    """A time in its largest unit, such as "3 h"."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
