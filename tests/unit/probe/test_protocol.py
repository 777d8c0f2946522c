"""The wire: lines, merge patches, and what a broken or hostile node may send."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.probe.protocol import Follower, Lines, OutOfStepError, merge, parse_line
from gpuhop_tui.probe.remote.delta import merge_patch

KEYS = st.text(max_size=3)
LEAVES = st.one_of(st.booleans(), st.integers(-3, 3), st.text(max_size=3), st.floats(0, 2))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(KEYS, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)


@given(old=DOCUMENTS, new=DOCUMENTS)
def test_a_patch_leads_from_the_old_document_to_the_new(old: Any, new: Any) -> None:
    patch = json.loads(json.dumps(merge_patch(old, new)))
    assert merge(old, patch) == new


@given(document=DOCUMENTS)
def test_a_document_without_changes_gives_an_empty_patch(document: Any) -> None:
    assert merge_patch(document, json.loads(json.dumps(document))) == {}


@given(old=DOCUMENTS, new=DOCUMENTS)
def test_merging_changes_no_document_in_place(old: Any, new: Any) -> None:
    before = json.dumps(old)
    merge(old, merge_patch(old, new))
    assert json.dumps(old) == before


def test_merging_keeps_what_the_patch_does_not_touch_as_the_same_objects() -> None:
    document = {"gpus": {"0": {"a": 1}, "1": {"a": 1}}}
    merged = merge(document, {"gpus": {"0": {"a": 2}}})
    assert merged["gpus"]["1"] is document["gpus"]["1"]
    assert merged["gpus"]["0"] == {"a": 2}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7396, appendix A, those whose target is an object
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_as_the_rfc_has_it(target: Any, patch: Any, result: Any) -> None:
    assert merge(target, patch) == result


@given(
    parts=st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=8),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_lines_do_not_depend_on_how_they_arrive(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(part + b"\n" for part in parts)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    lines = Lines()
    pieces = itertools.pairwise(places)
    found = [line for start, end in pieces for line in lines.feed(data[start:end])]
    assert found == parts


def test_an_endless_line_is_thrown_away_as_it_comes_and_the_next_is_read() -> None:
    lines = Lines(longest=10)
    assert lines.feed(b"x" * 8) == []
    assert lines.feed(b"x" * 8) == []
    assert lines.feed(b"xxx\nshort\n") == [b"short"]
    assert lines.too_long == 1


def test_a_line_that_comes_byte_by_byte_costs_no_more_than_its_length() -> None:
    lines = Lines(longest=50_000)
    tracemalloc.start()
    try:
        for _ in range(50_001):
            lines.feed(b"x")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 150_000
    assert lines.too_long == 1


@given(line=st.binary(max_size=80))
def test_any_bytes_are_read_as_a_line_without_a_word(line: bytes) -> None:
    assert parse_line(line) is None or b"gpuhop" in line or b"\\u" in line


@pytest.mark.parametrize(
    "line",
    [
        b"Welcome to gpu-01!",
        b'{"gpuhop":2,"seq":1,"full":{}}',
        b'{"seq":1,"full":{}}',
        b'{"gpuhop":1,"seq":1,"full":{"time":NaN}}',
        b'{"gpuhop":1,"seq":1,"full":{',
        b'{"gpuhop":1,"seq":' + b"9" * 10_000 + b"}",
        b'{"gpuhop":1,"full":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"gpuhop":1,"x":"\xff\xfe"}',
        b"[1]",
        b"{}",
    ],
)
def test_lines_that_are_not_ours(line: bytes) -> None:
    assert parse_line(line) is None


def test_a_gap_keeps_the_document_and_asks_for_a_whole_one() -> None:
    follower = Follower()
    follower.follow({"seq": 1, "full": {"a": 1}}, 10)
    with pytest.raises(OutOfStepError):
        follower.follow({"seq": 3, "patch": {"a": 3}}, 10)
    assert follower.document == {"a": 1}
    with pytest.raises(OutOfStepError):  # and again, until the whole one is there
        follower.follow({"seq": 4, "patch": {"a": 4}}, 10)
    assert follower.follow({"seq": 5, "full": {"a": 5}}, 10) == {"a": 5}
    assert follower.follow({"seq": 6, "patch": {"b": 6}}, 10) == {"a": 5, "b": 6}


@pytest.mark.parametrize(
    "message",
    [
        {"seq": 2, "patch": [1]},
        {"seq": 2, "patch": None},
        {"seq": "2", "patch": {}},
        {"seq": True, "patch": {}},
        {"patch": {}},
        {"seq": 2, "full": 7},
    ],
)
def test_a_patch_that_makes_no_sense(message: Any) -> None:
    follower = Follower()
    follower.follow({"seq": 1, "full": {"a": 1}}, 10)
    with pytest.raises(OutOfStepError):
        follower.follow(message, 10)
    assert follower.document == {"a": 1}


@pytest.mark.parametrize("kind", ["full", "patch"])
def test_a_document_that_is_nested_too_deeply_to_merge(kind: str) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    follower = Follower()
    follower.follow({"seq": 1, "full": {"b": 1}}, 10)
    with pytest.raises(OutOfStepError):
        follower.follow({"seq": 2, kind: deep}, 10)
    assert follower.document == {"b": 1}


def test_patches_cannot_grow_the_document_for_ever() -> None:
    follower = Follower()
    follower.follow({"seq": 1, "full": {}}, 10)
    follower.follow({"seq": 2, "patch": {"a": 1}}, 10 << 20)
    with pytest.raises(OutOfStepError):
        follower.follow({"seq": 3, "patch": {"b": 1}}, 10 << 20)
    assert follower.follow({"seq": 4, "full": {"c": 1}}, 10) == {"c": 1}
