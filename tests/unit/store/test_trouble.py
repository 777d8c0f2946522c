"""What happens to the file while it is open: broken, taken away, no room, held by another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gpuhop_tui.fleet.store import store as store_module
from gpuhop_tui.fleet.store.bins import TIERS
from gpuhop_tui.fleet.store.database import Database
from gpuhop_tui.fleet.store.store import Store
from tests.unit.store.test_store import sample

FINE = TIERS[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite3"


@pytest.fixture
async def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """An open one that writes often."""
    monkeypatch.setattr(store_module, "WRITE_SECONDS", 0.02)
    store = Store(path)
    await store.start()
    yield store
    await store.close()


async def until(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


def fill(store: Store, count: int = 200, node: str = "gpu-01", gpus: int = 8) -> float:
    """Records samples of the last minutes; returns when they begin."""
    begin = time.time() // 10 * 10 - 10 * count
    for number in range(count):
        store.record(node, sample(begin + 10 * number, *[number % 100] * gpus))
    return begin


def kept(path: Path, node: str = "gpu-01") -> int:
    """How many fine bins the file holds, as another program sees it."""
    try:
        database = Database(path, read_only=True)
        try:
            return len(database.rows(node, FINE, 0, time.time() + 100))
        finally:
            database.close()
    except sqlite3.Error:
        return 0


async def test_what_is_not_written_yet_is_read_too(path: Path) -> None:
    store = Store(path)
    await store.start()
    begin = fill(store, 5)
    points = await store.points("gpu-01", 0, begin, begin + 100)
    assert [point.figures and point.figures.utilization_percent for point in points] == [*range(5)]
    await store.close()


async def test_a_file_that_breaks_while_it_is_open_is_put_aside(store: Store, path: Path) -> None:
    changes: list[str | None] = []
    store._changed = lambda: changes.append(store.notice)
    begin = fill(store, 600, gpus=32)
    await until(lambda: kept(path) >= 599)
    assert store._db is not None
    database = store._db._db
    for pragma in ("wal_checkpoint(TRUNCATE)", "cache_size = 1"):  # nothing is left in memory
        database.execute(f"PRAGMA {pragma}").fetchall()
    with path.open("r+b") as file:  # the inode stays
        file.write(b"\xff" * path.stat().st_size)
    await store.points("gpu-01", 0, begin, time.time())
    fill(store, node="gpu-02")
    await until(lambda: kept(path, "gpu-02") >= 199)
    assert store.problem is None
    assert store.notice is not None
    assert "was broken" in store.notice
    assert changes
    (aside,) = path.parent.glob("*.broken-*")
    assert aside.read_bytes().startswith(b"\xff")


async def test_a_file_that_is_taken_away_is_made_anew(store: Store, path: Path) -> None:
    fill(store)
    await until(lambda: kept(path) >= 199)
    for each in path.parent.glob(path.name + "*"):
        each.unlink()
    fill(store, node="gpu-02")
    await until(lambda: kept(path, "gpu-02") >= 199)
    assert store.problem is None


async def test_a_file_that_another_holds_is_waited_for_and_nothing_is_lost(
    store: Store, path: Path
) -> None:
    await until(path.exists)
    assert await store.notes("job", 0) == []
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begin = fill(store, 20)
    assert len(await store.points("gpu-01", 0, begin, begin + 300)) == 20
    assert store.problem is None
    other.execute("COMMIT")
    other.close()
    await until(lambda: kept(path) >= 19)


def fill_disk(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a disk that is small")
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=192k"]
    if subprocess.run(["mount", *options, "tmpfs", place], check=False).returncode:
        pytest.skip("may not mount")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


async def test_a_full_disk_is_said_and_later_nothing_is_missing(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "WRITE_SECONDS", 0.02)
    ballast = small_disk / "ballast"
    path = small_disk / "history.sqlite3"
    store = Store(path)
    await store.start()
    fill(store, 20)
    await until(lambda: kept(path) >= 19)
    fill_disk(ballast)
    begin = fill(store, 300, node="gpu-02")
    await until(lambda: store.problem)
    assert store.problem is not None
    assert "the past is not kept" in store.problem
    assert str(path) in store.problem
    assert len(await store.points("gpu-02", 0, begin, begin + 5000)) >= 299  # they wait
    ballast.unlink()
    remount = ["mount", "-o", "remount,size=8m", small_disk]
    await asyncio.to_thread(subprocess.run, remount, check=True)
    await until(lambda: kept(path, "gpu-02") >= 299)
    await until(lambda: store.problem is None)
    await store.close()


async def test_a_disk_that_is_full_from_the_beginning(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "WRITE_SECONDS", 0.02)
    ballast = small_disk / "ballast"
    fill_disk(ballast)
    path = small_disk / "history.sqlite3"
    store = Store(path)
    await store.start()
    fill(store, 20)
    await until(lambda: store.problem)
    ballast.unlink()
    await until(lambda: kept(path) >= 19)
    assert store.problem is None
    await store.close()
