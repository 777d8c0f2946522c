"""Reading a log: frames into lines, and readings that overlap into one."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

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
