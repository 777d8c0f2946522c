"""Our one line over the terminal's last row leaves no trace, whatever comes beneath it."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.screen import Screen
from gpuhop_tui.sessions.screen_view import BEHIND_LIMIT, View
from tests.unit.hop.streams import STREAMS

COLUMNS, ROWS = 20, 8


class ScreenTerminal:
    """Takes what the view writes, as a terminal does."""

    def __init__(self) -> None:
        self.screen = Screen(COLUMNS, ROWS)
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self.screen.feed(data)


def on_a_loop(play) -> None:
    async def run() -> None:
        play()

    asyncio.run(run())


def seen(screen: Screen) -> tuple[object, ...]:
    return screen.text, (screen.x, screen.y, screen.wrapping), screen.pen


@given(STREAMS, st.integers(0, 2**32))
def test_the_line_comes_and_goes_without_a_trace(stream: bytes, seed: int) -> None:
    """At any moment, in the middle of sequences and characters too."""
    chance = random.Random(seed)

    def play() -> None:
        terminal, plain = ScreenTerminal(), Screen(COLUMNS, ROWS)
        view = View(terminal, (COLUMNS, ROWS))
        rest = stream
        while rest:
            view.show_line(chance.choice(["", "", "a line of ours", "other"]))
            cut = chance.randint(1, 9)
            view.output(rest[:cut])
            rest = rest[cut:]
        view.show_line("")
        plain.feed(stream)
        assert seen(terminal.screen) == seen(plain)

    on_a_loop(play)


@given(STREAMS)
def test_the_line_is_shown_whole_on_the_last_row_only(stream: bytes) -> None:
    def play() -> None:
        terminal, plain = ScreenTerminal(), Screen(COLUMNS, ROWS)
        view = View(terminal, (COLUMNS, ROWS))
        view.show_line("ours: é漢 and much more of it")
        view.output(stream)
        plain.feed(stream)
        assert terminal.screen.text[-1].startswith("ours: é漢 and much…")
        assert terminal.screen.text[:-1] == plain.text[:-1]
        assert (terminal.screen.x, terminal.screen.y) == (plain.x, plain.y)

    on_a_loop(play)


@given(STREAMS, STREAMS)
def test_a_frozen_screen_is_the_last_one_and_thaws_to_it(stream: bytes, more: bytes) -> None:
    def play() -> None:
        terminal, plain = ScreenTerminal(), Screen(COLUMNS, ROWS)
        view = View(terminal, (COLUMNS, ROWS))
        view.output(stream)
        view.freeze()
        plain.feed(stream)
        assert terminal.screen.text == plain.text
        view.show_line("lost")
        view.show_line("lost for 2 s")
        assert terminal.screen.text[:-1] == plain.text[:-1]
        view.show_line("")
        view.thaw()
        view.output(more)
        plain.feed(more)
        assert terminal.screen.text == plain.text

    on_a_loop(play)


@given(STREAMS)
def test_the_farewell_leaves_every_mode_as_programs_expect_it(stream: bytes) -> None:
    def play() -> None:
        terminal = ScreenTerminal()
        view = View(terminal, (COLUMNS, ROWS))
        view.output(stream)
        terminal.write(view.farewell())
        screen = terminal.screen
        assert not screen.is_alternate
        assert all(on == (number in (7, 25)) for number, on in screen.modes.items())
        assert (screen.top, screen.bottom, screen.insert_mode) == (0, ROWS - 1, False)
        assert screen.pen.sgr() == "\x1b[0m"

    on_a_loop(play)


def test_a_flood_is_passed_on_whole_and_the_copy_skips_to_its_end() -> None:
    def play() -> None:
        terminal = ScreenTerminal()
        view = View(terminal, (COLUMNS, ROWS))
        view.output(b"\x1b[?1049h\x1b[?1000h\x1b[2;7r")
        total = 0
        for number in range(40000):
            line = b"line %d of a long flood\r\n" % number
            total += len(line)
            view.output(line)
            assert view._behind_bytes <= BEHIND_LIMIT + len(line)
        assert terminal.written > total
        copy = view.screen
        assert copy.is_alternate
        assert copy.mode(1000)
        assert (copy.top, copy.bottom) == (1, 6)
        assert copy.text[1:] == terminal.screen.text[1:]  # the first row is not in the flood's way

    on_a_loop(play)
