"""When `status` is done, what it makes of silence, and what a follower hears."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gpuhop_tui.cli.answers import (
    has_answered,
    is_news,
    is_settled,
    wait_for_answers,
    with_timeouts,
)
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from tests.unit.cli.doubles import ScriptedFleet
from tests.unit.cli.states import NO_DRIVER, bastion, connecting, refused, up


def fleet(*nodes: NodeState) -> FleetState:
    return FleetState(bastions=(bastion(LinkState.UP),), nodes=nodes)


async def wait(
    source: ScriptedFleet, timeout: float = 60.0, human: float = 0.0
) -> list[FleetState]:
    shown: list[FleetState] = []
    await wait_for_answers(source, timeout, lambda: human, shown.append)
    return shown


async def test_it_ends_with_the_last_answer_and_takes_a_first_failure_for_one() -> None:
    last = fleet(up(), refused())
    source = ScriptedFleet(
        fleet(connecting(), connecting("gpu-02")),
        fleet(up(), connecting("gpu-02")),
        last,
        fleet(up(), up("gpu-02")),  # a retry that nobody waits for
    )
    shown = await wait(source)
    assert shown[-1] is last
    assert not source.last_reached.is_set()


async def test_a_fleet_that_is_settled_already_is_not_waited_for() -> None:
    assert len(await wait(ScriptedFleet(fleet(up(), refused())))) == 1


async def test_silence_ends_at_the_timeout() -> None:
    source = ScriptedFleet(fleet(connecting()))
    await asyncio.wait_for(wait(source, timeout=0.05), 10)
    assert source.last_reached.is_set()


async def test_the_time_of_a_person_is_no_timeout() -> None:
    source = ScriptedFleet(fleet(connecting()), fleet(up()))
    spent = iter([5.0, 5.0, 5.0])
    start = asyncio.get_running_loop().time()
    await wait_for_answers(
        ScriptedFleet(fleet(connecting())), 0.05, lambda: next(spent, 0.0) and 0.3, lambda _: None
    )
    assert asyncio.get_running_loop().time() - start >= 0.3
    assert len(await wait(source)) == 2


def test_no_driver_is_a_result_but_not_an_answer() -> None:
    node = replace(up(), probe_problem=NO_DRIVER)
    assert is_settled(node)
    assert not has_answered(node)


def test_a_stale_sample_is_no_answer() -> None:
    assert not has_answered(replace(up(), stale=True))


def test_a_timeout_names_the_first_hop_that_is_not_up() -> None:
    state = FleetState(
        bastions=(bastion(LinkState.CONNECTING, step="key exchange with jump-server"),),
        nodes=(connecting(), refused(), up("gpu-03")),
    )
    silent, failed, answered = with_timeouts(state, 2.5).nodes
    assert silent.problem is not None
    assert silent.problem.hop == "jump-server"
    assert silent.problem.kind is ErrorKind.TIMEOUT
    assert "2.5 s" in silent.problem.message
    assert "key exchange" in silent.problem.message
    assert silent.link.state is LinkState.CONNECTING
    assert failed is state.nodes[1]
    assert answered is state.nodes[2]


def test_a_timeout_of_the_probe_is_the_nodes_own() -> None:
    node = replace(connecting(), link=LinkStatus(state=LinkState.UP))
    (judged,) = with_timeouts(fleet(node), 1).nodes
    assert judged.problem is not None
    assert judged.problem.hop == "gpu-01"
    assert judged.link.state is LinkState.UP


def test_news_is_a_sample_a_state_or_a_problem() -> None:
    node = up()
    assert not is_news(None, connecting())
    assert is_news(None, node)
    assert is_news(None, refused())
    assert not is_news(node, replace(node, events=(), tags=("a100",)))
    assert is_news(node, up(at=1_700_000_002.0))
    assert is_news(node, replace(node, probe_problem=NO_DRIVER))
    assert is_news(node, replace(node, link=replace(node.link, state=LinkState.WAITING)))
