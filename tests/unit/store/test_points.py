"""Points and gaps: from bins, from memory, both joined, and added up for a graph's columns."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.store.bins import TIERS, Binned, Figures, Row
from gpuhop_tui.fleet.store.columns import Column, columns
from gpuhop_tui.fleet.store.export import COLUMNS, to_csv, to_json
from gpuhop_tui.fleet.store.points import StoredPoint, gap_at, joined, points_of

FINE = TIERS[0]


def bins(*times: int, count: int = 5) -> list[tuple[int, Row]]:
    return [(at, {0: Binned(count, Figures(at % 100), Figures(99))}) for at in times]


def point(at: float, seconds: float, value: float | None, peak: float | None = None) -> StoredPoint:
    if value is None:
        return StoredPoint(at, seconds, None)
    return StoredPoint(at, seconds, Figures(value), Figures(peak if peak is not None else value))


def spans(points: list[StoredPoint]) -> list[tuple[float, float, bool]]:
    return [(each.at, each.seconds, each.figures is not None) for each in points]


def test_bins_stand_side_by_side_and_a_gap_is_a_gap() -> None:
    points = points_of(FINE, bins(100, 110, 150), 0)
    assert spans(points) == [
        (100, 10, True), (110, 10, True), (120, 30, False), (150, 10, True),
    ]  # fmt: skip
    assert points_of(FINE, bins(100), 1) == []
    assert points_of(FINE, [], 0) == []


def test_samples_rarer_than_bins_make_no_gaps_but_a_lost_link_does() -> None:
    times = [*range(0, 600, 60), *range(1200, 1500, 60)]
    points = points_of(FINE, bins(*times, count=1), 0)
    assert [each.figures is None for each in points].count(True) == 1
    (gap,) = [each for each in points if each.figures is None]
    assert (gap.at, gap.at + gap.seconds) == (550, 1200)


def test_memory_is_finer_and_each_moment_is_there_once() -> None:
    kept = [point(0, 10, 1), point(10, 10, 2), point(20, 10, 3)]
    recent = [point(14, 2, 5), point(16, 2, 6), point(18, 4, 7), point(22, 2, 8)]
    assert spans(joined(kept, recent, 0, 100)) == [(0, 10, True), (10, 10, True), (22, 2, True)]
    assert joined([], recent, 0, 100) == recent
    assert joined(kept, [], 0, 15) == kept[:2]
    assert spans(joined(kept[:1], recent, 0, 100))[:3] == [
        (0, 10, True),
        (10, 4, False),
        (14, 2, True),
    ]


@given(
    st.lists(st.booleans(), max_size=30),
    st.lists(st.booleans(), max_size=30),
    st.integers(0, 290),
)
def test_what_is_joined_never_overlaps(old: list[bool], new: list[bool], begin: int) -> None:
    kept = [point(10 * n, 10, 1 if known else None) for n, known in enumerate(old)]
    recent = [point(begin + 2 * n, 2, 2 if known else None) for n, known in enumerate(new)]
    result = joined(kept, recent, 0, 1000)
    assert all(a.at + a.seconds <= b.at for a, b in pairwise(result))
    if recent:
        assert result[-1].at >= recent[-1].at or result[-1].at + result[-1].seconds > recent[-1].at


def test_the_gap_around_a_moment() -> None:
    points = [point(0, 10, 1), point(10, 30, None), point(40, 10, 2)]
    assert gap_at(points, 20) == (10, 40)
    assert gap_at(points, 5) is None
    assert gap_at(points, 60) is None


def test_a_column_has_the_mean_by_time_and_the_highest() -> None:
    points = [point(0, 10, 10, 20), point(10, 30, 50, 90)]
    assert columns(points, "utilization_percent", 0, 40, 1) == [Column(40, 90)]
    assert columns(points, "utilization_percent", 0, 20, 2) == [Column(30, 90), Column(50, 90)]


def test_nothing_is_drawn_across_a_gap() -> None:
    points = [point(0, 10, 10), point(10, 20, None), point(30, 10, 30)]
    values = columns(points, "utilization_percent", 0, 10, 5)
    assert values == [Column(10, 10), None, None, Column(30, 30), None]
    assert columns(points, "power_watts", 0, 10, 5) == [None] * 5


def test_a_coarse_point_fills_all_of_its_columns() -> None:
    assert columns([point(3, 600, 7)], "utilization_percent", 0, 10, 20) == [Column(7, 7)] * 20


@given(
    st.lists(st.tuples(st.floats(-50, 400), st.floats(0, 100), st.none() | st.floats(0, 100))),
    st.floats(1, 50),
    st.integers(1, 60),
)
def test_means_are_within_what_was_measured(
    told: list[tuple[float, float, float | None]], seconds: float, width: int
) -> None:
    points = [point(at, length, value) for at, length, value in told]
    values = columns(points, "utilization_percent", 0, seconds, width)
    known = [value for _, _, value in told if value is not None]
    assert len(values) == width
    for value in values:
        if value is not None:
            assert min(known) - 1e-6 <= value.mean <= value.peak + 1e-6
            assert value.peak <= max(known) + 1e-6


PAST = {
    ("gpu-01", 0): [point(1000, 10, 12.345, 20), point(1010, 30, None), point(1040, 10, 0.0)],
    ('odd,"name', 3): [point(1000, 10, 1)],
}


def test_csv_is_read_by_others() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(PAST))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["at"] for row in rows] == ["1000", "1040", "1000"]
    assert rows[0]["time"] == "1970-01-01T00:16:40Z"
    assert (rows[0]["utilization_percent"], rows[0]["utilization_percent_max"]) == ("12.35", "20")
    assert rows[1]["utilization_percent"] == "0.0"
    assert rows[0]["power_watts"] == ""
    assert rows[2]["node"] == 'odd,"name'


def test_json_tells_gaps() -> None:
    whole = json.loads(to_json(PAST))
    assert whole["schema"] == 1
    (first, _) = whole["nodes"]
    assert first["name"] == "gpu-01"
    (gpu,) = first["gpus"]
    assert [each["utilization_percent"] for each in gpu["points"]] == [
        pytest.approx(12.35), None, 0.0,
    ]  # fmt: skip
