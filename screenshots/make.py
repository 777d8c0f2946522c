"""Draws the README's pictures: the demo, headless, at several sizes.

    .venv/bin/python screenshots/make.py

Nothing is staged: the figures are what the simulated GPUs report while it runs.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from gpuhop_tui.demo.fleet import open_demo
from gpuhop_tui.demo.templates import TEMPLATES
from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.fleet.summary import GpuPlace
from gpuhop_tui.ssh.prompts import Prompter
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.opening import Opened

HERE = Path(__file__).parent
SECONDS = 120.0  # to wait for anything
HISTORY_POINTS = 140


class Shot:
    """One running app of a size, and what to do before its picture is taken."""

    def __init__(self, app: GpuhopApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def until(self, condition: Callable[[FleetState], bool]) -> None:
        """Wait for a state of the fleet."""
        async with asyncio.timeout(SECONDS):
            while not (state := self._state()) or not condition(state):
                await self.pilot.pause(0.1)

    def _state(self) -> FleetState | None:
        """What the dashboard shows; None before there is one."""
        dashboard = self.app.dashboard
        return dashboard.state if dashboard is not None else None

    async def until_settled(self) -> None:
        """Wait until every node has figures or a problem."""
        await self.until(lambda state: all(node.sample or node.problem for node in state.nodes))

    async def until_history(self, node: str, gpu: int) -> None:
        """Wait until a GPU has a past to show."""

        def has_past(state: FleetState) -> bool:
            source = self.app.source
            return source is not None and len(source.history(node, gpu)) >= HISTORY_POINTS

        await self.until(has_past)

    async def until_shown(self, *patterns: str) -> None:
        """Wait until the screen shows all of these."""
        async with asyncio.timeout(SECONDS):
            while not all(re.search(each, self._text()) for each in patterns):
                await self.pilot.pause(0.2)
        await self.pilot.pause(1.0)

    def _text(self) -> str:
        return self.app.export_screenshot().replace("&#160;", " ")

    async def go(self, node: str, gpu: int | None, *keys: str) -> None:
        """Select a node, and one of its GPUs if it has any; then press keys."""
        if gpu is None:
            self.app.dashboard.go_to_node(node)
        else:
            self.app.dashboard.go_to(GpuPlace(node, gpu))
        await self.pilot.press(*keys)
        await self.pilot.pause(0.3)

    def take(self, name: str) -> None:
        """Write the screen as it is."""
        (HERE / f"{name}.svg").write_text(self.app.export_screenshot(title="gpuhop-tui"))
        print(f"screenshots/{name}.svg")


async def open_fleet(prompter: Prompter) -> Opened:
    """The demo, sampled often, so that there is a past to show soon."""
    return Opened(await open_demo(prompter, sample_interval=0.5), templates=TEMPLATES)


async def shoot(size: tuple[int, int], session: Callable[[Shot], Awaitable[None]]) -> None:
    """Run the demo at a size of columns and rows, and take the pictures of `session`."""
    app = GpuhopApp(open_fleet)
    async with app.run_test(size=size) as pilot:
        shot = Shot(app, pilot)
        await shot.until_settled()
        await session(shot)


async def usual(shot: Shot) -> None:
    await shot.until_history("gpu-01", 4)
    await shot.go("gpu-01", 4, "4")
    shot.take("dashboard")
    await shot.go("lab-b", 0, "1")
    shot.take("mig")
    await shot.go("gpu-03", None, "6")
    shot.take("node-down")
    await shot.go("gpu-01", 0, "5")
    shot.take("node")
    await shot.go("gpu-01", 0, "question_mark")
    shot.take("help")
    await shot.pilot.press("escape")
    await shot.go("gpu-01", 0, "2")
    await shot.until_shown("jonas-lora", "K/s|G|M")
    shot.take("containers")
    await shot.pilot.press("J")
    await shot.until_shown("jobs", "lora")
    shot.take("jobs")
    await shot.pilot.press("escape", "n")
    await shot.until_shown("from which template")
    await shot.pilot.press("enter")
    await shot.until_shown("docker run")
    shot.take("new-container")


async def small(shot: Shot) -> None:
    await shot.go("gpu-01", 0, "1")
    shot.take("small")


async def wide(shot: Shot) -> None:
    await shot.go("gpu-02", 0, "1")
    shot.take("wide")


async def main() -> None:
    await shoot((120, 32), usual)
    await shoot((80, 24), small)
    await shoot((170, 32), wide)


if __name__ == "__main__":
    asyncio.run(main())
