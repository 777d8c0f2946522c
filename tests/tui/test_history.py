"""The history on the screen: moving in time, reading, gaps, jobs, export."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from gpuhop_tui.fleet.store.points import StoredPoint
from gpuhop_tui.tui.screens.choose import ChooseDialog
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.dashboard import DashboardScreen
from gpuhop_tui.tui.screens.history import HistoryScreen
from gpuhop_tui.tui.screens.history_export import ExportDialog
from tests.tui.fake_past import GAP, ended_jobs
from tests.tui.fakes import NOW, FakeFleet, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until

Compare = Callable[..., bool]


@asynccontextmanager
async def looking(
    *keys: str, size: tuple[int, int] = (120, 40), node: str = "gpu-01"
) -> AsyncIterator[tuple[Pilot[int], HistoryScreen, FakeFleet]]:
    """The history of a node, after some keys."""
    app, fleet = app_on(fleet_state())
    fleet.ended_jobs = ended_jobs(NOW)
    async with app.run_test(notifications=True, size=size) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node(node)
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        await read(pilot, screen)
        await pilot.press(*keys)
        yield pilot, screen, fleet


async def read(pilot: Pilot[int], screen: HistoryScreen) -> None:
    await until(pilot, lambda: not screen._is_reading and not screen._wanted.is_set(), "reading")
    await pilot.pause()


async def test_all_figures_of_the_selected_gpu_with_axes() -> None:
    async with looking(size=(80, 24)) as (pilot, _, _fleet):
        shown = screen_text(pilot)
        for words in ("history of GPU 0 on gpu-01", "30 min", "utilization", "memory", "power",
                      "temperature", "100 %", "400 W", "100 °C", "╵13:40", "97 %"):  # fmt: skip
            assert words in shown, words
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, DashboardScreen))


async def test_zooming_panning_and_reading() -> None:
    async with looking() as (pilot, screen, _):
        await pilot.press("minus")
        await until(pilot, lambda: "2 h  12:0" in screen_text(pilot))
        await pilot.press("left", "left")
        await until(pilot, lambda: "util 9" in screen_text(pilot))
        assert "▲" in screen_text(pilot)
        cursor = screen.window.cursor
        await pilot.press("shift+left")
        assert screen.window.end == NOW - 3600
        assert cursor is not None
        assert screen.window.cursor == cursor - 3600
        await pilot.press("n")
        assert screen.window.end is None
        assert screen.window.cursor is None
        await pilot.press(*["minus"] * 9)
        await until(pilot, lambda: "7 d  04 Nov" in screen_text(pilot))
        await read(pilot, screen)
        assert "╵Thu 06" in screen_text(pilot)
        await pilot.press(*["plus"] * 9)
        await until(pilot, lambda: "5 min  13:57" in screen_text(pilot))


async def test_a_gap_is_empty_and_says_why() -> None:
    async with looking("minus") as (pilot, screen, _):
        await read(pilot, screen)
        screen.window = replace(screen.window, cursor=NOW - (GAP[0] + GAP[1]) / 2)
        screen.lay_out()
        await until(pilot, lambda: "no figures then: " in screen_text(pilot))
        assert "no link to gpu-01 (lost)" in screen_text(pilot)
        column = screen.view.cursor
        assert column is not None
        assert all(drawn.values[column] is None for drawn in screen._draw(screen.view))


async def test_one_figure_of_all_gpus_and_choosing_one() -> None:
    async with looking("a") as (pilot, screen, _):
        await until(pilot, lambda: "▸GPU 0 utilization" in screen_text(pilot))
        await read(pilot, screen)
        for index in range(1, 8):
            assert f" GPU {index} utilization" in screen_text(pilot)
        await pilot.press("m", "down")
        await until(pilot, lambda: "▸GPU 1 memory" in screen_text(pilot))
        await pilot.press("a")
        await until(pilot, lambda: "history of GPU 1 on gpu-01" in screen_text(pilot))
        await pilot.press("5")
        await until(pilot, lambda: "history of GPU 5 on gpu-01" in screen_text(pilot))
        await pilot.press("9")
        await until(pilot, lambda: "There is no GPU 9 here" in screen_text(pilot))
        await pilot.press("up")
        await until(pilot, lambda: "history of GPU 4 on gpu-01" in screen_text(pilot))


async def test_a_click_reads() -> None:
    async with looking() as (pilot, screen, _):
        await pilot.click("#history", offset=(30, 5))
        await until(pilot, lambda: screen.view.cursor is not None)
        assert screen.view.cursor == 30 - 1 - 7  # the padding and the values at the left


async def test_reading_does_not_block_the_screen() -> None:
    async with looking() as (pilot, screen, fleet):
        may = asyncio.Event()
        kept = fleet.kept

        async def slowly(node: str, gpu: int, since: float, end: float) -> Sequence[StoredPoint]:
            await may.wait()
            return kept(node, gpu, since, end)

        fleet.past = slowly  # type: ignore[method-assign]
        await pilot.press("minus")
        await until(pilot, lambda: "reading…" in screen_text(pilot))
        await pilot.press("left")
        await until(pilot, lambda: screen.window.cursor is not None)
        may.set()
        await until(pilot, lambda: "reading…" not in screen_text(pilot))


async def test_a_job_that_ended_shows_its_gpus_over_its_time() -> None:
    async with looking("j") as (pilot, screen, _):
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        await until(pilot, lambda: "finished" in screen_text(pilot))
        place = [n for n, row in enumerate(screen_text(pilot).splitlines()) if "finished" in row]
        first = [n for n, row in enumerate(screen_text(pilot).splitlines()) if "all GPUs of" in row]
        await pilot.press("home", *["down"] * (place[0] - first[0]), "enter")
        await until(pilot, lambda: "job: python train.py" in screen_text(pilot))
        assert screen.shown == [0, 1, 2, 3]
        assert screen.view.since <= NOW - 9 * 3600
        assert NOW - 4 * 3600 <= screen.view.until < NOW
        await pilot.press("j")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        await pilot.press("home", "enter")
        await until(pilot, lambda: screen.job is None)
        assert len(screen.shown) == 8


@pytest.mark.parametrize("keys", ["J h", "1 tab h"])
async def test_a_selected_job_leads_to_its_gpus(keys: str) -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-01")
        *before, last = keys.split()
        if before == ["1", "tab"]:
            dashboard.set_focus(dashboard.view.lower)
            await pilot.pause()
        else:
            await pilot.press(*before)
            await until(pilot, lambda: getattr(app.screen, "job", None) is not None)
        await pilot.press(last)
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await until(pilot, lambda: "job: " in screen_text(pilot))
        assert isinstance(app.screen, HistoryScreen)
        assert app.screen.job is not None
        assert app.screen.indexes == list(app.screen.job.gpus)


async def test_without_jobs_it_says_so() -> None:
    async with looking("j", node="gpu-02") as (pilot, _, fleet):
        fleet.ended_jobs = ()
        await pilot.press("escape", "j")
        await until(pilot, lambda: "No job was seen on gpu-02" in screen_text(pilot))


@pytest.mark.parametrize("name", ["mine.csv", "mine.json"])
async def test_export_asks_for_a_name_and_never_overwrites_unasked(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text("precious")
    async with looking("a") as (pilot, screen, _):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportDialog))
        await until(pilot, lambda: pilot.app.screen.query(Input))
        dialog = pilot.app.screen
        field = dialog.query_one(Input)
        assert field.value == "./gpu-01-20251111-1332.csv"
        field.value = str(path)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is dialog)
        assert path.read_text() == "precious"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: pilot.app.screen is screen)
        await until(pilot, lambda: "Written:" in screen_text(pilot))
    text = path.read_text()
    if name.endswith("json"):
        (node,) = json.loads(text)["nodes"]
        assert [gpu["index"] for gpu in node["gpus"]] == [*range(8)]
    else:
        lines = text.splitlines()
        assert lines[0].startswith("node,gpu,at,time,")
        assert len({line.split(",")[1] for line in lines[1:]}) == 8


async def test_export_to_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    async with looking("e") as (pilot, _, _fleet):
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportDialog))
        await until(pilot, lambda: pilot.app.screen.query(Input))
        field = pilot.app.screen.query_one(Input)
        field.value = str(tmp_path / "absent" / "x.csv")
        await pilot.press("enter")
        await until(pilot, lambda: "cannot be written" in screen_text(pilot))
        field.value = str(tmp_path / "x.csv")
        await pilot.press("enter")
        await until(pilot, (tmp_path / "x.csv").exists)


async def test_what_is_wrong_with_the_file_is_told_once_and_shown() -> None:
    app, fleet = app_on(fleet_state())
    problem = "the past is not kept: cannot write /x/history.sqlite3: disk is full"
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        fleet.set(replace(fleet.state, past_problem=problem))
        await until(pilot, lambda: "disk is full" in screen_text(pilot))
        toasts = [each for each in app._notifications if "disk is full" in each.message]
        fleet.set(replace(fleet.state, agent="3 keys"))
        await until(pilot, lambda: "3 keys" in screen_text(pilot))
        assert len([e for e in app._notifications if "disk is full" in e.message]) == len(toasts)
        app.clear_notifications()
        await until(pilot, lambda: "disk is full" not in screen_text(pilot))
        await pilot.press("h")
        await until(pilot, lambda: "disk is full" in screen_text(pilot))


async def test_a_node_that_has_sent_nothing_yet_shows_what_was_kept() -> None:
    app, fleet = app_on(fleet_state())

    async def gpus(node: str) -> Sequence[int]:
        return (0, 1)

    fleet.past_gpus = gpus  # type: ignore[method-assign]
    fleet.kept = lambda node, gpu, since, end: kept_of_busy("gpu-01", gpu, since, end)
    kept_of_busy = app_on(fleet_state())[1].kept
    async with app.run_test(size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-03")
        await pilot.press("h")
        await until(pilot, lambda: "mean 9" in screen_text(pilot))
        await until(pilot, lambda: "history of 2 GPUs on gpu-03" in screen_text(pilot))


def at(*keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    async def ready(pilot: Pilot[int]) -> None:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-01")
        await pilot.press("h")
        await until(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen))
        screen = pilot.app.screen
        assert isinstance(screen, HistoryScreen)
        for key in keys:
            await pilot.press(key)
        await read(pilot, screen)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False

    return ready


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=str)
@pytest.mark.parametrize(
    "keys", ["", "minus left left left left left left", "a minus minus minus minus m", "j"]
)
def test_pictures(snap_compare: Compare, keys: str, size: tuple[int, int]) -> None:
    app, fleet = app_on(fleet_state())
    fleet.ended_jobs = ended_jobs(NOW)
    assert snap_compare(app, terminal_size=size, run_before=at(*keys.split()))


def test_picture_of_the_export(snap_compare: Compare) -> None:
    app, _ = app_on(fleet_state())
    assert snap_compare(app, terminal_size=(80, 24), run_before=at("e"))
