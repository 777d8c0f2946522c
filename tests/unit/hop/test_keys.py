"""What is typed: the menu key in it, reports of the terminal, keys held and keys confirmed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.hop_keys import (
    HELD_LIMIT,
    HeldKeys,
    MenuKeyFinder,
    SentKeys,
    first_key,
    parted,
    shown,
)


@pytest.mark.parametrize("key", [b"\x1d", b"\x1b[93;5u", b"\x1b[27;5;93~"])
def test_the_menu_key_in_every_encoding(key: bytes) -> None:
    assert MenuKeyFinder().feed(b"ab" + key + b"cd" + key) == [b"ab", None, b"cd", None]


@given(st.integers(1, 20))
def test_in_a_paste_the_menu_key_is_text(size: int) -> None:
    data = b"x\x1b[200~a\x1d" + b"b\x1d" * 5 + b"\x1b[201~y\x1dz"
    finder = MenuKeyFinder()
    pieces = [finder.feed(data[:12])]
    rest = data[12:]
    while rest:
        pieces.append(finder.feed(rest[:size]))
        rest = rest[size:]
    flat = [piece for part in pieces for piece in part]
    assert flat.count(None) == 1
    assert b"".join(piece or b"\x1d" for piece in flat) == data
    assert flat[-2:] == [None, b"z"] or flat[-1] is None or b"z" in flat[-1]


@given(st.binary(max_size=60).filter(lambda data: b"\x1b" not in data and b"\x1d" not in data))
def test_nothing_else_is_changed(data: bytes) -> None:
    assert b"".join(piece or b"" for piece in MenuKeyFinder().feed(data)) == data


@pytest.mark.parametrize(
    ("data", "key"),
    [(b"abc", b"a"), (b"\x1b[Ab", b"\x1b[A"), (b"\x1bOPb", b"\x1bOP"), (b"\xc3\xa9b", b"\xc3\xa9"),
     (b"\x1b[1;5Cx", b"\x1b[1;5C"), (b"\x1bx", b"\x1bx"), (b"\x1b", b"\x1b"), (b"\r\n", b"\r")],
)  # fmt: skip
def test_the_first_key_is_taken_whole(data: bytes, key: bytes) -> None:
    assert first_key(data) == key


def test_what_the_terminal_says_by_itself_is_no_key() -> None:
    reports = [
        b"\x1b[?64;1;2c", b"\x1b[>41;354;0c", b"\x1b[12;5R", b"\x1b[I", b"\x1b[O",
        b"\x1b[<35;10;5M", b"\x1b[<0;1;1m", b"\x1bP>|tmux 3.3a\x1b\\", b"\x1b]11;rgb:0/0/0\x07",
        b"\x1b[?2026;2$y", b"\x1b[?1u", b"\x1b[M !!",
    ]  # fmt: skip
    for report in reports:
        assert parted(b"a" + report + b"b") == [(False, b"a"), (True, report), (False, b"b")]
    for keys in (b"plain", b"\x1b[A", b"\x1bOP", b"\x1b[1;5A", b"\x1b[3~", b"\x1bx", b"\x1b"):
        assert parted(keys) == [(False, keys)]


def test_what_was_typed_can_be_read() -> None:
    assert shown(b"ls -la\r\x03\x7f\t\x1b[A\x1b\xc3\xa9") == "ls -la⏎^C⌫⇥↑⎋é"
    assert shown(b"\x1b[200~pasted\x1b[201~") == "pasted"


def test_held_keys_are_bounded_and_say_so() -> None:
    held = HeldKeys()
    assert held.add(b"x" * HELD_LIMIT)
    assert not held.add(b"y")
    assert held.refused
    assert "no room" in held.preview(80)
    assert len(held.take()) == HELD_LIMIT
    assert not held
    assert not held.refused


def test_keys_that_may_have_arrived_come_first_and_are_marked() -> None:
    held = HeldKeys()
    held.add(b"cd")
    held.put_back(b"ab")
    assert held.preview(80) == "4 keys held: abcd (2 may have arrived)"
    assert held.take() == b"abcd"
    held.put_back(b"a")
    assert held.preview(80) == "1 key held: a (may have arrived)"


@given(st.lists(st.one_of(st.binary(max_size=20), st.none()), max_size=30))
def test_a_round_trip_confirms_what_was_sent_before_it(steps: list[bytes | None]) -> None:
    sent, all_sent, asked, confirmed = SentKeys(), b"", None, 0
    for step in steps:
        if step is not None:
            sent.add(step)
            all_sent += step
        elif asked is None:
            asked = sent.mark
        else:
            sent.confirm(asked)
            confirmed, asked = asked, None
    assert sent.take() == all_sent[confirmed:]
    assert not sent


def test_a_great_paste_keeps_its_end() -> None:
    sent = SentKeys()
    sent.add(b"a" * HELD_LIMIT)
    mark = sent.mark
    sent.add(b"b" * 10)
    sent.confirm(mark)
    assert sent.take() == b"b" * 10
