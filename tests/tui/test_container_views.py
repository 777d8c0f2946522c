"""A container's log and figures on the screen, and files copied in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.following import FollowState
from gpuhop_tui.containers.log_follow import LogMark
from gpuhop_tui.containers.log_lines import LogLine
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.tui.screens.logs import LogScreen
from gpuhop_tui.tui.widgets.log_pane import LogPane
from tests.tui.fake_containers import container
from tests.tui.fake_views import FakeLog, training
from tests.tui.fakes import NOW, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until

SIZES = [(80, 24), (120, 40)]
Compare = Callable[..., bool]


@asynccontextmanager
async def reading(
    log: FakeLog, size: tuple[int, int] = (80, 24), clock: Callable[[], float] = lambda: NOW
) -> AsyncIterator[Pilot[int]]:
    """The screen of a log that has a training in it."""
    app, _ = app_on(fleet_state(), clock=clock)
    async with app.run_test(notifications=True, size=size) as pilot:
        await opened(pilot)
        await app.push_screen(LogScreen(log, clock))
        training(log)
        await until(pilot, lambda: "71%|███████" in screen_text(pilot))
        yield pilot


def pane_of(pilot: Pilot[int]) -> LogPane:
    screen = pilot.app.screen
    assert isinstance(screen, LogScreen)
    return screen.pane


# Logs


@pytest.mark.parametrize("size", SIZES)
async def test_a_log_is_live(size: tuple[int, int]) -> None:
    log = FakeLog()
    async with reading(log, size) as pilot:
        assert log.started
        shown = screen_text(pilot)
        for words in ("train-llm on gpu-01", "● live", "following", "wrap", "┃ stderr",
                      "away for 12 s", "space pause", "/ search", "t times", "c copy"):  # fmt: skip
            assert words in shown, words
        assert "10%|█ " not in shown  # overwritten, as on a terminal
        log.write("something new")
        await until(pilot, lambda: "something new" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: log.closed)


async def test_the_streams_are_told_apart_without_colour() -> None:
    log = FakeLog()
    async with reading(log) as pilot:
        log.write("fine", "a warning " * 20, stream="stderr")
        log.write("all well")
        await until(pilot, lambda: "all well" in screen_text(pilot))
        rows = screen_text(pilot).splitlines()
        assert "┃ fine" in rows
        assert len([row for row in rows if row.startswith("┃ ") and "warning" in row]) == 3
        assert "  all well" in rows


async def test_a_terminal_has_one_stream_and_no_gutter() -> None:
    log = FakeLog(container("tty", NOW, tty=True))
    async with reading(log) as pilot:
        log.write("at the very left")
        await until(pilot, lambda: "at the very left" in screen_text(pilot).splitlines())
        assert "stderr" not in screen_text(pilot)


async def test_times_pause_and_wrap() -> None:
    log = FakeLog()
    async with reading(log) as pilot:
        await pilot.press("t")
        await until(pilot, lambda: "14:02:11.000 epoch 3" in screen_text(pilot))
        await pilot.press("t", "space")
        await until(pilot, lambda: "paused at line" in screen_text(pilot))
        log.write("later")
        await pilot.press("pageup")
        await until(pilot, lambda: "step   280" in screen_text(pilot))
        assert "later" not in screen_text(pilot)
        await pilot.press("space")
        await until(pilot, lambda: "later" in screen_text(pilot))
        log.write("x" * 100 + "the end")
        await until(pilot, lambda: "the end" in screen_text(pilot))
        await pilot.press("w")
        await until(pilot, lambda: "the end" not in screen_text(pilot))
        await pilot.press("right", "right", "right", "right")
        await until(pilot, lambda: "the end" in screen_text(pilot))


async def test_searching() -> None:
    log = FakeLog()
    async with reading(log) as pilot:
        await pilot.press("slash", *"Gradient", "enter")
        await until(pilot, lambda: "7 of 7 “gradient”" in screen_text(pilot))
        await pilot.press("p")
        await until(pilot, lambda: "6 of 7" in screen_text(pilot))
        await pilot.press("n", "n")
        await until(pilot, lambda: "1 of 7" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "following" in screen_text(pilot))
        await pilot.press("slash", *"zzz", "enter")
        await until(pilot, lambda: "“zzz” is not there" in screen_text(pilot))


async def test_what_is_copied_is_the_text_alone() -> None:
    log = FakeLog()
    async with reading(log) as pilot:
        await pilot.press("c")
        await until(pilot, lambda: "lines sent to the" in screen_text(pilot))
        first, *_ = pilot.app.clipboard.splitlines()
        assert first.startswith(("INFO step", "warning", "length"))
        assert "┃" not in pilot.app.clipboard
        pane = pane_of(pilot)
        await pilot.mouse_down(pane, offset=(0, 20))
        await pilot.hover(pane, offset=(4, 20))
        await pilot.hover(pane, offset=(9, 20))
        await pilot.mouse_up(pane, offset=(9, 20))
        await until(pilot, pilot.app.screen.get_selected_text)
        await pilot.press("c")
        await until(pilot, lambda: "1 line sent" in screen_text(pilot))
        assert pilot.app.clipboard.startswith("epoch 3")


async def test_scrolling_to_the_top_reads_earlier_lines() -> None:
    log = FakeLog()
    log.past = [LogLine(None, f"old {number}") for number in range(70)]
    async with reading(log) as pilot:
        log.gate.clear()
        await pilot.press("home")
        await until(pilot, lambda: "reading earlier lines…" in screen_text(pilot))
        log.gate.set()
        await until(pilot, lambda: "held at line 51 of" in screen_text(pilot))
        assert "step     0" in screen_text(pilot)  # what was in view stays in view
        await pilot.press("up")
        await until(pilot, lambda: "old 69" in screen_text(pilot))
        await pilot.press("home")
        await until(pilot, lambda: "held at line 21 of" in screen_text(pilot))
        await pilot.press("home")
        await until(pilot, lambda: "the beginning of the log" in screen_text(pilot))
        assert "old 0" in screen_text(pilot)
        await pilot.press("slash", *"old 1", "enter")
        await until(pilot, lambda: "11 of 11 “old 1”" in screen_text(pilot))
        await pilot.press("end")
        await until(pilot, lambda: "following" in screen_text(pilot))


@pytest.mark.parametrize(
    "refusal",
    [
        ContainerError("the log cannot be read", "Another log driver can."),
        ProblemError(Problem("gpu-01", ErrorKind.LOST, "the log cannot be read", "It comes back.")),
    ],
)
async def test_earlier_lines_that_cannot_be_had(refusal: Exception) -> None:
    log = FakeLog()
    log.refusal = refusal
    async with reading(log) as pilot:
        await pilot.press("home")
        await until(pilot, lambda: "No earlier lines: the log cannot" in screen_text(pilot))
        assert "reading earlier" not in screen_text(pilot)


async def test_what_becomes_of_it_is_said() -> None:
    now = NOW
    log = FakeLog()
    async with reading(log, (120, 40), lambda: now) as pilot:
        lost = Problem("gpu-01", ErrorKind.LOST, "no answer for 6 s", "It comes back by itself.")
        log.set(state=FollowState.AWAY, problem=lost, away_since=NOW)
        await until(pilot, lambda: "away for 0 s: no answer for 6 s" in screen_text(pilot))
        assert "71%|███████" in screen_text(pilot)
        now += 75
        pilot.app.screen.lay_out()  # type: ignore[attr-defined]
        await until(pilot, lambda: "away for 1 min" in screen_text(pilot))
        log.mark("the container ended with exit code 3", bad=True)
        log.set(state=FollowState.ENDED, exit_code=3, problem=None)
        await until(pilot, lambda: "■ ended: exit 3" in screen_text(pilot))
        assert "── the container ended with exit code 3 ──" in screen_text(pilot)
        log.set(state=FollowState.FLOOD)
        await until(pilot, lambda: "too fast to read" in screen_text(pilot))
        log.set(state=FollowState.REMOVED, dropped=812)
        await until(pilot, lambda: "removed: what was seen last" in screen_text(pilot))
        assert "812 older let go for room" in screen_text(pilot)


async def test_hostile_output_stays_text() -> None:
    log = FakeLog()
    async with reading(log) as pilot:
        log.write("[bold]x[/] \x1b]0;gotcha\x07 \u202eevil\x1b[2J\x1b[10Aup\x9b31m\x1b[8mhidden")
        log.entries.append(LogMark("mark \x1b[31m"))
        log.write("\x1b]52;c;aGk=\x07after")
        await until(pilot, lambda: "after" in screen_text(pilot))
        for strip in pilot.app.screen._compositor.render_strips():
            assert "\x1b" not in strip.text
            assert "\u202e" not in strip.text
            assert "\x9b" not in strip.text


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("keys", ["", "t slash g r a d enter", "home"])
def test_pictures_of_logs(snap_compare: Compare, keys: str, size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state())
    log = FakeLog()
    log.view = log.view.__class__(whole=True)

    async def ready(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await app.push_screen(LogScreen(log, lambda: NOW))
        training(log)
        await until(pilot, lambda: "71%|███████" in screen_text(pilot))
        await pilot.press(*keys.split())
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=ready)
