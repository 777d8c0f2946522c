"""What limits the selected GPU: below the table where there is room, and among its figures."""

from __future__ import annotations

import pytest

from gpuhop_tui.fleet.jobs.model import Job
from tests.tui.fakes import NOW, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_limits_the_selected_gpu(size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(size=size) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-01")
        dashboard.view.select_gpu(3)
        await pilot.pause()
        below = "GPU 3: its clock is held down (too hot, 1410 MHz)" in screen_text(pilot)
        assert below is (size[1] >= 36)
        await pilot.press("d", "end")
        await until(pilot, lambda: "what limits it" in screen_text(pilot))
        assert "its clock is held down" in screen_text(pilot)


async def test_what_limits_the_selected_job() -> None:
    app, fleet = app_on(fleet_state())
    train = Job("gpu-01", 418212, NOW - 900, gpus=(4, 5), user="jonas", name="torchrun tune.py",
                utilization_percent=30.0, busiest_percent=100.0, processes=9)  # fmt: skip
    fleet.change("gpu-01", jobs=(train,))
    async with app.run_test(size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-01")
        await until(pilot, lambda: dashboard.view.selected_job is not None)
        await pilot.press("d", "end")
        await until(pilot, lambda: "what limits torchrun tune.py" in screen_text(pilot))
        assert "one process keeps a whole CPU core busy" in screen_text(pilot)
