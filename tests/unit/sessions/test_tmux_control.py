"""Control mode's talk, in any portions, and what is said in between."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.tail_snapshot import unescaped
from gpuhop_tui.sessions.tmux_control import ControlClient, ControlError


class Process:
    """A control client whose words the test gives."""

    def __init__(self) -> None:
        self.stdin = self
        self.stdout = self
        self.written: list[bytes] = []
        self._said: asyncio.Queue[bytes] = asyncio.Queue()

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def say(self, *lines: bytes) -> None:
        self._said.put_nowait(b"".join(line + b"\n" for line in lines))

    def say_raw(self, data: bytes) -> None:
        self._said.put_nowait(data)

    def end(self) -> None:
        self._said.put_nowait(b"")

    async def read(self, _: int) -> bytes:
        return await self._said.get()


class Talk:
    def __init__(self) -> None:
        self.process = Process()
        self.heard: list[object] = []
        self.client = ControlClient(
            self.process, lambda name, rest: self.heard.append((name, rest))
        )
        self.reader = asyncio.create_task(self.client.read())

    async def asked(self, *commands: str) -> asyncio.Task[list[list[bytes]]]:
        task = asyncio.create_task(
            self.client.ask(*commands, at_end=lambda: self.heard.append("end"))
        )
        await asyncio.sleep(0)
        return task


async def test_answers_and_notices_in_their_order() -> None:
    talk = Talk()
    talk.process.say(b"%begin 1 10 0", b"%end 1 10 0", b"%session-changed $0 a b")
    answer = await talk.asked("one", "two")
    assert talk.process.written == [b"one ; two\n"]
    talk.process.say(b"%output %0 before", b"%begin 1 11 1", b"x", b"%end 9 9 1", b"%end 1 11 1")
    talk.process.say(b"%begin 1 12 1", b"%end 1 12 1", b"%output %0 after")
    assert await answer == [[b"x", b"%end 9 9 1"], []]
    talk.process.end()
    assert await talk.reader == ""
    assert talk.heard == [
        ("session-changed", b"$0 a b"),
        ("output", b"%0 before"),
        "end",
        ("output", b"%0 after"),
    ]


async def test_a_refusal_and_the_next_question() -> None:
    talk = Talk()
    answer = await talk.asked("one", "two")
    talk.process.say(b"%begin 1 1 1", b"can't find pane: %9", b"%error 1 1 1")
    with pytest.raises(ControlError, match="can't find pane: %9"):
        await answer
    answer = await talk.asked("three")
    talk.process.say(b"%begin 1 2 1", b"%end 1 2 1", b"%exit lost server")
    assert await answer == [[]]
    assert await talk.reader == "lost server"


async def test_the_end_leaves_nobody_waiting() -> None:
    talk = Talk()
    answer = await talk.asked("one")
    talk.process.end()
    with pytest.raises(ConnectionError):
        await answer


async def test_only_one_question_is_under_way() -> None:
    talk = Talk()
    first, second = await talk.asked("one"), await talk.asked("two")
    assert talk.process.written == [b"one\n"]
    talk.process.say(b"%begin 1 1 1", b"a", b"%end 1 1 1")
    assert await first == [[b"a"]]
    await asyncio.sleep(0)
    assert talk.process.written == [b"one\n", b"two\n"]
    talk.process.say(b"%begin 1 2 1", b"b", b"%end 1 2 1")
    assert await second == [[b"b"]]
    talk.reader.cancel()


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_words_in_any_portions_are_taken_without_a_fault(portions: list[bytes]) -> None:
    async def talk_it() -> None:
        talk = Talk()
        for portion in portions:
            if portion:
                talk.process.say_raw(portion)
        talk.process.end()
        with contextlib.suppress(ConnectionError):
            await talk.reader

    asyncio.run(talk_it())


@given(st.binary(max_size=100))
def test_what_tmux_escapes_comes_back(data: bytes) -> None:
    said = b"".join(b"\\%03o" % c if c < 32 or c == 0x5C else bytes([c]) for c in data)
    assert unescaped(said) == data
