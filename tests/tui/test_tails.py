"""Tails on the screen: followed, paused, searched, copied, side by side."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.sessions.tail_screen import Run, Style
from gpuhop_tui.sessions.tail_view import TailState
from gpuhop_tui.tui.screens.tails import TailsScreen
from gpuhop_tui.tui.widgets.tail_pane import TailPane
from tests.tui.fake_sessions import FakeTail, training_log, with_sessions
from tests.tui.fakes import NOW, FakeFleet, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until


def app_with_sessions(**more: Any) -> Any:
    return app_on(with_sessions(fleet_state(), NOW), **more)


async def tailing(pilot: Pilot[int], fleet: FakeFleet) -> tuple[TailsScreen, FakeTail]:
    """The tail of the first session, with a log in it."""
    await opened(pilot)
    await pilot.press("3", "t")
    await until(pilot, lambda: fleet.sessions("gpu-01").tails)
    tail = fleet.sessions("gpu-01").tails[0]
    training_log(tail)
    await until(pilot, lambda: "loss=0.31" in screen_text(pilot))
    screen = pilot.app.screen
    assert isinstance(screen, TailsScreen)
    return screen, tail


def pane_of(screen: TailsScreen) -> TailPane:
    box = screen.box
    assert box is not None
    return box.pane


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_a_tail_is_live(size: tuple[int, int]) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=size) as pilot:
        _screen, tail = await tailing(pilot, fleet)
        assert tail.started
        shown = screen_text(pilot)
        for words in ("train on gpu-01", "python", "● live", "following", "200×50", "t add",
                      "space pause", "/ search", "w wrap", "c copy", "x close"):  # fmt: skip
            assert words in shown, words
        tail.print("something new")
        await until(pilot, lambda: "something new" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: tail.closed)
        assert app.screen is app.dashboard


async def test_only_rows_that_changed_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        _screen, tail = await tailing(pilot, fleet)
        await pilot.pause()
        drawn: list[int] = []
        render = TailPane.render_line
        monkeypatch.setattr(
            TailPane, "render_line", lambda self, y: (drawn.append(y), render(self, y))[1]
        )
        tail.set(lines=(*tail.view.lines[:-1], (Run("bar 72 %", Style()),)))
        await until(pilot, lambda: "bar 72 %" in screen_text(pilot))
        assert len(set(drawn)) <= 3  # the old bar was wrapped in two rows at most


async def test_pausing_and_scrolling() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        screen, tail = await tailing(pilot, fleet)
        await pilot.press("space")
        await until(pilot, lambda: "paused at line" in screen_text(pilot))
        tail.print("later")
        await pilot.press("pageup")
        await until(pilot, lambda: "step   27" in screen_text(pilot))
        assert "later" not in screen_text(pilot)
        await pilot.press("home")
        await until(pilot, lambda: "step     0" in screen_text(pilot))
        await pilot.press("space")
        await until(pilot, lambda: "later" in screen_text(pilot))
        pane = pane_of(screen)
        await pilot._post_mouse_events([_wheel_up()], pane, offset=(5, 5))
        await until(pilot, lambda: "held at line" in screen_text(pilot))
        await pilot.press("end")
        await until(pilot, lambda: "following" in screen_text(pilot))


def _wheel_up() -> Any:
    from textual.events import MouseScrollUp

    return MouseScrollUp


async def test_searching() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen, _ = await tailing(pilot, fleet)
        assert "n next" not in screen_text(pilot)
        await pilot.press("slash", *"gradient", "enter")
        await until(pilot, lambda: "7 of 7 “gradient”" in screen_text(pilot))
        await until(pilot, lambda: "n next" in screen_text(pilot))
        await pilot.press("p")
        await until(pilot, lambda: "6 of 7" in screen_text(pilot))
        await pilot.press("n", "n")
        await until(pilot, lambda: "1 of 7" in screen_text(pilot))
        await pilot.press("escape")  # ends the search
        await until(pilot, lambda: "following" in screen_text(pilot))
        await pilot.press("slash", *"zzz", "enter")
        await until(pilot, lambda: "“zzz” is not there" in screen_text(pilot))
        await pilot.press("slash", "escape")
        await until(pilot, lambda: app.focused is pane_of(screen))


async def test_wrapping() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        _screen, tail = await tailing(pilot, fleet)
        tail.print("x" * 100 + "the end")
        await until(pilot, lambda: "the end" in screen_text(pilot))
        await pilot.press("w")
        await until(pilot, lambda: "the end" not in screen_text(pilot))
        await pilot.press("right", "right", "right", "right")
        await until(pilot, lambda: "the end" in screen_text(pilot))
        assert "from column 33" in screen_text(pilot)


async def test_copying(monkeypatch: pytest.MonkeyPatch) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        screen, tail = await tailing(pilot, fleet)
        await pilot.press("c")
        await until(pilot, lambda: "21 lines sent to the" in screen_text(pilot))
        assert app.clipboard.splitlines()[0].startswith("INFO step   280")
        pane = pane_of(screen)
        await pilot.mouse_down(pane, offset=(5, 0))
        await pilot.hover(pane, offset=(9, 0))
        await pilot.hover(pane, offset=(14, 0))
        await pilot.mouse_up(pane, offset=(14, 0))
        await until(pilot, lambda: screen.get_selected_text())
        assert not pane.pager.following
        tail.print("more")
        await pilot.press("c")
        await until(pilot, lambda: "1 line sent" in screen_text(pilot))
        assert app.clipboard.strip().startswith("step   28")


async def test_several_side_by_side() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(200, 60)) as pilot:
        screen, first = await tailing(pilot, fleet)
        await pilot.press("t", "enter")
        await until(pilot, lambda: len(screen.boxes) == 2)
        tails = fleet.sessions("gpu-01").tails
        assert tails[1].session.name == "gpuhop"
        await until(pilot, lambda: pane_of(screen).tail is tails[1])
        heads = [box.query_one(".head") for box in screen.boxes]
        await until(pilot, lambda: [h.has_class("-focused") for h in heads] == [False, True])
        await until(pilot, lambda: screen.boxes[1].region.x > screen.boxes[0].region.right - 2)
        await pilot.press("tab")
        await until(pilot, lambda: pane_of(screen).tail is first)
        await pilot.press("t", "down", "enter")  # two panes: which one?
        await until(pilot, lambda: "Which pane of edit" in screen_text(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(screen.boxes) == 3)
        assert tails[2].pane.command == "vim"
        assert not screen.boxes[2].pane.pager.wrap  # a full-screen program is cut, not wrapped
        await until(pilot, lambda: pane_of(screen).tail is tails[2])
        await pilot.press("x")
        await until(pilot, lambda: len(screen.boxes) == 2)
        assert tails[2].closed
        await pilot.press("escape")
        await until(pilot, lambda: all(tail.closed for tail in tails))


async def test_the_same_pane_is_not_shown_twice_and_four_are_the_most() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(200, 60)) as pilot:
        screen, first = await tailing(pilot, fleet)
        screen.add(first.session, first.session.panes[0])
        assert len(screen.boxes) == 1
        for _ in range(3):
            await pilot.press("t", "enter")
            await pilot.pause()
            if "Which pane" in screen_text(pilot):
                await pilot.press("enter")
            await pilot.pause()
        await until(pilot, lambda: len(screen.boxes) == 4)
        await pilot.press("t")
        await until(pilot, lambda: "4 tails are the most" in screen_text(pilot))


async def test_what_became_of_it_is_said() -> None:
    now = NOW
    app, fleet = app_with_sessions(clock=lambda: now)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen, tail = await tailing(pilot, fleet)
        lost = Problem("gpu-01", ErrorKind.LOST, "no answer for 6 s", "It comes back by itself.")
        tail.set(state=TailState.STALE, problem=lost)
        await until(pilot, lambda: "stale for 0 s: no answer for 6 s" in screen_text(pilot))
        now += 75
        screen._tick()
        await until(pilot, lambda: "stale for 1 min" in screen_text(pilot))
        assert "loss=0.31" in screen_text(pilot)  # its last screen stays
        tail.set(state=TailState.LIVE, problem=None, dead=True, exit_status=3)
        await until(pilot, lambda: "■ exit 3" in screen_text(pilot))
        tail.set(state=TailState.FLOOD, dead=False)
        await until(pilot, lambda: "too fast to follow" in screen_text(pilot))
        tail.set(state=TailState.ENDED)
        await until(pilot, lambda: "ended: its last screen" in screen_text(pilot))


async def test_hostile_output_stays_text() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        _screen, tail = await tailing(pilot, fleet)
        tail.print((Run("[bold]x[/] \x1b]0;gotcha\x07 \u202eevil", Style(foreground=1)),))
        await until(pilot, lambda: "[bold]x[/] ]0;gotcha evil" in screen_text(pilot))
        for strip in app.screen._compositor.render_strips():
            assert "\x1b" not in strip.text
            assert "\u202e" not in strip.text
