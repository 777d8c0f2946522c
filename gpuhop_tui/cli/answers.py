"""When a fleet has answered: who is done, who never will be, and what is news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from gpuhop_tui.fleet.state import FleetSource, FleetState, NodeState
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.status import LinkState


async def wait_for_answers(
    fleet: FleetSource,
    timeout: float,
    human_seconds: Callable[[], float],
    show: Callable[[FleetState], None],
    settled: Callable[[NodeState], bool] | None = None,
) -> None:
    """Return when every node has a result, or after `timeout` seconds.

    The time that a person took to answer questions, `human_seconds`, is not counted. `settled`
    tells what counts as a result, `is_settled` where it is not given.
    """
    has_result = settled or is_settled

    async def answers() -> None:
        show(fleet.state)
        if all(map(has_result, fleet.state.nodes)):
            return
        async for state in fleet.changes():
            show(state)
            if all(map(has_result, state.nodes)):
                return

    async def patience() -> None:
        clock = asyncio.get_running_loop().time
        start = clock()
        while True:
            left = start + timeout + human_seconds() - clock()
            if left <= 0:
                return
            await asyncio.sleep(max(left, 0.05))

    tasks = {asyncio.ensure_future(answers()), asyncio.ensure_future(patience())}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def has_answered(node: NodeState) -> bool:
    """Whether the node's figures are there and live."""
    return node.sample is not None and not node.stale and node.problem is None


def is_settled(node: NodeState) -> bool:
    """Whether there is a result: figures, or a first failure. Retries are not waited for."""
    return has_answered(node) or node.problem is not None


def is_news(before: NodeState | None, node: NodeState) -> bool:
    """Whether a follower should hear of this node: a new sample, state or problem."""
    if before is None:
        return node.sample is not None or node.problem is not None
    return (
        node.sample is not before.sample
        or node.link.state != before.link.state
        or node.problem != before.problem
    )


def with_timeouts(
    state: FleetState, timeout: float, settled: Callable[[NodeState], bool] | None = None
) -> FleetState:
    """`state` with a timeout as the problem of every node that has no result yet."""
    bastions = {bastion.name: bastion for bastion in state.bastions}

    def judged(node: NodeState) -> NodeState:
        if (settled or is_settled)(node):
            return node
        on_the_way = (bastions[name] for name in node.via if name in bastions)
        slow = next((b for b in on_the_way if b.link.state is not LinkState.UP), node)
        waited_for = f" ({slow.link.step})" if slow.link.step else ""
        problem = Problem(
            slow.name,
            ErrorKind.TIMEOUT,
            f"no answer within {timeout:g} s{waited_for}",
            "Give it more time with --timeout, or look at the link's log in the dashboard.",
        )
        if node.link.state is LinkState.UP:
            return replace(node, probe_problem=problem)
        return replace(node, link=replace(node.link, problem=problem))

    return replace(state, nodes=tuple(map(judged, state.nodes)))
