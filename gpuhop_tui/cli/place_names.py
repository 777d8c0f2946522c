"""The names of the containers and tmux sessions that GPU processes run in, for `status`: they are
asked for only where a process is in one, and the figures do not wait long for them."""

from __future__ import annotations

import asyncio
import contextlib

from gpuhop_tui.fleet.state import FleetSource, NodeState
from gpuhop_tui.fleet.summary import gpu_processes
from gpuhop_tui.probe.sample import Process

WAIT_SECONDS = 3.0


def lacks_names(node: NodeState) -> bool:
    """Whether a live process is in a container whose name is not known, and may become so."""
    if node.containers is not None or node.containers_problem is not None:
        return False
    return any(each.container_id and not each.container for each in _processes(node))


def lacks_sessions(node: NodeState) -> bool:
    """The same of a tmux session. Those of others are never known."""
    if node.sessions is not None or node.sessions_problem is not None:
        return False
    return any(each.tmux and not each.tmux_session for each in _processes(node))


def ask_for_names(fleet: FleetSource) -> bool:
    """Begins to look for the names that are missing; whether there are any."""
    containers = any(map(lacks_names, fleet.state.nodes))
    sessions = any(map(lacks_sessions, fleet.state.nodes))
    if containers:
        fleet.watch_containers(True)
    if sessions:
        fleet.watch_sessions(True)
    return containers or sessions


async def name_places(fleet: FleetSource, seconds: float = WAIT_SECONDS) -> None:
    """Returns when all that have to be asked have answered, or after `seconds`."""
    if not ask_for_names(fleet):
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for state in fleet.changes():
                if not any(lacks_names(node) or lacks_sessions(node) for node in state.nodes):
                    return


def _processes(node: NodeState) -> list[Process]:
    sample = node.live_sample
    return [each for gpu in sample.gpus for each in gpu_processes(gpu)] if sample else []
