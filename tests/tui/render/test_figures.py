"""Units, bars, graphs and columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.tui.render.bars import area, bar, mini, resample, tone_of
from gpuhop_tui.tui.render.columns import GAP, Column, choose, heading, row
from gpuhop_tui.tui.render.line import Span, Tone, plain, width_of
from gpuhop_tui.tui.render.units import (
    age,
    brief,
    clock,
    duration,
    figure,
    gib,
    moment,
    plural,
    rtt,
    size,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("seconds", "words", "short"),
    [
        (-3, "0 s", "0s"),
        (0, "0 s", "0s"),
        (59.9, "59 s", "59s"),
        (60, "1 min", "1m"),
        (3599, "59 min", "59m"),
        (3600, "1 h", "1h"),
        (11520, "3 h 12 min", "3h 12m"),
        (86400, "1 d", "1d"),
        (187200, "2 d 4 h", "2d 4h"),
        (86400 * 100 + 3600, "100 d 1 h", "100d"),
    ],
)
def test_durations(seconds: float, words: str, short: str) -> None:
    assert duration(seconds) == words
    assert brief(seconds) == short
    assert age(seconds) == f"{words} old"


def test_zero_is_a_figure_and_none_is_not() -> None:
    assert (gib(0), size(0), figure(0, " %"), rtt(0.0)) == ("0", "0 M", "0 %", "0.0 ms")
    assert {gib(None), size(None), figure(None), rtt(None)} == {"–"}


def test_bytes() -> None:
    assert [gib(int(g * GIB)) for g in (0.4, 9.6, 54, 80)] == ["0.4", "9.6", "54", "80"]
    assert size(812 << 20) == "812 M"
    assert size(54 * GIB) == "54 G"
    assert size(1800 * GIB) == "1.8 T"


def test_times() -> None:
    assert clock(1_762_869_731.0) == "14:02:11"
    assert moment(1_762_869_731.0, 1_762_869_800.0) == "14:02:11"
    assert moment(1_762_869_731.0, 1_762_969_800.0) == "11 Nov 14:02"
    assert [rtt(s) for s in (0.0004, 0.018, 1.24)] == ["0.4 ms", "18 ms", "1.2 s"]
    assert [plural(n, "GPU") for n in (0, 1, 2)] == ["0 GPUs", "1 GPU", "2 GPUs"]


@given(st.none() | st.floats(-10, 200), st.integers(0, 50))
def test_a_bar_has_its_width(percent: float | None, width: int) -> None:
    assert width_of(bar(percent, width, Tone.LOW)) == width


def test_bars_are_exact_to_half_a_cell() -> None:
    assert plain(bar(50, 4, Tone.LOW)) == "━━──"
    assert plain(bar(62, 4, Tone.LOW)) == "━━╾─"
    assert plain(bar(100, 4, Tone.LOW)) == "━━━━"
    assert plain(bar(0, 4, Tone.LOW)) == "────"
    assert plain(bar(1, 4, Tone.LOW)) == "╾───"
    assert plain(bar(None, 4, Tone.LOW)) == "····"


def test_minis_rise_with_use() -> None:
    heights = [mini(percent) for percent in (-5, 0, 13, 26, 38, 51, 63, 76, 88, 100, 130)]
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == ("▁", "█")


def test_each_step_of_use_has_a_tone_of_its_own() -> None:
    steps = [tone_of(percent) for percent in (None, 0, 20, 60, 90)]
    assert steps == [Tone.DIM, Tone.IDLE, Tone.LOW, Tone.MID, Tone.HIGH]


def test_area_draws_gaps_as_nothing_and_zero_as_a_line() -> None:
    rows = area([None, 0, 50, 100], 2, tone_of, Tone.AREA)
    assert [plain(row) for row in rows] == ["   █", " ▁██"]
    assert Span("█", Tone.AREA) in rows[1]


def test_resample_takes_means_and_keeps_gaps() -> None:
    points: list[tuple[float, float | None]] = [(0, 10), (1, 20), (2, None), (3, None), (4, 40)]
    assert resample(points, end=5, seconds=6, width=3) == [15, None, 40]
    assert resample(points, end=5, seconds=6, width=6) == [10, 20, None, None, 40, 40]


def test_resample_does_not_invent_a_past() -> None:
    assert resample([(95, 7.0)], end=100, seconds=60, width=6)[:5] == [None] * 5
    assert resample([], end=100, seconds=60, width=3) == [None] * 3


COLUMNS = (
    Column("a", "A", 4),
    Column("b", "B", 4, rank=2, grow=1, most=6),
    Column("c", "C", 4, rank=1, grow=1, align="right"),
)


def test_the_least_important_column_goes_first() -> None:
    assert [c.key for c in choose(COLUMNS, 16)] == ["a", "b", "c"]
    assert [c.key for c in choose(COLUMNS, 15)] == ["a", "c"]
    assert [c.key for c in choose(COLUMNS, 9)] == ["a"]
    assert [c.key for c in choose(COLUMNS, 1)] == ["a"]


def test_luxury_goes_before_comfort() -> None:
    columns = (*COLUMNS[:2], Column("d", "D", 4, rank=5), Column("e", "E", 4, comfort=8, grow=1))
    assert [c.key for c in choose(columns, 26)] == ["a", "b", "d", "e"]
    assert [c.key for c in choose(columns, 25)] == ["a", "b", "e"]
    assert [c.key for c in choose(columns, 16)] == ["a", "b", "e"]


@given(st.integers(16, 100))
def test_columns_fill_the_width(width: int) -> None:
    columns = choose(COLUMNS, width)
    assert sum(c.width for c in columns) + GAP * (len(columns) - 1) == width
    assert columns[1].width <= 6
    assert width_of(heading(columns)) == width
    assert width_of(row(columns, {"a": (Span("too long for it"),)})) == width


def test_rows_align_and_leave_absent_cells_empty() -> None:
    text = plain(row(choose(COLUMNS, 16), {"a": (Span("x"),), "c": (Span("9"),)}))
    assert text == "x" + " " * 14 + "9"
