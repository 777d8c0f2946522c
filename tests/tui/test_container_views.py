"""A container's log and figures on the screen, and files copied in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.following import FollowState
from gpuhop_tui.containers.log_follow import LogMark
from gpuhop_tui.containers.log_lines import LogLine
from gpuhop_tui.containers.model import Container
from gpuhop_tui.fleet.container_gpus import gpu_use
from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.tui.render.line import width_of
from gpuhop_tui.tui.render.stats import graphs, nice_top, stats
from gpuhop_tui.tui.render.units import fine_size
from gpuhop_tui.tui.screens.logs import LogScreen
from gpuhop_tui.tui.screens.stats import StatsScreen
from gpuhop_tui.tui.widgets.log_pane import LogPane
from tests.tui.fake_containers import container
from tests.tui.fake_views import FakeLog, FakeUsage, a_point, busy_half_hour, training
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


# Figures


@asynccontextmanager
async def measuring(
    usage: FakeUsage, size: tuple[int, int] = (80, 24), state: FleetState | None = None
) -> AsyncIterator[Pilot[int]]:
    """The screen of a container's figures."""
    state = state or fleet_state()
    app, _ = app_on(state)
    async with app.run_test(notifications=True, size=size) as pilot:
        await opened(pilot)
        await app.push_screen(StatsScreen(usage, lambda: state.node("gpu-01"), lambda: NOW))
        await until(pilot, lambda: "stats of train-llm" in screen_text(pilot))
        yield pilot


def on_gpus() -> Container:
    """The container that marie's training runs in, on four GPUs."""
    return container("train-llm", NOW, id="9f86d081884c")


@pytest.mark.parametrize("size", [*SIZES, (200, 60)])
async def test_figures_of_a_container(size: tuple[int, int]) -> None:
    usage = FakeUsage(on_gpus())
    async with measuring(usage, size) as pilot:
        assert usage.started
        await until(pilot, lambda: screen_text(pilot).count("not measured: no figures yet") == 4)
        busy_half_hour(usage)
        await until(pilot, lambda: "peak 1000 %" in screen_text(pilot))
        shown = screen_text(pilot)
        for words in ("● live", "CPU", "memory", "network", "in ", "out", "disk", "written",
                      "GPU utilization", "87 %", "GPU memory", "216 G", "processes, peak 43",
                      "4 min ago", "300 points", "esc leave"):  # fmt: skip
            assert words in shown, words
        await pilot.press("escape")
        await until(pilot, lambda: usage.closed)


async def test_a_figure_that_is_missing_has_a_reason() -> None:
    usage = FakeUsage()
    missing = {"network_rate": "the container has no network of its own"}
    async with measuring(usage, (120, 40)) as pilot:
        usage.add(a_point(NOW, network_rate=None, missing=missing))
        await until(pilot, lambda: "of its own" in screen_text(pilot))
        assert "not measured: no process of it is on a GPU" in screen_text(pilot)
        usage.add(None)
        lost = Problem("gpu-01", ErrorKind.LOST, "no answer for 6 s", "It comes back by itself.")
        usage.set(state=FollowState.AWAY, problem=lost, away_since=NOW)
        await until(pilot, lambda: "away for 0 s: no answer for 6 s" in screen_text(pilot))


async def test_a_node_without_figures_says_why() -> None:
    state = fleet_state()
    nodes = tuple(
        replace(node, stale=True) if node.name == "gpu-01" else node for node in state.nodes
    )
    async with measuring(FakeUsage(on_gpus()), (120, 40), replace(state, nodes=nodes)) as pilot:
        await until(pilot, lambda: "not measured: no figures from the node" in screen_text(pilot))


@pytest.mark.parametrize("size", [*SIZES, (200, 60)], ids=str)
def test_pictures_of_figures(snap_compare: Compare, size: tuple[int, int]) -> None:
    state = fleet_state()
    app, _ = app_on(state)
    usage = FakeUsage(on_gpus())
    busy_half_hour(usage)

    async def ready(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        screen = StatsScreen(usage, lambda: state.node("gpu-01"), lambda: NOW)
        await app.push_screen(screen)
        screen._gpus.clear()
        for second in range(300):
            use = None if 100 < second < 120 else gpu_use(usage.container, state.nodes[0].sample)
            screen._gpus.append((NOW - 299 + second, use))
        screen.lay_out()
        await until(pilot, lambda: "peak 1000 %" in screen_text(pilot))

    assert snap_compare(app, terminal_size=size, run_before=ready)


def test_round_tops_of_axes() -> None:
    assert [nice_top(value, True) for value in (0, 9, 11, 60, 101, 812)] == [
        10, 10, 20, 100, 200, 1000,
    ]  # fmt: skip
    assert nice_top(0, False) == 1024
    assert nice_top(3 << 30, False) == 4 << 30
    assert [fine_size(value) for value in (None, 0, 812, 1023, 1300, 34 << 20, 80 << 30)] == [
        "–", "0 B", "812 B", "1 K", "1.3 K", "34 M", "80 G",
    ]  # fmt: skip


@pytest.mark.parametrize("width", range(20, 210, 19))
@pytest.mark.parametrize("height", [6, 21, 37])
def test_graphs_fit_their_room(width: int, height: int) -> None:
    usage = FakeUsage(on_gpus())
    busy_half_hour(usage)
    use = gpu_use(usage.container, fleet_state().nodes[0].sample)
    lines = stats(graphs(usage.points, [(NOW, use)]), width, height, NOW)
    assert all(width_of(line) <= width for line in lines)
    if height >= 18 and width >= 64:
        assert len(lines) <= height
