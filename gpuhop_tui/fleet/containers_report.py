"""The containers of the fleet as scripts see them: `containers --json`, schema 1.

Every field is there even where it is null, and every null figure has its reason in `missing`.
Times are seconds since the epoch by the node's clock, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gpuhop_tui.containers.model import Container, Listing
from gpuhop_tui.fleet.report import SCHEMA
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.problem import Problem
from gpuhop_tui.ssh.status import LinkState

Json = dict[str, Any]


def containers_problem(node: NodeState) -> Problem | None:
    """What stands between the user and this node's containers, if anything."""
    if node.link.state is not LinkState.UP:
        return node.link.problem
    return node.containers_problem


def report_containers(state: FleetState) -> Json:
    """All nodes, in the order of the config."""
    return {"schema": SCHEMA, "nodes": [_report_node(node) for node in state.nodes]}


def _report_node(node: NodeState) -> Json:
    problem = containers_problem(node)
    listing = node.containers or Listing()
    return {
        "name": node.name,
        "state": node.link.state.value,
        "error": asdict(problem) if problem else None,
        "engine": listing.engine or None,
        "containers": [report_container(each) for each in listing.containers],
        "images": [asdict(each) for each in listing.images],
        "disk": asdict(listing.disk) if listing.disk else None,
    }


def report_container(container: Container) -> Json:
    """One container. `gpus` is null where it was given none; `ids` are as they were written."""
    whole = asdict(container)
    del whole["node"]
    return whole
