"""Messages out of bytes, whatever the bytes are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.ssh.guard.wire import (
    MAX_MESSAGE,
    Fields,
    Messages,
    WireError,
    describe,
    framed,
    string,
)

MESSAGES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


@given(MESSAGES, st.data())
def test_messages_come_out_however_they_are_cut(messages, data):
    stream = b"".join(map(framed, messages))
    taken, found = Messages(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += taken.feed(stream[:size])
        stream = stream[size:]
    assert found == messages


@given(st.binary(max_size=600))
def test_garbage_raises_nothing_but_wire_errors(garbage):
    try:
        for message in Messages().feed(garbage):
            assert message
            describe(message)
    except WireError:
        pass


@pytest.mark.parametrize("length", [0, MAX_MESSAGE + 1, 2**32 - 1])
def test_an_impossible_length_ends_the_stream_at_once(length):
    with pytest.raises(WireError, match=str(length)):
        Messages().feed(length.to_bytes(4))


@given(st.binary(max_size=200), st.lists(st.sampled_from(["byte", "uint32", "string", "text"])))
def test_fields_of_garbage(garbage, wanted):
    fields = Fields(garbage)
    try:
        for kind in wanted:
            getattr(fields, kind)()
    except WireError:
        pass


@given(st.lists(st.binary(max_size=50)))
def test_fields_read_what_was_written(values):
    fields = Fields(b"".join(map(string, values)))
    assert [fields.string() for _ in values] == values
    fields.end()


def test_nothing_may_be_left():
    fields = Fields(string(b"x") + b"y")
    fields.string()
    with pytest.raises(WireError):
        fields.end()


def test_what_is_asked_for_is_said_without_what_is_in_it():
    secret = b"secret"
    assert describe(b"\x11" + secret) == "add a key"
    assert describe(b"\x16" + secret) == "lock the agent"
    assert describe(b"\xc8" + secret) == "unknown request 200"
    assert describe(b"\x1b" + string(b"query@x") + secret) == "extension query@x"
    assert describe(b"\x1b\xff") == "extension without a name"
