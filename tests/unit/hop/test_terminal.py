"""The user's terminal: raw while taken, sane afterwards, never blocking, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from collections.abc import Iterator

import pytest

from gpuhop_tui.ssh.terminal import HIGH_WATER, Terminal
from tests.lab.waiting import await_until


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    end, tty = os.openpty()
    os.set_blocking(end, False)
    yield end, tty
    os.close(tty)
    with contextlib.suppress(OSError):
        os.close(end)


def read(end: int) -> bytes:
    try:
        return os.read(end, 1 << 16)
    except BlockingIOError:
        return b""


async def test_it_is_raw_while_taken_and_as_before_afterwards(pty: tuple[int, int]) -> None:
    end, tty = pty
    before = termios.tcgetattr(tty)
    typed: list[bytes] = []
    terminal = Terminal(tty, on_input=typed.append)
    assert termios.tcgetattr(tty) == before
    terminal.raw()
    os.write(end, b"\x03\x1a\x11\r\xc3\xa9\xff")
    await await_until(lambda: b"".join(typed) == b"\x03\x1a\x11\r\xc3\xa9\xff", "every byte")
    assert read(end) == b""  # nothing was echoed
    terminal.write(b"a\nb")
    await await_until(lambda: read(end) == b"a\nb", "the output, unchanged")
    terminal.cooked()
    assert termios.tcgetattr(tty) == before
    terminal.raw()
    terminal.close(b"\x1b[0mbye")
    assert termios.tcgetattr(tty) == before
    assert read(end) == b"\x1b[0mbye"
    assert os.get_blocking(tty)  # others' descriptors are as they were
    terminal.close()


async def test_a_terminal_that_takes_nothing_pauses_the_writer(pty: tuple[int, int]) -> None:
    end, tty = pty
    told: list[bool] = []
    terminal = Terminal(tty, on_backlog=told.append)
    terminal.raw()
    sent = b""
    while not told:
        sent += b"x" * 10000
        terminal.write(b"x" * 10000)
    assert told == [True]
    assert HIGH_WATER < terminal.backlog < HIGH_WATER + 10001
    received = 0

    def taken() -> bool:
        nonlocal received
        received += len(read(end))
        return received == len(sent)

    await await_until(taken, "all of it")
    assert told == [True, False]
    async with asyncio.timeout(5):
        await terminal.drained()
    terminal.close()


async def test_a_jammed_terminal_is_not_waited_for_at_the_end(pty: tuple[int, int]) -> None:
    _, tty = pty
    before = termios.tcgetattr(tty)
    terminal = Terminal(tty)
    terminal.raw()
    terminal.write(b"x" * 100000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    terminal.close(b"bye")
    assert loop.time() - began < 2.0
    assert termios.tcgetattr(tty) == before


async def test_the_end_of_the_terminal_is_an_empty_input(pty: tuple[int, int]) -> None:
    end, tty = pty
    typed: list[bytes] = []
    terminal = Terminal(tty, on_input=typed.append)
    terminal.raw()
    os.close(end)
    await await_until(lambda: typed, "the end")
    assert typed == [b""]
    terminal.write(b"nobody reads this")
    terminal.close(b"bye")


async def test_input_can_be_left_in_the_terminal(pty: tuple[int, int]) -> None:
    end, tty = pty
    typed: list[bytes] = []
    terminal = Terminal(tty, on_input=typed.append)
    terminal.raw()
    terminal.pause_input(True)
    os.write(end, b"later")
    for _ in range(20):
        await asyncio.sleep(0)
    assert typed == []
    terminal.pause_input(False)
    await await_until(lambda: typed == [b"later"], "it")
    terminal.close()


def test_what_is_no_terminal_is_refused(tmp_path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(OSError, match="no terminal"):
        Terminal(file.fileno())
