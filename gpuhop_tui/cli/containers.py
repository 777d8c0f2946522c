"""`gpuhop-tui containers`: the containers of every node, once."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuhop_tui.cli.answers import has_answered
from gpuhop_tui.cli.containers_table import render_containers
from gpuhop_tui.cli.listing import Listed, run_list
from gpuhop_tui.fleet.containers_report import containers_problem, report_containers
from gpuhop_tui.fleet.state import NodeState

if TYPE_CHECKING:
    from gpuhop_tui.cli.open import OpenFleet


def run_containers(options: argparse.Namespace, open_fleet: OpenFleet | None = None) -> int:
    """Run the command and return its exit status. Raises `CommandError`."""
    return run_list(_CONTAINERS, options, open_fleet)


def is_listed(node: NodeState) -> bool:
    """Whether there is a result: a listing with its figures, or a first failure. Retries are not
    waited for."""
    if node.link.problem is not None or node.containers_problem is not None:
        return True
    if node.containers is None:
        return False
    running = [each for each in node.containers.containers if each.state == "running"]
    measured = all(
        each.cpu_percent is not None or each.missing.get("cpu_percent") != "not measured yet"
        for each in running
    )
    figures = has_answered(node) or node.problem is not None  # for the memory on the GPUs
    return node.containers.disk is not None and measured and (figures or not running)


_CONTAINERS = Listed(
    watch=lambda fleet: fleet.watch_containers(True),
    is_complete=is_listed,
    # What is listed but not measured is shown as it is.
    has_result=lambda node: is_listed(node) or node.containers is not None,
    problem=containers_problem,
    with_problem=lambda node, problem: replace(node, containers_problem=problem),
    report=report_containers,
    render=lambda state, width, colour: render_containers(
        state, now=time.time(), width=width, colour=colour
    ),
)
