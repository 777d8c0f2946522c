"""Asking for a GPU by a note: shown in the table, jumped to last, written by a form."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.probe.sample import Reservation
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.tui.screens.reserve import ReserveDialog
from tests.tui.fake_sessions import FakeSessions
from tests.tui.fakes import NOW, FakeFleet, app_on, idle_node
from tests.tui.waiting import opened, screen_text, until

BOB = Reservation("bob", NOW + 3600, "evaluation run")
MINE = Reservation("gpu-user", NOW + 7200, "my \x1b[31mpaper")


def reserved(**notes: tuple[Reservation, ...]) -> FleetState:
    """gpu-02, whose GPUs are all free; `g3=(…)`: the notes on GPU 3."""
    node = idle_node(NOW)
    assert node.sample is not None
    gpus = tuple(
        replace(gpu, reservations=notes.get(f"g{gpu.index}", ())) for gpu in node.sample.gpus
    )
    return FleetState(nodes=(replace(node, sample=replace(node.sample, gpus=gpus)),))


def actor(fleet: FakeFleet) -> FakeSessions:
    return fleet.sessions("gpu-02")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_notes_are_shown_and_what_others_asked_for_comes_last(size: tuple[int, int]) -> None:
    app, _ = app_on(reserved(**{f"g{number}": (BOB,) for number in range(8) if number != 5}))
    async with app.run_test(notifications=True, size=size) as pilot:
        dashboard = await opened(pilot)
        await until(pilot, lambda: "asked for by bob until" in screen_text(pilot))
        assert "⚑bob" in screen_text(pilot)
        await pilot.press("f")
        assert dashboard.view.gpus.selected == 5
        assert len(app._notifications) == 0
        await pilot.press("f")
        said = [toast.message for toast in app._notifications]
        assert any(each.startswith("Asked for by bob until") for each in said)


async def test_a_note_is_written() -> None:
    app, fleet = app_on(reserved(g0=(BOB,)))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("V")
        await until(pilot, lambda: isinstance(app.screen, ReserveDialog))
        assert "Reserve GPU 0 of gpu-02" in screen_text(pilot)
        assert "bob until" in screen_text(pilot)
        await pilot.press(*"soon", "enter")
        await until(pilot, lambda: "Until when?" in screen_text(pilot))
        await pilot.press(*["backspace"] * 4, *"2h", "tab", *"my run", "enter")
        await until(pilot, lambda: not isinstance(app.screen, ReserveDialog))
    assert actor(fleet).asked == [("reserve", "0", "7200", "my run")]


async def test_what_fails_is_said_beside_what_was_typed() -> None:
    app, fleet = app_on(reserved())
    problem = Problem("gpu-02", ErrorKind.REFUSED, "the note cannot be kept: disk full", "See df")
    actor(fleet).refusal = ProblemError(problem)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("V", *"2h", "enter")
        await until(pilot, lambda: "disk full. See df" in screen_text(pilot))
        assert "2h" in screen_text(pilot)
        actor(fleet).refusal = None
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, ReserveDialog))


async def test_ones_own_note_is_ended() -> None:
    app, fleet = app_on(reserved(g0=(MINE,)))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("V")
        await until(pilot, lambda: isinstance(app.screen, ReserveDialog))
        assert "Yours now: gpu-user until" in screen_text(pilot)
        await pilot.click("#end")
        await until(pilot, lambda: not isinstance(app.screen, ReserveDialog))
    assert actor(fleet).asked == [("end reservation", "0")]
