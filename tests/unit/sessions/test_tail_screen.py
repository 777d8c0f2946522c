"""The tail's screen: lines as data, scrollback, and a screen made of a snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.tail_screen import PLAIN_STYLE, PaneScreen, Run, Style
from gpuhop_tui.sessions.tail_snapshot import (
    GoneError,
    PaneState,
    Snapshot,
    read_snapshot,
    read_state,
    screen_of,
)

STATE = PaneState(
    pane_id="%0", server_pid="1", session_id="$0", session_created="1", columns=20, rows=4,
    cursor=(0, 3), cursor_shown=True, alternate=False, main_cursor=(0, 0), insert=False,
    origin=False, wrap=True, margins=(0, 3), history=0, activity_at=1, dead=False,
    exit_status=None, exit_signal=None, title="",
)  # fmt: skip


def texts(screen: PaneScreen) -> list[str]:
    lines = [*screen.history(0, screen.kept), *(screen.line(y) for y in range(screen.height))]
    return ["".join(run.text for run in line) for line in lines]


def test_runs_of_one_style() -> None:
    screen = PaneScreen(20, 2)
    screen.feed(b"a\x1b[1;31mbc\x1b[0;44m d \x1b[0m  ")
    assert screen.line(0) == (
        Run("a", PLAIN_STYLE),
        Run("bc", Style(foreground=1, bold=True)),
        Run(" d ", Style(background=4)),
    )
    assert screen.line(1) == ()


@pytest.mark.parametrize(
    ("sgr", "style"),
    [
        ("97", Style(foreground=15)),
        ("101", Style(background=9)),
        ("38;5;208", Style(foreground=208)),
        ("48:5:208", Style(background=208)),
        ("38;2;1;2;3", Style(foreground=(1, 2, 3))),
        ("38:2::1:2:300", Style(foreground=(1, 2, 255))),
        ("2;3;4:3;5;7;8;9", Style(None, None, False, *[True] * 7)),
        ("1;22", Style()),
    ],
)
def test_styles(sgr: str, style: Style) -> None:
    screen = PaneScreen(20, 1)
    screen.feed(f"\x1b[{sgr}mx\x1b[m".encode())
    assert screen.line(0) == (Run("x", style),)


def test_scrollback_is_bounded_and_counts_on() -> None:
    screen = PaneScreen(20, 3, limit=5)
    screen.feed(b"".join(b"%d\r\n" % k for k in range(20)))
    assert texts(screen) == ["13", "14", "15", "16", "17", "18", "19", ""]
    assert (screen.kept, screen.gone) == (5, 18)


def test_what_becomes_scrollback() -> None:
    screen = PaneScreen(20, 3)
    screen.feed(b"one\r\ntwo\x1b[H\x1b[2J")
    assert texts(screen)[:2] == ["one", "two"], "a screen that is cleared"
    screen.feed(b"\x1b[?1049hfull\r\n\n\n\n\x1b[?1049l")
    screen.feed(b"\x1b[Hgone\x1b[H\x1b[M")
    assert texts(screen)[:3] == ["one", "two", ""], "neither a full screen's nor deleted lines"
    screen.feed(b"\x1b[3J")
    assert screen.kept == 0


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=20)))
def test_a_snapshot_is_shown_as_it_is(rows: list[str]) -> None:
    rows = rows + [""] * max(0, 4 - len(rows))
    screen = screen_of(Snapshot(STATE, [row.encode() for row in rows], []))
    assert texts(screen) == rows


@given(st.binary(max_size=300))
def test_a_snapshot_goes_on_as_the_pane_does(data: bytes) -> None:
    """A screen made of what another shows, its state told as tmux tells it, is the same."""
    first = PaneScreen(20, 4)
    first.feed(b"some text\r\n")
    again = screen_of(Snapshot(replace(STATE, cursor=(0, 1)), [b"some text"], []))
    assert again.shows_the_same(first)
    first.feed(data)
    again.feed(data)
    assert again.shows_the_same(first)


def test_a_pen_holds_on_from_line_to_line() -> None:
    lines = [b"\x1b[31mred", b"still", b"\x1b[39mplain", b"", b"", b""]
    screen = screen_of(Snapshot(STATE, lines, []))
    red = Style(foreground=1)
    assert screen.history(0, 2) == [(Run("red", red),), (Run("still", red),)]
    assert screen.line(0) == (Run("plain", PLAIN_STYLE),)


def test_the_main_screen_is_beneath_the_alternate_one() -> None:
    state = replace(STATE, alternate=True, main_cursor=(2, 1), cursor=(5, 0))
    screen = screen_of(Snapshot(state, [b"old", b"ALT", b"", b"", b""], [b"main", b"$ "]))
    assert texts(screen) == ["old", "ALT", "", "", ""]
    screen.feed(b"\x1b[?1049lls")
    assert texts(screen) == ["old", "main", "$ ls", "", ""]


def test_the_state_beyond_the_last_column_and_within_a_sequence() -> None:
    state = replace(STATE, cursor=(20, 0))
    screen = screen_of(Snapshot(state, [b"x" * 20, b"", b"", b""], [], pending=b"\x1b[3"))
    screen.feed(b"1my")
    assert texts(screen)[1] == "y"
    assert screen.line(1)[0].style == Style(foreground=1)


@given(st.text(max_size=60))
def test_any_state_is_read_or_says_that_the_pane_is_gone(line: str) -> None:
    try:
        state = read_state(line)
    except GoneError:
        return
    assert state.columns > 0
    assert state.rows > 0


def test_no_pane_is_told() -> None:
    with pytest.raises(GoneError):
        read_snapshot([[b",1,,,,,,,,,,,,,,,,,,,,,"], [], [], []])
