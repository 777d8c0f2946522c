"""What a tail shows at one moment, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gpuhop_tui.problem import Problem
from gpuhop_tui.sessions.tail_screen import Line


class TailState(StrEnum):
    """Where a tail is in its life."""

    STARTING = "starting"
    LIVE = "live"
    FLOOD = "flood"  # the pane prints faster than can be shown: its screen now and then
    STALE = "stale"  # the link is down, or the tail failed: the last screen, until it is back
    ENDED = "ended"  # the pane is no more: its last screen


@dataclass(frozen=True, slots=True)
class TailView:
    """`lines` are the pane's rows from the top. Line number `gone` (0: the first that was seen to
    leave the screen) is the first of them; `scrollback` lines before it are kept."""

    state: TailState = TailState.STARTING
    problem: Problem | None = None  # while stale or starting: why
    columns: int = 80
    rows: int = 24
    lines: tuple[Line, ...] = ()
    cursor: tuple[int, int] | None = None  # column and row; None: hidden
    scrollback: int = 0
    gone: int = 0
    title: str = ""
    dead: bool = False  # the pane's command ended
    exit_status: int | None = None
    exit_signal: int | None = None
