"""`gpuhop-tui sessions`: the tmux sessions of every node, once."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuhop_tui.cli.listing import Listed, run_list
from gpuhop_tui.cli.sessions_table import render_sessions
from gpuhop_tui.fleet.sessions_report import report_sessions, sessions_problem
from gpuhop_tui.fleet.state import NodeState

if TYPE_CHECKING:
    from gpuhop_tui.cli.open import OpenFleet


def run_sessions(options: argparse.Namespace, open_fleet: OpenFleet | None = None) -> int:
    """Run the command and return its exit status. Raises `CommandError`."""
    return run_list(_SESSIONS, options, open_fleet)


def is_listed(node: NodeState) -> bool:
    """Whether there is a result: the sessions, or a first failure. Retries are not waited for."""
    if node.link.problem is not None or node.sessions_problem is not None:
        return True
    return node.sessions is not None


_SESSIONS = Listed(
    watch=lambda fleet: fleet.watch_sessions(True),
    is_complete=is_listed,
    has_result=is_listed,
    problem=sessions_problem,
    with_problem=lambda node, problem: replace(node, sessions_problem=problem),
    report=report_sessions,
    render=lambda state, width, colour: render_sessions(
        state, now=time.time(), width=width, colour=colour
    ),
)
