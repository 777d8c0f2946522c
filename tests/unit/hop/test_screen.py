"""The copy of the terminal's screen: as a real terminal's, and the same when drawn again."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gpuhop_tui.sessions.screen import Screen
from gpuhop_tui.sessions.screen_cells import PLAIN, char_width, clipped, with_sgr
from tests.unit.hop.streams import STREAMS

COLUMNS, ROWS = 20, 8


def after(*data: bytes) -> Screen:
    screen = Screen(COLUMNS, ROWS)
    for piece in data:
        screen.feed(piece)
    return screen


def state(screen: Screen) -> tuple[object, ...]:
    """All that a person or a program could tell apart."""
    pens = [
        [
            pen if char.strip() else pen.erasing
            for char, pen in zip(row.chars, row.pens, strict=True)
        ]
        for row in screen.rows
    ]
    cursor = (screen.x, screen.y, screen.wrapping, screen.pen)
    return screen.text, pens, cursor, (screen.top, screen.bottom), screen.mode(25)


@given(STREAMS, STREAMS)
def test_a_redraw_brings_any_terminal_to_the_same_state(stream: bytes, dirt: bytes) -> None:
    screen, other = after(stream), after(dirt)
    other.feed(screen.redraw())
    assert other.text == screen.text
    assert (other.x, other.y, other.wrapping, other.pen) == (
        screen.x, screen.y, screen.wrapping, screen.pen,
    )  # fmt: skip
    assert (other.top, other.bottom, other.mode(6), other.mode(7), other.insert_mode) == (
        screen.top, screen.bottom, screen.mode(6), screen.mode(7), screen.insert_mode,
    )  # fmt: skip


@given(STREAMS, STREAMS)
def test_what_follows_a_redraw_looks_as_if_there_had_been_none(stream: bytes, more: bytes) -> None:
    plain, redrawn = after(stream), after(stream)
    redrawn.feed(redrawn.redraw())
    plain.feed(more)
    redrawn.feed(more)
    assert redrawn.text == plain.text


@given(STREAMS, st.integers(0, 2**32))
def test_the_portions_that_bytes_come_in_do_not_matter(stream: bytes, seed: int) -> None:
    chance = random.Random(seed)
    pieces, rest = [], stream
    while rest:
        cut = chance.randint(1, 7)
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert state(after(*pieces)) == state(after(stream))


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    screen = after(data)
    assert len(screen.rows) == ROWS
    assert all(len(row.chars) == len(row.pens) == COLUMNS for row in screen.rows)
    assert 0 <= screen.x < COLUMNS
    assert 0 <= screen.y < ROWS


@given(STREAMS, st.integers(1, 40), st.integers(1, 20))
def test_resizing_keeps_every_row_whole(stream: bytes, columns: int, rows: int) -> None:
    screen = after(stream)
    screen.resize(columns, rows)
    assert [len(row.chars) for row in screen.rows] == [columns] * rows
    screen.feed(b"more\r\n" * 3)
    screen.feed(screen.redraw())


def test_a_dimmed_redraw_shows_the_same_text_without_bold() -> None:
    screen = after(b"\x1b[1;31mbold\x1b[0m plain \x1b[44mblue\r\n")
    other = after(screen.redraw(dim=True))
    assert other.text == screen.text
    assert all(
        "2" in pen.flags and "1" not in pen.flags
        for char, pen in zip(other.rows[0].chars, other.rows[0].pens, strict=True)
        if char.strip()
    )


def test_the_main_screen_is_there_again_after_the_alternate_one() -> None:
    screen = after(b"main\x1b[?1049h\x1b[Hother")
    assert screen.text[0].rstrip() == "other"
    screen.feed(b"\x1b[?1049l")
    assert screen.text[0].rstrip() == "main"
    assert screen.x == 4


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [("", "\x1b[0m"), ("1;31", "\x1b[0;1;31m"), ("1;22", "\x1b[0m"), ("38;5;9", "\x1b[0;38;5;9m"),
     ("38;2;1;2;3;4", "\x1b[0;4;38;2;1;2;3m"), ("4:3;4:0", "\x1b[0m"), ("38", "\x1b[0m"),
     ("48;5", "\x1b[0m"), ("999;x", "\x1b[0m"), ("31;0;32", "\x1b[0;32m")],
)  # fmt: skip
def test_pens(parameters: str, expected: str) -> None:
    assert with_sgr(PLAIN, parameters).sgr() == expected


def test_widths() -> None:
    assert [char_width(char) for char in "a漢é\u0301🙂"] == [1, 2, 1, 0, 2]
    assert clipped("漢字漢字", 5) == "漢字…"
    assert clipped("abc", 3) == "abc"
    assert clipped("abcd", 3) == "ab…"
    assert clipped("abcd", 0) == ""


# A real terminal's opinion


class RealTerminal:
    """A pane of tmux that shows what it is given."""

    def __init__(self, directory: Path) -> None:
        self._base = ["tmux", "-u", "-f", "/dev/null", "-S", str(directory / "tmux")]
        self._file = directory / "stream"
        self._tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "cat")
        self._tmux("set-option", "-g", "status", "off")
        self._tmux("set-option", "-g", "remain-on-exit", "on")
        self._tmux("resize-window", "-x", str(COLUMNS), "-y", str(ROWS))

    def show(self, stream: bytes) -> tuple[list[str], tuple[int, int]]:
        """Its rows, and the cursor's column and row."""
        self._file.write_bytes(stream)
        # It answers the cursor report once it has taken in the stream.
        script = (
            f"stty raw -echo; cat '{self._file}'; printf '\\033[6n';"
            "dd bs=64 count=1 >/dev/null 2>&1; tmux wait-for -S shown; exec cat"
        )
        self._tmux("respawn-pane", "-k", script)
        self._tmux("wait-for", "shown")
        rows = self._tmux("capture-pane", "-p").split("\n")[:ROWS]
        x, y = self._tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return [row.rstrip() for row in rows], (int(x), int(y))

    def end(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._base, *arguments], capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealTerminal]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    terminal = RealTerminal(tmp_path_factory.mktemp("tmux"))
    yield terminal
    terminal.end()


