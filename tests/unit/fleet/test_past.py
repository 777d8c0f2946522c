"""The past of a fleet: memory and store as one, over a restart, and two programs at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.past import Past
from tests.unit.store.test_store import sample


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


async def utilization(past: Past, since: float, until: float) -> list[float | None]:
    points = await past.points("gpu-01", 0, since, until)
    return [point.figures and point.figures.utilization_percent for point in points]


async def test_without_a_file_the_past_is_that_of_this_run() -> None:
    past = Past(None)
    await past.start()
    past.record("gpu-01", sample(100, 10))
    past.record("gpu-01", sample(102, 20))
    past.gap("gpu-01")
    now = time.time()
    assert await utilization(past, 0, now + 1) == [10, 20, None]
    assert await past.jobs() == []
    assert await past.gpus("gpu-01") == []
    assert (past.problem, past.notice) == ("", "")
    await past.close()


async def test_after_a_restart_both_runs_are_there_with_a_gap_between(path: Path) -> None:
    now = time.time() // 10 * 10 - 200
    first = Past(path)
    await first.start()
    for number in range(5):
        first.record("gpu-01", sample(now + 2 * number, 30))
    await first.close()

    second = Past(path)
    await second.start()
    second.record("gpu-01", sample(now + 100, 80))
    second.record("gpu-01", sample(now + 102, 90))
    assert await utilization(second, now - 10, now + 150) == [30, None, 80, 90]
    # the graphs of the dashboard begin with it too
    recent = [value for _, value, _ in second.recent("gpu-01", 0)]
    assert recent == [30, None, 80, 90]
    assert await second.gpus("gpu-01") == [0]
    await second.close()


async def test_two_programs_at_once_see_what_the_other_has_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuhop_tui.fleet.past.CLOSE_SECONDS", 60.0)  # a busy machine may be slow
    now = time.time() // 600 * 600
    pasts = [Past(path), Past(path)]
    for past in pasts:
        await past.start()
    pasts[0].record("gpu-01", sample(now + 1, 10))
    pasts[1].record("gpu-01", sample(now + 301, 50))
    for past in pasts:
        await past.close()
    third = Past(path)
    await third.start()
    assert await utilization(third, now, now + 400) == [10, None, 50]
    assert await utilization(third, now - 6 * 86400, now + 600) == [30]  # one bin of ten minutes
    await third.close()


def ended(**more: object) -> Job:
    fields: dict[str, object] = {
        "gpus": (0, 1), "name": "python train.py", "user": "marie", "state": JobState.FAILED,
        "ended_at": time.time() - 60, "exit_code": 1, "reason": "exit status 1",
    }  # fmt: skip
    return Job("gpu-01", 77, time.time() - 600, **(fields | more))  # type: ignore[arg-type]


async def test_a_job_that_ended_is_listed_after_a_restart_once(path: Path) -> None:
    past = Past(path)
    await past.start()
    job = ended()
    for _ in range(3):
        past.saw_jobs([job, ended(state=JobState.RUNNING, ended_at=None)])
    await past.close()
    past = Past(path)
    await past.start()
    (kept,) = await past.jobs()
    assert (kept.name, kept.user, kept.gpus, kept.state) == (
        "python train.py", "marie", (0, 1), "failed",
    )  # fmt: skip
    assert kept.ended_at == job.ended_at
    await past.close()


async def test_closing_does_not_wait_for_a_file_that_does_not_answer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuhop_tui.fleet.past.CLOSE_SECONDS", 0.05)
    past = Past(path)
    await past.start()
    assert await past.jobs() == []
    store = past._store
    assert store is not None
    event = threading.Event()
    store._thread.submit(event.wait, 30)
    past.record("gpu-01", sample(time.time(), 10))
    begin = time.monotonic()
    await past.close()
    assert time.monotonic() - begin < 10
    event.set()
