"""The whole of a pane at one moment, as tmux tells it, and the screen that is made of it.

A snapshot is asked for in one line of commands, which tmux runs without reading from any pane in
between: what a control client hears before the answer is in it, what it hears after it is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gpuhop_tui.sessions.screen import Screen
from gpuhop_tui.sessions.screen_cells import PLAIN
from gpuhop_tui.sessions.tail_screen import SCROLLBACK_LINES, PaneScreen, Run, line_of, style_of
from gpuhop_tui.sessions.tmux import plain

_FIELDS = (
    "pane_id", "pid", "session_id", "session_created", "pane_width", "pane_height",
    "cursor_x", "cursor_y", "cursor_flag", "alternate_on", "alternate_saved_x",
    "alternate_saved_y", "insert_flag", "origin_flag", "wrap_flag", "scroll_region_upper",
    "scroll_region_lower", "history_size", "window_activity", "pane_dead",
    "pane_dead_status", "pane_dead_signal", "pane_title",
)  # fmt: skip
STATE_FORMAT = ",".join(f"#{{{name}}}" for name in _FIELDS)

_OCTAL = re.compile(rb"\\([0-7]{3})")


class GoneError(Exception):
    """The pane is not there any more."""


@dataclass(frozen=True, slots=True)
class PaneState:
    """What tmux tells of a pane beside its text."""

    pane_id: str
    server_pid: str
    session_id: str
    session_created: str
    columns: int
    rows: int
    cursor: tuple[int, int]  # column and row; the column may be just beyond the last
    cursor_shown: bool
    alternate: bool
    main_cursor: tuple[int, int]  # of the main screen while the alternate one is shown
    insert: bool
    origin: bool
    wrap: bool
    margins: tuple[int, int]
    history: int  # lines of scrollback that tmux has
    activity_at: int  # seconds since the epoch, the last output in its window
    dead: bool
    exit_status: int | None
    exit_signal: int | None
    title: str


def read_state(line: str) -> PaneState:
    """Of `STATE_FORMAT`. Raises GoneError where there is no such pane."""
    values = dict(zip(_FIELDS, line.split(",", len(_FIELDS) - 1), strict=False))
    if len(values) < len(_FIELDS) or not values["pane_id"]:
        raise GoneError

    def number(name: str, otherwise: int = 0) -> int:
        return int(values[name]) if values[name].isdigit() else otherwise

    def known(name: str) -> int | None:
        return int(values[name]) if values[name].isdigit() else None

    rows = max(1, number("pane_height", 24))
    return PaneState(
        pane_id=values["pane_id"],
        server_pid=values["pid"],
        session_id=values["session_id"],
        session_created=values["session_created"],
        columns=max(1, number("pane_width", 80)),
        rows=rows,
        cursor=(number("cursor_x"), number("cursor_y")),
        cursor_shown=values["cursor_flag"] != "0",
        alternate=values["alternate_on"] == "1",
        main_cursor=(number("alternate_saved_x"), number("alternate_saved_y")),
        insert=values["insert_flag"] == "1",
        origin=values["origin_flag"] == "1",
        wrap=values["wrap_flag"] != "0",
        margins=(number("scroll_region_upper"), number("scroll_region_lower", rows - 1)),
        history=number("history_size"),
        activity_at=number("window_activity"),
        dead=values["pane_dead"] == "1",
        exit_status=known("pane_dead_status"),
        exit_signal=known("pane_dead_signal"),
        title=plain(values["pane_title"]),
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`lines` are the scrollback that was asked for and the screen's rows, with their SGR."""

    state: PaneState
    lines: list[bytes]
    main: list[bytes]  # the main screen's rows while the alternate one is shown
    pending: bytes = b""  # the beginning of a sequence that the pane has not finished


def snapshot_commands(pane: str, history: int, *, trailing_spaces: bool = True) -> list[str]:
    """Four commands of tmux whose outputs `read_snapshot` takes. `history` is lines of scrollback;
    `trailing_spaces` needs tmux 3.1."""
    keep = " -N" if trailing_spaces else ""
    return [
        f"display-message -p -t {pane} '{STATE_FORMAT}'",
        f"capture-pane -p -P -C -t {pane}",
        f"capture-pane -p -e{keep} -a -q -t {pane}",
        f"capture-pane -p -e{keep} -t {pane} -S {-history}",
    ]


def read_snapshot(answers: list[list[bytes]]) -> Snapshot:
    """Of the four commands' lines. Raises GoneError where there is no such pane."""
    if len(answers) < 4 or not answers[0]:
        raise GoneError
    state = read_state(answers[0][0].decode("utf-8", "replace"))
    return Snapshot(
        state,
        lines=answers[3],
        main=answers[2] if state.alternate else [],
        pending=unescaped(b"\n".join(answers[1])),
    )


def unescaped(data: bytes) -> bytes:
    """What tmux wrote with its control characters as `\\ooo`."""
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), data)


def screen_of(snapshot: Snapshot) -> PaneScreen:
    """A screen that shows the snapshot and goes on as the pane does."""
    state = snapshot.state
    screen = PaneScreen(state.columns, state.rows)
    above = max(0, len(snapshot.lines) - state.rows)
    _fill_history(screen, snapshot.lines[:above])
    if state.alternate:
        _fill(screen, snapshot.main[-state.rows :])
        _place(screen, state.main_cursor)
        screen.feed(b"\x1b[?1049h\x1b[H")
    _fill(screen, snapshot.lines[above:])
    screen.top = min(state.margins[0], state.rows - 1)
    screen.bottom = max(screen.top, min(state.margins[1], state.rows - 1))
    screen.insert_mode = state.insert
    screen.modes.update({6: state.origin, 7: state.wrap, 25: state.cursor_shown})
    _place(screen, state.cursor)
    screen.feed(snapshot.pending)
    return screen


def without_history(snapshot: Snapshot) -> Snapshot:
    """The screen's rows only."""
    return replace(snapshot, lines=snapshot.lines[-snapshot.state.rows :])


def _fill_history(screen: PaneScreen, lines: list[bytes]) -> None:
    """Lines above the screen. A pen holds on from one to the next."""
    scribe = Screen(screen.columns, 1)
    scribe.feed(b"\x1b)0")
    for line in lines[-SCROLLBACK_LINES:]:
        if b"\x1b" not in line and b"\x0e" not in line and scribe.pen == PLAIN:
            text = plain(line.decode("utf-8", "replace")).rstrip(" ")
            screen.keep((Run(text, style_of(PLAIN)),) if text else ())
        else:
            scribe.feed(b"\r" + line)
            screen.keep(line_of(scribe.rows[0].chars, scribe.rows[0].pens))
            scribe.rows = scribe._blank_rows()
            scribe.wrapping = False
    screen.pen = scribe.pen


def _fill(screen: PaneScreen, lines: list[bytes]) -> None:
    """The rows of a screen, from the top, each one cut at its width."""
    screen.feed(b"\x1b)0\x1b[?7l")
    for number, line in enumerate(lines[: screen.height], start=1):
        screen.feed(b"\x1b[%d;1H" % number + line)
    screen.feed(b"\x0f\x1b)B\x1b[?7h\x1b[0m")


def _place(screen: PaneScreen, cursor: tuple[int, int]) -> None:
    x, y = cursor
    screen.y = min(y, screen.height - 1)
    screen.x = min(x, screen.columns - 1)
    screen.wrapping = x >= screen.columns
