"""The past is kept across restarts, in bounded space, whatever happens to the file."""

from __future__ import annotations

import asyncio
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.store.bins import (
    TIERS,
    Binned,
    Figures,
    OpenBins,
    joined,
    pack,
    row_of,
    tier_for,
    unpack,
)
from gpuhop_tui.fleet.store.database import Database, NewerStoreError
from gpuhop_tui.fleet.store.store import Store
from gpuhop_tui.probe.sample import Gpu, Sample

FINE = TIERS[0]
MIDDLE = TIERS[1]

figures = st.builds(
    Figures,
    st.none() | st.floats(0, 100),
    st.none() | st.floats(0, 100),
    st.none() | st.floats(0, 2000),
    st.none() | st.floats(-50, 200),
)
rows = st.dictionaries(
    st.integers(0, 255), st.builds(Binned, st.integers(1, 600), figures, figures), max_size=16
)


def sample(at: float, *utilization: int | None, power: float | None = 100.0) -> Sample:
    gpus = tuple(
        Gpu(
            index,
            utilization_percent=each,
            memory_used_bytes=40,
            memory_total_bytes=80,
            power_watts=power,
        )
        for index, each in enumerate(utilization)
    )
    return Sample("nvml", at, gpus=gpus)


@given(rows)
def test_a_row_comes_back_as_it_was(row: dict[int, Binned]) -> None:
    back = unpack(pack(row))
    assert set(back) == set(row)
    for index, binned in row.items():
        assert back[index].count == binned.count
        for part in ("figures", "peaks"):
            was, now = getattr(binned, part), getattr(back[index], part)
            for name, accuracy in zip(Figures.__slots__, (0.006, 0.006, 0.06, 0.06), strict=True):
                value = getattr(was, name)
                assert getattr(now, name) == (
                    None if value is None else pytest.approx(value, abs=accuracy)
                )
    for index in row:
        assert unpack(pack(row), index) == {index: back[index]}


@given(st.binary(max_size=200))
def test_no_row_of_bytes_does_harm(data: bytes) -> None:
    try:
        unpack(data)
    except ValueError:
        assert len(data) % 20


@given(rows, rows)
def test_the_order_of_joining_does_not_matter(
    one: dict[int, Binned], two: dict[int, Binned]
) -> None:
    ahead, back = joined((one, two)), joined((two, one))
    assert {index: each.count for index, each in ahead.items()} == {
        index: each.count for index, each in back.items()
    }
    for index, each in ahead.items():
        assert each.figures.power_watts == pytest.approx(back[index].figures.power_watts)


def test_zero_is_a_figure_and_nothing_is_none() -> None:
    row = row_of(sample(0, 0, None, power=None))
    assert row[0].figures == Figures(0, 50.0, None, None)
    assert row[1].figures.utilization_percent is None


def test_bins_end_when_time_passes_them() -> None:
    bins = OpenBins()
    assert not list(bins.add(100, row_of(sample(100, 20))))
    assert not list(bins.add(109, row_of(sample(109, 40))))
    ((tier, at, row),) = bins.add(110, row_of(sample(110, 90)))
    assert (tier, at) == (FINE, 100)
    assert row[0] == Binned(2, Figures(30, 50, 100, None), Figures(40, 50, 100, None))
    assert {tier for tier, _, _ in bins.end()} == set(TIERS)


