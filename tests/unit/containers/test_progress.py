"""How far pulls and builds are, from the lines that engines write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.cli.run_progress import build_line, pull_line
from gpuhop_tui.containers.build import BuildProgress
from gpuhop_tui.containers.progress import Layers, Pace, PullProgress, with_ticks


def line(identity: str, status: str, current: int | None = None, total: int | None = None) -> Any:
    detail = {} if current is None else {"current": current, "total": total}
    return {"id": identity, "status": status, "progressDetail": detail}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_speed_and_time_left() -> None:
    clock = Clock()
    layers = Layers("x:1", clock)
    assert not layers.take({"status": "Pulling from x", "id": "1"})
    layers.take(line("a", "Pulling fs layer"))
    layers.take(line("b", "Already exists"))
    layers.take(line("a", "Downloading", 0, 1000))
    assert layers.progress().bytes_per_second is None
    clock.now += 2
    layers.take(line("a", "Downloading", 400, 1000))
    progress = layers.progress()
    assert (progress.downloaded_bytes, progress.total_bytes) == (400, 1000)
    assert (progress.bytes_per_second, progress.eta_seconds) == (200.0, 3.0)
    layers.take(line("c", "Waiting"))
    assert layers.progress().eta_seconds is None, "the size of one layer is not known"
    layers.take(line("a", "Extracting", 10, 1000))
    assert layers.progress().downloaded_bytes == 1000
    assert [layer.fraction for layer in layers.progress().layers] == [0.01, 1.0, None]


STATUSES = [
    "Pulling fs layer",
    "Waiting",
    "Downloading",
    "Verifying Checksum",
    "Download complete",
    "Extracting",
    "Pull complete",
    "Already exists",
    "Retrying",
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(STATUSES),
            st.none() | st.integers(0, 100),
            st.none() | st.integers(1, 100),
        )
    )
)
def test_whatever_comes_no_figure_is_absurd(lines: list[tuple[Any, ...]]) -> None:
    layers = Layers("x:1", Clock())
    for each in lines:
        layers.take(line(*each))
        progress = layers.progress()
        assert progress.downloaded_bytes >= 0
        assert all(layer.fraction is None or 0 <= layer.fraction <= 1 for layer in progress.layers)


def test_a_pace_is_kept() -> None:
    clock = Clock()
    pace = Pace(1.0, clock)
    assert pace.due()
    assert not pace.due()
    clock.now += 1
    assert pace.due()


async def test_ticks_come_between_slow_items_and_the_end_closes_them() -> None:
    closed = asyncio.Event()

    async def items() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream = with_ticks(items(), 0.01)
    assert await anext(stream) == 1
    assert await anext(stream) is None
    await stream.aclose()
    assert closed.is_set()


def test_the_lines_on_a_terminal() -> None:
    pull = PullProgress("x:1", (), 1_500_000_000, 3_000_000_000, 85e6, 17.6)
    assert pull_line(pull) == (
        "pulling x:1  ██████████░░░░░░░░░░  0/0 layers  1.5 GB of 3.0 GB  85.0 MB/s  eta 18 s"
    )
    build = BuildProgress(
        "y:1", step=2, steps=3, instruction="RUN make", lines=("Step 2", "cc x.c")
    )
    assert build_line(build) == "building y:1  step 2/3  RUN make  cc x.c"
    assert "waiting: link lost" in build_line(BuildProgress("y:1", waiting="link lost"))
    sending = BuildProgress("y:1", sent_bytes=500, context_bytes=2000)
    assert build_line(sending) == "building y:1  sent 500 B of 2.0 kB"
