"""Reading a log: frames into lines, and readings that overlap into one."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.containers.following import FollowState
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.log_follow import ContainerLog, LogMark
from gpuhop_tui.containers.log_lines import Edge, FrameSplitter, LogLine, read_line

STAMP = "2026-01-02T03:04:05.%09dZ "
AT = 1_767_323_045 * 10**9


def frame(number: int, text: str, nanos: int = 0) -> bytes:
    payload = (STAMP % nanos + text).encode()
    return struct.pack(">BxxxL", number, len(payload)) + payload


texts = st.text(st.characters(exclude_characters="\n\r", exclude_categories=("Cs",)), max_size=20)
written = st.lists(st.tuples(st.sampled_from([1, 2]), texts), max_size=8)


@given(written, st.lists(st.integers(0, 300), max_size=8))
def test_frames_are_lines_however_they_are_cut(lines: Any, cuts: list[int]) -> None:
    whole = b"".join(frame(number, text + "\n", at) for at, (number, text) in enumerate(lines))
    splitter = FrameSplitter()
    read: list[LogLine] = []
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    for start, end in pairwise(edges):
        read += splitter.feed(whole[start:end])
    assert [(each.stream, each.text) for each in read] == [
        ({1: "stdout", 2: "stderr"}[number], text) for number, text in lines
    ]
    assert [each.at_ns for each in read] == [AT + at for at in range(len(lines))]
    assert splitter.rest() == []


def test_a_long_line_of_several_frames_is_one_and_has_one_time() -> None:
    splitter = FrameSplitter()
    read = splitter.feed(frame(1, "a" * 16384, 1) + frame(2, "between\n", 2))
    read += splitter.feed(frame(1, "b" * 16384, 3) + frame(1, "the end\n", 4))
    assert [(each.stream, len(each.text), each.at_ns) for each in read] == [
        ("stderr", 7, AT + 2),
        ("stdout", 2 * 16384 + 7, AT + 1),
    ]
    splitter.feed(frame(2, "no end", 5))
    assert [each.text for each in splitter.rest()] == ["no end"]


def test_times_are_exact_to_the_nanosecond() -> None:
    assert read_line(b"2026-01-02T03:04:05.123456789Z x").at_ns == AT + 123_456_789
    assert read_line(b"2026-01-02T04:04:05.5+01:00 x").at_ns == AT + 500_000_000
    assert read_line(b"2026-01-02T03:04:05Z x").at_ns == AT
    assert read_line(b"2026-13-02T03:04:05Z x") == LogLine(None, "2026-13-02T03:04:05Z x")


# Readings that overlap

stamped = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), min_size=1, max_size=12)


@given(stamped, st.data())
def test_a_second_reading_loses_and_doubles_no_line(steps: Any, data: Any) -> None:
    """Whatever was read before it, and from however far before the edge it begins."""
    at, log = AT, []
    for step, text in steps:
        at += step
        log.append(LogLine(at, text))
    seen = data.draw(st.integers(1, len(log)))
    edge = Edge()
    got = edge.new(log[:seen])
    since = log[seen - 1].at_ns
    assert since is not None
    since -= data.draw(st.integers(0, 5))
    again = [line for line in log if line.at_ns is not None and line.at_ns >= since]
    edge.read_again()
    cut = data.draw(st.integers(0, len(again)))
    got += edge.new(again[:cut]) + edge.new(again[cut:])
    assert got == log
    assert edge.overlapped


def test_a_gap_is_noticed() -> None:
    edge = Edge()
    edge.new([LogLine(AT, "a")])
    edge.read_again()
    assert edge.new([LogLine(AT + 9, "z")]) == [LogLine(AT + 9, "z")]
    assert not edge.overlapped


def test_the_first_reading_is_taken_as_it_is() -> None:
    edge = Edge()
    edge.read_again()
    lines = [LogLine(None, "no time"), LogLine(AT, "x"), LogLine(AT, "x")]
    assert edge.new(lines) == lines
    assert edge.overlapped


# Following


class Script:
    """Readings of a log that are played one after the other, in place of an engine's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *readings: list[list[LogLine]]) -> None:
        self.readings = list(readings)
        self.asked: list[dict[str, Any]] = []
        self.link = SimpleNamespace(connection=self._now, is_up=True)
        self.node = "gpu-01"
        monkeypatch.setattr("gpuhop_tui.containers.log_follow.log_batches", self._batches)
        monkeypatch.setattr("gpuhop_tui.containers.following.look", self._look)

    async def _now(self) -> None:
        pass

    async def _look(self, _engine: Any, container: Any) -> Any:
        return container

    async def _batches(
        self, _engine: Any, _container: Any, **how: Any
    ) -> AsyncGenerator[list[LogLine], None]:
        self.asked.append(how)
        yield []
        for batch in self.readings.pop(0) if self.readings else []:
            yield batch
            await asyncio.sleep(0)
        if how["follow"]:
            await asyncio.Event().wait()  # it goes on


@asynccontextmanager
async def following(
    script: Script, clock: Callable[[], float]
) -> AsyncIterator[tuple[ContainerLog, Callable[[Callable[[], object]], Awaitable[None]]]]:
    facts = {"State": {"Status": "running"}, "Id": "1", "Name": "/it"}
    log = ContainerLog(script, read_container("gpu-01", facts), clock)  # type: ignore[arg-type]

    async def until(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            async for _ in log.changes():
                if condition():
                    return

    log.start()
    try:
        yield log, until
    finally:
        await log.close()


def many(first: int, count: int, seconds: float) -> list[LogLine]:
    """Lines of that time, `first` the number of the first."""
    at = int(seconds * 1e9)
    return [LogLine(at + number, f"line {first + number}") for number in range(count)]


async def test_what_is_far_behind_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(
        monkeypatch,
        [many(0, 256, 1000.0), many(256, 256, 960.0)],  # the second came 40 s late
        [many(9000, 100, 999.0), many(9100, 1, 1000.0)],
    )
    async with following(script, lambda: 1000.0) as (log, until):
        await until(lambda: any(each.text == "line 9100" for each in log.entries))
        marks = [each.text for each in log.entries if isinstance(each, LogMark)]
        assert len(marks) == 1
        assert "39.0 s of lines left out" in marks[0]
        assert script.asked[1]["since_ns"] is None  # from the end, not from where it was
        await until(lambda: log.view.state is FollowState.LIVE)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuhop_tui.containers.log_follow.LINES", 300)
    script = Script(monkeypatch, [many(200 * n, 200, 1000.0 + n) for n in range(5)])
    async with following(script, lambda: 1005.0) as (log, until):
        await until(lambda: log.entries and log.entries[-1].text == "line 999")
        assert len(log.entries) == 300
        assert log.view.dropped == 700
        assert log.entries[0].text == "line 700"


async def test_very_long_lines_are_bounded_by_their_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gpuhop_tui.containers.log_follow.CHARACTERS", 5000)
    lines = [LogLine(AT + number, "x" * 1000) for number in range(50)]
    async with following(Script(monkeypatch, [lines]), lambda: AT / 1e9) as (log, until):
        await until(lambda: log.view.dropped == 40)
        assert len(log.entries) == 10
