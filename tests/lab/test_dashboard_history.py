"""The past outlives the dashboard: on its screen, and for the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.lab.dashboard import dashboard
from tests.lab.waiting import wait_until
from tests.lab.world import World


def test_a_restarted_dashboard_still_shows_the_past(make_world: Callable[..., World]) -> None:
    world = make_world(nodes=1, gpus=1)
    laptop, gpus = world.laptop, world["gpu-01"].gpus
    gpus.gpu(0, utilization=91)

    def kept() -> list[dict[str, object]]:
        done = laptop.run(["gpuhop-tui", "history", "--json", "--since", "1h"], check=False)
        nodes = json.loads(done.stdout)["nodes"] if done.stdout else []
        return [point for node in nodes for gpu in node["gpus"] for point in gpu["points"]]

    with dashboard(world, 100, 30) as terminal:
        terminal.shows("1/1 nodes|1 node", "91 %")
        terminal.press("h")
        terminal.shows("history of GPU 0 on gpu-01", "utilization", "100 %", "91 %")
        terminal.press("q")
        wait_until(lambda: any(p["utilization_percent"] == 91 for p in kept()), "the past")
    gpus.gpu(0, utilization=7)
    with dashboard(world, 100, 30) as terminal:
        terminal.shows("1/1 nodes|1 node", " 7 %")
        terminal.press("h")
        terminal.shows("history of GPU 0 on gpu-01", "peak 91 %")
        terminal.press("q")
