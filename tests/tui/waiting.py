"""Waiting for conditions, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from textual.pilot import Pilot

from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.render.line import plain
from gpuhop_tui.tui.screens.dashboard import DashboardScreen
from gpuhop_tui.tui.widgets.lines import Lines

PATIENCE = 10.0  # seconds


async def until(pilot: Pilot[int], condition: Callable[[], object], what: str = "") -> None:
    """Let the app run until a condition holds; fail after `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what or condition}\n{screen_text(pilot)}"
        await pilot.pause()
        await asyncio.sleep(0)


async def opened(pilot: Pilot[int]) -> DashboardScreen:
    """The dashboard, once it shows a state."""
    app = pilot.app
    assert isinstance(app, GpuhopApp)
    await until(pilot, lambda: app.dashboard and app.dashboard.state, "the first state")
    await pilot.pause()
    assert app.dashboard is not None
    return app.dashboard


def screen_text(pilot: Pilot[int]) -> str:
    """What is on the screen now, as text."""
    screen = pilot.app.screen
    strips = screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


def text_of(widget: Lines) -> str:
    """All lines of a widget, those out of view included."""
    return "\n".join(plain(widget.line_at(y)) for y in range(widget.line_count))
