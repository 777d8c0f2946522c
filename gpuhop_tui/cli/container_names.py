"""The names of the containers that GPU processes run in, for `status`: their engines are asked only
where a process is in a container, and the figures do not wait long for them."""

from __future__ import annotations

import asyncio
import contextlib

from gpuhop_tui.fleet.state import FleetSource, NodeState

WAIT_SECONDS = 3.0


def lacks_names(node: NodeState) -> bool:
    """Whether a live process is in a container whose name is not known, and may become so."""
    sample = node.live_sample
    if sample is None or node.containers is not None or node.containers_problem is not None:
        return False
    processes = (process for gpu in sample.gpus for process in gpu.processes)
    return any(each.container_id and not each.container for each in processes)


async def name_containers(fleet: FleetSource, seconds: float = WAIT_SECONDS) -> None:
    """Returns when every engine that has to be asked has answered, or after `seconds`."""
    if not any(map(lacks_names, fleet.state.nodes)):
        return
    fleet.watch_containers(True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for state in fleet.changes():
                if not any(map(lacks_names, state.nodes)):
                    return