def test_a_long_span_has_coarse_bins() -> None:
    now = 1e9
    assert tier_for(now - 300, now, now) is TIERS[0]
    assert tier_for(now - 24 * 3600, now, now) is TIERS[1]
    assert tier_for(now - 7 * 86400, now, now) is TIERS[2]
    assert tier_for(now - 24 * 3600 - 30, now, now) is TIERS[1]  # a second later than it was meant
    assert tier_for(now - 7 * 86400, now - 7 * 86400 + 60, now) is TIERS[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite3"


async def test_what_was_recorded_is_there_after_a_restart_with_its_gap(path: Path) -> None:
    now = time.time() // 10 * 10 - 100
    store = Store(path)
    await store.start()
    store.record("gpu-01", sample(now, 10))
    store.record("gpu-01", sample(now + 5, 30))
    store.record("gpu-01", sample(now + 40, 80))
    await store.close()
    store = Store(path)
    await store.start()
    points = await store.points("gpu-01", 0, now - 60, now + 60)
    told = [(p.at - now, p.seconds, p.figures and p.figures.utilization_percent) for p in points]
    assert told == [(0, 10, 20), (10, 30, None), (40, 10, 80)]
    assert points[0].peaks is not None
    assert points[0].peaks.utilization_percent == 30
    assert await store.points("gpu-01", 1, now - 60, now + 60) == []
    assert await store.points("gpu-02", 0, now - 60, now + 60) == []
    await store.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_two_programs_at_once_lose_nothing(path: Path) -> None:
    now = time.time() // 600 * 600
    stores = [Store(path), Store(path)]
    for store in stores:
        await store.start()
    stores[0].record("gpu-01", sample(now, 10))
    stores[1].record("gpu-01", sample(now + 1, 30))
    stores[1].record("gpu-02", sample(now + 1, 70))
    await asyncio.gather(*(store.close() for store in stores))
    database = Database(path)
    ((_, row),) = database.rows("gpu-01", FINE, now, now + 9)
    assert row[0] == Binned(2, Figures(20, 50, 100, None), Figures(30, 50, 100, None))
    assert database.rows("gpu-02", MIDDLE, now, now + 9)
    database.close()


async def test_a_broken_file_is_put_aside_and_said(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 1000)
    store = Store(path)
    await store.start()
    assert await store.notes("job", 0) == []
    assert store.problem is None
    assert store.notice is not None
    assert "broken" in store.notice
    store.record("gpu-01", sample(time.time(), 10))
    await store.close()
    (aside,) = path.parent.glob("*.broken-*")
    assert aside.read_bytes().startswith(b"this is no database")
    assert Database(path).rows("gpu-01", FINE, 0, time.time())


async def test_a_place_that_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "history.sqlite3")
    await store.start()
    store.record("gpu-01", sample(time.time(), 10))
    assert await store.points("gpu-01", 0, 0, time.time()) == []
    assert await store.notes("job", 0) == []
    assert store.problem is not None
    assert "the past is not kept" in store.problem
    await store.close()


def test_a_newer_file_is_left_alone(path: Path) -> None:
    database = Database(path)
    database._db.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(NewerStoreError):
        Database(path)


def test_old_bins_go_and_the_file_stays_within_its_limit(path: Path) -> None:
    limit = 256 << 10
    database = Database(path, limit)
    now = time.time()
    row = {index: Binned(5, Figures(1, 2, 3, 4), Figures(1, 2, 3, 4)) for index in range(64)}
    database.add([("old", FINE, int(now - FINE.reach) - 60, row)])
    database.add(("gpu-01", TIERS[2], int(now) - 600 * number, row) for number in range(1000))
    assert path.stat().st_size + path.with_name(path.name + "-wal").stat().st_size > limit
    database.prune(now)
    assert path.stat().st_size <= limit
    assert not database.rows("old", FINE, 0, now)
    kept = database.rows("gpu-01", TIERS[2], 0, now)
    assert kept
    assert kept[-1][0] == int(now)  # the newest stay
    database.close()


def test_notes_are_replaced_and_come_in_order(path: Path) -> None:
    database = Database(path)
    database.add([], [("job", "b", 2.0, {"name": "b"})])
    database.add([], [("job", "a", 1.0, {"name": "a"})])
    database.add([], [("job", "b", 3.0, {"name": "b", "state": "finished"})])
    second = ("b", 3.0, {"name": "b", "state": "finished"})
    assert database.notes("job", 0) == [("a", 1.0, {"name": "a"}), second]
    assert database.notes("job", 2.0) == [second]
    assert database.notes("alert", 0) == []
    database.close()


async def test_a_note_is_there_before_it_is_written_and_after_a_restart(path: Path) -> None:
    now = time.time()
    store = Store(path)
    await store.start()
    store.note("job", "b", now + 2, {"name": "b"})
    store.note("job", "a", now + 1, {"name": "a"})
    store.note("job", "b", now + 2, {"name": "b", "state": "finished"})
    expected = [{"name": "a"}, {"name": "b", "state": "finished"}]
    assert await store.notes("job", 0) == expected
    await store.close()
    store = Store(path)
    await store.start()
    assert await store.notes("job", 0) == expected
    await store.close()
