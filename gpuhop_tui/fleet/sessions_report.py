"""The tmux sessions of the fleet as scripts see them: `sessions --json`, schema 1.

Every field is there even where it is null. Times are seconds since the epoch by the node's clock.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gpuhop_tui.fleet.report import SCHEMA
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.problem import Problem
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.ssh.status import LinkState

Json = dict[str, Any]


def sessions_problem(node: NodeState) -> Problem | None:
    """What stands between the user and this node's sessions, if anything."""
    if node.link.state is not LinkState.UP:
        return node.link.problem
    return node.sessions_problem


def report_sessions(state: FleetState) -> Json:
    """All nodes, in the order of the config."""
    return {"schema": SCHEMA, "nodes": [_report_node(node) for node in state.nodes]}


def _report_node(node: NodeState) -> Json:
    problem = sessions_problem(node)
    return {
        "name": node.name,
        "state": node.link.state.value,
        "error": asdict(problem) if problem else None,
        "left_out": node.sessions_left_out or None,
        "sessions": [report_session(session) for session in node.sessions or ()],
    }


def report_session(session: TmuxSession) -> Json:
    """One session with its windows and panes; `attached` counts those who do not just look on."""
    whole = asdict(session)
    del whole["node"], whole["place"]
    return {
        **whole,
        "container": session.container,
        "container_id": session.place.id if session.place else None,
        "attached": session.attached,
        "activity_at": session.activity_at,
    }
