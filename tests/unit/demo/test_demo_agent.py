"""The demo's agent: one key that it lists and signs with, and nothing else that it does."""

from __future__ import annotations

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.demo.agent import DemoAgent

KEY = asyncssh.generate_private_key("ssh-ed25519")
AGENT = DemoAgent(KEY, "demo")
FAILURE = b"\x05"


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def test_it_lists_its_key() -> None:
    assert AGENT.answer(b"\x0b") == (
        b"\x0c\x00\x00\x00\x01" + string(KEY.public_data) + string(b"demo")
    )


def test_it_signs_with_its_key() -> None:
    answer = AGENT.answer(b"\x0d" + string(KEY.public_data) + string(b"data") + b"\0\0\0\0")
    assert answer[:1] == b"\x0e"
    signature = answer[5:]
    assert answer[1:5] == len(signature).to_bytes(4, "big")
    assert KEY.convert_to_public().verify(b"data", signature)


def test_it_signs_with_no_other_key() -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    assert AGENT.answer(b"\x0d" + string(other.public_data) + string(b"data")) == FAILURE


@pytest.mark.parametrize("type_", [17, 18, 19, 20, 21, 22, 23, 25, 26, 27])
def test_it_refuses_whatever_would_change_it(type_: int) -> None:
    assert AGENT.answer(bytes([type_]) + string(KEY.public_data)) == FAILURE


@given(st.binary(max_size=200))
def test_garbage_is_refused(message: bytes) -> None:
    if message[:1] != b"\x0b":
        assert AGENT.answer(message) == FAILURE
