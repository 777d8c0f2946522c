"""The last lines of panes: which rows are asked for, and what of them is the last line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.sessions.progress import read_progress
from gpuhop_tui.sessions.tmux import WITHIN_TIME, Tmux, plain

LAST_ROWS = 6  # rows up to the cursor in which the last line is looked for
PANES_A_CALL = 60
_DEAD = re.compile(r"Pane is dead(?: \(.*\))?\Z")  # what tmux writes below a dead pane's output


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pane whose last line is to be read, and the rows to look in, from the top."""

    socket: str
    pane: str
    rows: tuple[int, int]
    dead: bool = False


def wanted(session: TmuxSession, pane: TmuxPane, cursor: int) -> Wanted:
    """The rows just up to the cursor; of a dead pane, whose cursor tells nothing, all and the one
    that tmux's note of its end has pushed out."""
    rows = (-1, max(0, pane.rows - 1)) if pane.dead else (cursor - LAST_ROWS + 1, cursor)
    return Wanted(session.socket, pane.id, rows, pane.dead)


def last_lines_script(tmux: Tmux, panes: Iterable[Wanted], word: str) -> str:
    """Prints the rows of each pane that are wanted."""
    by_socket: dict[str, list[Wanted]] = {}
    for pane in panes:
        by_socket.setdefault(pane.socket, []).append(pane)
    lines = [WITHIN_TIME, f"t={shlex.quote(tmux.program)}\n"]
    for socket, group in by_socket.items():
        for start in range(0, len(group), PANES_A_CALL):
            asked = ' ";" '.join(
                f"capture-pane -p -J -t {shlex.quote(pane.pane)} -S {pane.rows[0]}"
                f' -E {pane.rows[1]} ";" '
                f"display-message -p -t {shlex.quote(pane.pane)} {word}{pane.pane[1:]}"
                for pane in group[start : start + PANES_A_CALL]
            )
            lines.append(f'ask "$t" -u -S {shlex.quote(socket)} {asked} 2>/dev/null\n')
        lines.append(f'printf "%s\\n" {shlex.quote(word + "socket:" + socket)}\n')
    return "".join(lines)


def read_last_lines(output: str, panes: Iterable[Wanted], word: str) -> dict[tuple[str, str], str]:
    """The last line that is not blank of each (socket, pane's id); "" where there is none."""
    dead = {(pane.socket, pane.pane) for pane in panes if pane.dead}
    found: dict[tuple[str, str], str] = {}
    of_socket: dict[str, list[str]] = {}
    rows: list[str] = []
    for line in output.split("\n"):
        if not line.startswith(word):
            rows.append(plain(line).rstrip())
            continue
        mark = line[len(word) :]
        if mark.startswith("socket:"):
            for pane, texts in of_socket.items():
                where = (mark[7:], pane)
                found[where] = _last(texts, is_dead=where in dead)
            of_socket = {}
        else:
            of_socket[f"%{mark}"] = rows
        rows = []
    return found


def _last(rows: list[str], *, is_dead: bool) -> str:
    for row in reversed(rows):
        if row and not (is_dead and _DEAD.match(row)):
            return row
    return ""


def with_last_line(pane: TmuxPane, line: str | None) -> TmuxPane:
    """The pane with its last line and the progress that it tells."""
    return replace(pane, last_line=line, progress=read_progress(line) if line else None)