class WithoutCornerCases(Screen):
    """Gives an example up where real terminals differ among themselves."""

    def _csi(self, parameters: str, final: str) -> None:
        assume(not self.wrapping)  # sequences on a line that is full, but not wrapped yet
        assume(final not in ("L", "M") or self.top <= self.y <= self.bottom)
        super()._csi(parameters, final)

    def _escape(self, code: str) -> None:
        assume(not self.wrapping)
        super()._escape(code)

    def _switch(self, number: int, alternate: bool) -> None:
        assume(alternate is not self.is_alternate)  # to the screen that is shown already
        super()._switch(number, alternate)

    def _control(self, code: int) -> None:
        assume(code != 0x08 or self.x > 0)  # a backspace to the end of the line above
        super()._control(code)


def common(stream: bytes) -> bytes:
    """Without what real terminals do each in their own way."""
    text = stream.decode().translate(str.maketrans("漢字🙂", "abc"))  # halves of wide characters
    text = text.replace("\x1b(0", "")  # tmux keeps line drawing as letters with an attribute
    text = text.replace("\x1b[?6h", "")  # the home of origin mode when margins are set
    text = text.replace("\x1b[4h", "")  # a character that wraps while others are inserted
    text = re.sub("(\x1b\\[[0-9]+[LM])", "\\1\r", text)  # the column after lines were inserted
    return text.encode()


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much],
)
@given(stream=STREAMS)
def test_it_is_what_a_real_terminal_shows(real: RealTerminal, stream: bytes) -> None:
    stream = common(stream)
    screen = WithoutCornerCases(COLUMNS, ROWS)
    screen.feed(stream)
    rows, cursor = real.show(stream)
    assert [row.rstrip() for row in screen.text] == rows
    if not screen.wrapping:
        assert (screen.x, screen.y) == cursor
