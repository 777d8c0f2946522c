"""Zoom, pan and cursor; axes; gaps that stay gaps."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.past_jobs import PastJob
from gpuhop_tui.fleet.store.bins import Figures
from gpuhop_tui.fleet.store.columns import Column
from gpuhop_tui.fleet.store.points import StoredPoint
from gpuhop_tui.tui.render.history_page import (
    LABEL,
    METRICS,
    Drawn,
    View,
    columns_of,
    grid,
    head,
    page,
    reading_line,
)
from gpuhop_tui.tui.render.history_plot import CURSOR, PEAK, axis, plot
from gpuhop_tui.tui.render.history_window import KEPT_SECONDS, ZOOMS, Window
from gpuhop_tui.tui.render.history_words import (
    all_jobs,
    index_ranges,
    job_line,
    why_no_figures,
)
from gpuhop_tui.tui.render.line import Tone, plain, width_of
from tests.tui.fake_past import ended_jobs, kept_past
from tests.tui.fakes import NOW, busy_node, fleet_state, waiting_node

WIDTH = 100
UTIL = METRICS[0]

kinds = st.sampled_from(("zoom", "pan", "cursor", "newest"))
moves = st.lists(st.tuples(kinds, st.sampled_from((-10, -1, 1, 10))), max_size=40)


@given(moves, st.integers(20, 250), st.floats(1.7e9, 1.8e9))
def test_no_move_leads_out_of_what_is_kept(
    steps: list[tuple[str, int]], width: int, now: float
) -> None:
    window = Window()
    for what, by in steps:
        step = 1 if by > 0 else -1
        if what == "zoom":
            window = window.zoomed(step, now)
        elif what == "pan":
            window = window.panned(step, now)
        elif what == "cursor":
            window = window.moved(by, now, width)
            assert window.cursor_column(now, width) is not None  # it is always in view
        else:
            window = window.at_newest()
        now += 0.3
        column = window.column_seconds(width)
        assert window.seconds in ZOOMS
        assert window.until(now, width) <= now + column
        assert window.since(now, width) >= now - KEPT_SECONDS - 2 * column - 1
        assert window.since(now, width) / column == pytest.approx(
            round(window.since(now, width) / column), abs=0.01
        )
        if window.cursor is not None:
            assert now - KEPT_SECONDS - 1 <= window.cursor <= now


def test_a_column_stays_the_same_while_time_goes_on() -> None:
    window = Window(300)
    assert window.since(NOW, 100) == window.since(NOW + 0.9, 100)
    assert window.since(NOW + 3, 100) == window.since(NOW, 100) + 3


def test_zoom_keeps_what_the_cursor_reads_in_its_place() -> None:
    window = Window(7200)
    for _ in range(31):
        window = window.moved(-1, NOW, WIDTH)
    before = window.cursor_column(NOW, WIDTH)
    assert before == 69
    nearer = window.zoomed(-1, NOW)
    assert nearer.seconds == 1800
    assert nearer.cursor == window.cursor
    assert nearer.cursor_column(NOW, WIDTH) in (before - 1, before, before + 1)
    assert nearer.zoomed(1, NOW).cursor == window.cursor
    assert Window(ZOOMS[0]).zoomed(-1, NOW).seconds == ZOOMS[0]
    assert Window(ZOOMS[-1]).zoomed(1, NOW).seconds == ZOOMS[-1]


def test_pan_goes_back_by_halves_and_forth_to_now() -> None:
    window = Window(1800).panned(-1, NOW)
    assert window.end == NOW - 900
    assert window.panned(-1, NOW).end == NOW - 1800
    assert window.panned(1, NOW).end is None
    assert Window(KEPT_SECONDS).panned(-1, NOW).end is None  # there is nothing before


def test_the_window_follows_a_cursor_that_leaves_it() -> None:
    window = Window(300)
    for _ in range(WIDTH + 5):
        window = window.moved(-1, NOW, WIDTH)
    assert window.end is not None
    assert window.cursor_column(NOW, WIDTH) == 0
    while window.end is not None:
        window = window.moved(1, NOW, WIDTH)
    assert window.cursor is not None
    assert window.cursor <= NOW


def test_a_window_around_a_job_shows_all_of_it() -> None:
    window = Window().around(NOW - 9 * 3600, NOW - 4 * 3600, NOW)
    assert window.seconds == 43200
    assert window.since(NOW, WIDTH) <= NOW - 9 * 3600
    assert window.until(NOW, WIDTH) >= NOW - 4 * 3600
    assert Window().around(NOW - 30 * 86400, NOW, NOW) == Window(KEPT_SECONDS)


# Graphs


def test_a_graph_has_means_peaks_gaps_and_a_cursor() -> None:
    values = [Column(100, 100), Column(50, 100), None, Column(0, 0), Column(25, 25)]
    rows = plot(values, 100, 4, lambda _: Tone.LOW, Tone.AREA, 2)
    texts = [plain(row) for row in rows]
    assert texts == [f"█{PEAK}{CURSOR}  ", f"█ {CURSOR}  ", f"██{CURSOR}  ", f"██{CURSOR}▁█"]
    over_figures = plot(values, 100, 4, lambda _: Tone.LOW, Tone.AREA, 0)
    assert all(row[0].tone is Tone.INFO for row in over_figures)


@given(st.floats(0, 2e9), st.sampled_from(ZOOMS), st.integers(10, 250), st.floats(0, 1))
def test_an_axis_is_exactly_as_wide_as_its_graph(
    since: float, seconds: float, width: int, place: float
) -> None:
    assert len(plain(axis(since, seconds, width, None))) == width
    with_cursor = plain(axis(since, seconds, width, since + place * seconds))
    assert "▲" in with_cursor
    if width > 20:
        assert len(with_cursor) == width


def test_times_are_round_and_local(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain(axis(NOW - 1800, 1800, 72, None)).split() == [
        "╵13:35", "╵13:40", "╵13:45", "╵13:50", "╵13:55", "╵14:00",
    ]  # fmt: skip
    assert plain(axis(NOW - 7 * 86400, 7 * 86400, 100, None)).split("╵")[1].startswith("Wed 05")
    monkeypatch.setenv("TZ", "Asia/Kolkata")  # half an hour off
    time.tzset()
    assert "╵19:30" in plain(axis(NOW - 1800, 1800, 72, None))


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(1, (78, 21), (1, 71)), (8, (78, 21), (2, 31)), (8, (118, 36), (1, 111)),
     (16, (198, 56), (2, 91)), (8, (30, 10), (1, 23))],
)  # fmt: skip
def test_as_many_side_by_side_as_are_needed(
    count: int, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert grid(count, *size) == expected


def drawn_of(view: View, *indexes: int) -> list[Drawn]:
    state = fleet_state()
    past, node = kept_past(state, NOW), state.node("gpu-01")
    assert node is not None
    assert node.sample is not None
    return [
        Drawn(
            metric,
            index,
            columns_of(metric, past("gpu-01", index, view.since, view.until), view),
            node.sample.gpus[index],
        )
        for index in indexes
        for metric in (METRICS if len(indexes) == 1 else METRICS[:1])
    ]


@pytest.mark.parametrize("height", [2, 5, 9, 21, 57])
@pytest.mark.parametrize("seconds", ZOOMS)
def test_a_page_fits_its_room(height: int, seconds: float) -> None:
    for indexes in ((0,), (0, 1, 2, 3, 4, 5, 6, 7)):
        beside, width = grid(len(indexes), 118, height)
        beside = beside if len(indexes) > 1 else 1
        view = View(Window(seconds).moved(-1, NOW, width), NOW, width)
        lines = page(drawn_of(view, *indexes), view, beside, height, 0)
        assert len(lines) <= height
        assert all(width_of(line) <= 118 for line in lines)


def test_the_values_stand_at_the_left_and_the_figure_that_is_read_at_the_right() -> None:
    view = View(Window(1800), NOW, 71)
    text = "\n".join(map(plain, page(drawn_of(view, 0), view, 1, 21)))
    for words in ("100 %", "400 W", "100 °C", "0 °C", "utilization  mean", "peak", "╵13:40"):
        assert words in text
    assert "97 %" in text.splitlines()[0]


def test_a_figure_that_is_not_measured_says_why() -> None:
    view = View(Window(1800), NOW, 71)
    gpu = busy_node(NOW).sample.gpus[0]  # type: ignore[union-attr]
    gpu.missing["power_watts"] = "not supported"
    drawn = Drawn(METRICS[2], 0, [None] * 71, gpu)
    text = "\n".join(map(plain, page([drawn], view, 1, 6)))
    assert "not measured: not supported" in text
    text = "\n".join(map(plain, page([Drawn(UTIL, 0, [None] * 71, gpu)], view, 1, 6)))
    assert "no figures in this time" in text


def test_reading_tells_time_mean_and_peak() -> None:
    window = Window(7200)
    for _ in range(7):
        window = window.moved(-1, NOW, 111)
    view = View(window, NOW, 111)
    assert plain(reading_line(drawn_of(view, 0), view, "", 118)).startswith(
        "13:55:40 – 13:56:45  util 95 % ·100 %  mem 68 %  power 337 W"
    )
    assert "0: 95 % ·100 %  1: " in plain(reading_line(drawn_of(view, 0, 1), view, "", 118))
    nowhere = [Drawn(UTIL, 0, [None] * 111, None)]
    words = plain(reading_line(nowhere, view, "no link to gpu-01 (lost)", 118))
    assert "no figures then: no link to gpu-01 (lost)" in words


def test_the_head_says_what_and_when() -> None:
    view = View(Window(86400).panned(-1, NOW), NOW, 71)
    words = plain(head("GPU 0 on gpu-01", "A100", view, True, 90))
    for part in ("history of GPU 0 on gpu-01", "reading…", "1 d", "10 Nov 02:"):
        assert part in words
    assert width_of(head("GPU 0 on " + "x" * 90, "A100", view, False, 78)) == 78
    assert "now" in plain(head("GPU 0", "", View(Window(), NOW, 71), False, 78))


def test_seven_days_are_drawn_in_no_time() -> None:
    view = View(Window(KEPT_SECONDS), NOW, 190)
    past = kept_past(fleet_state(), NOW)("gpu-01", 0, view.since, view.until)
    assert len(past) > 900
    best = 1.0
    for _ in range(5):
        begin = time.perf_counter()
        graphs = [Drawn(m, 0, columns_of(m, past, view), None) for m in METRICS]
        page(graphs, view, 1, 56)
        best = min(best, time.perf_counter() - begin)
    assert best < 0.2  # about 15 ms on an idle machine; this one may be slow


# Words


def known(at: float, seconds: float) -> StoredPoint:
    return StoredPoint(at, seconds, Figures(50))


def test_why_there_are_no_figures() -> None:
    node = busy_node(NOW)  # lost at NOW - 3625, up again two seconds later
    points = [known(NOW - 4000, 370), StoredPoint(NOW - 3630, 10, None), known(NOW - 3620, 3600)]
    assert why_no_figures(node, points, NOW - 3625) == "no link to gpu-01 (lost)"
    assert "gpuhop was not running" in why_no_figures(node, points, NOW - 20000)
    assert why_no_figures(node, points, NOW) == "gpu-01 sent none"
    assert "no link to gpu-03 (unreachable)" in why_no_figures(waiting_node(NOW), [], NOW)
    assert "gpuhop was not running" in why_no_figures(None, [], NOW)


def test_jobs_of_a_node_those_that_go_on_first() -> None:
    node = fleet_state().node("gpu-01")
    assert node is not None
    jobs = all_jobs(node, ended_jobs(NOW))
    states = [job.state for job in jobs]
    assert states[-2:] == ["finished", "out of memory"]
    assert [job.node for job in jobs] == ["gpu-01"] * len(jobs)
    line = plain(job_line(jobs[-2], NOW, 78))
    for words in ("finished", "marie", "GPU 0-3", "5h", "python train.py"):
        assert words in line


@pytest.mark.parametrize(
    ("indexes", "words"), [((), "–"), ((3,), "3"), ((0, 1, 2, 5), "0-2,5"), ((7, 6), "6-7")]
)
def test_ranges(indexes: tuple[int, ...], words: str) -> None:
    assert index_ranges(indexes) == words


def test_a_past_job_comes_back_as_it_was() -> None:
    for job in ended_jobs(NOW):
        assert PastJob.from_json(job.to_json()) == job
    assert PastJob.from_json({}) is None
    assert PastJob.from_json({**ended_jobs(NOW)[0].to_json(), "gpus": 3}) is None
    assert LABEL == 7
