"""Naming nodes on the command line cuts the plan down to them and the bastions on their ways."""

from __future__ import annotations

import pytest

from gpuhop_tui.cli.failure import CommandError
from gpuhop_tui.cli.open import choose_nodes
from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.config.plan import Plan, PlannedBastion, PlannedNode
from gpuhop_tui.problem import ErrorKind, Problem

OUTER, INNER, EDGE = (Hop(name, name, 22, "me") for name in ("outer", "inner", "edge"))
NOWHERE = Problem("ghost", ErrorKind.UNRESOLVED, "there is no such alias", "mend it")


def node(name: str, *via: Hop) -> PlannedNode:
    return PlannedNode(name, Route((*via, Hop(name, name, 22, "me"))))


PLAN = Plan(
    (
        PlannedBastion("outer", Route((OUTER,))),
        PlannedBastion("inner", Route((OUTER, INNER))),
        PlannedBastion("edge", Route((EDGE,))),
    ),
    (node("gpu-01", OUTER), node("gpu-02", OUTER, INNER), PlannedNode("ghost", NOWHERE)),
)


def test_no_name_is_all() -> None:
    assert choose_nodes(PLAN, []) is PLAN


@pytest.mark.parametrize(
    ("names", "nodes", "bastions"),
    [
        (["gpu-01"], ["gpu-01"], ["outer"]),
        (["gpu-02", "gpu-01"], ["gpu-01", "gpu-02"], ["outer", "inner"]),
        (["ghost"], ["ghost"], []),
    ],
)
def test_named_nodes_keep_their_order_and_their_bastions(
    names: list[str], nodes: list[str], bastions: list[str]
) -> None:
    chosen = choose_nodes(PLAN, names)
    assert [each.name for each in chosen.nodes] == nodes
    assert [each.name for each in chosen.bastions] == bastions


def test_every_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(CommandError) as raised:
        choose_nodes(PLAN, ["gpu-1", "gpu-01", "zzz"])
    assert raised.value.status == 2
    assert raised.value.lines == (
        "no node is named 'gpu-1': did you mean 'gpu-01'?",
        "no node is named 'zzz'; there are: gpu-01, gpu-02, ghost",
    )
