"""A container's log as lines: what it wrote, in its own colours, and what happened in between.

Whatever a program wrote, only printable characters of it are left.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Protocol

from gpuhop_tui.containers.log_follow import Entry, LogMark, LogView
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.text import plain as without_escapes
from gpuhop_tui.sessions.tail_screen import PLAIN_STYLE, Line, PaneScreen, Run, Style
from gpuhop_tui.tui.render import line as lines
from gpuhop_tui.tui.render.following import follow_head
from gpuhop_tui.tui.render.line import Span, Tone, clean, spread
from gpuhop_tui.tui.render.pager import LinePager
from gpuhop_tui.tui.render.tail import plain, safe
from gpuhop_tui.tui.render.units import plural

STDERR, STDOUT = "┃ ", "  "
_WIDEST = 65536  # columns of the terminal that a line with cursor movements is played on
_DIM, _BAD = Style(dim=True), Style(foreground=1, bold=True)
_AMBER = Style(foreground=3)


class LogFeed(Protocol):
    """What is shown; `gpuhop_tui.containers.log_follow.ContainerLog` is one."""

    container: Container
    view: LogView

    @property
    def entries(self) -> Sequence[Entry]: ...

    @property
    def is_full(self) -> bool: ...

    def start(self) -> None: ...

    async def close(self) -> None: ...

    def changes(self) -> AsyncIterator[None]: ...

    async def earlier(self) -> list[Entry]: ...


class LogLines:
    """The entries of a log, as a pager wants them."""

    def __init__(self, log: LogFeed, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self.with_times = False

    def newest(self, count: int) -> Sequence[Entry]:
        return list(islice(reversed(self._log.entries), count))[::-1]

    def all(self) -> list[Entry]:
        return list(self._log.entries)

    def line(self, item: Entry) -> Line:
        if isinstance(item, LogMark):
            return (Run(f"── {safe(item.text)} ──", _BAD if item.bad else _DIM),)
        line = written(item.text)
        return (Run(stamp(item.at, self._clock()), _DIM), *line) if self.with_times else line

    def text(self, item: Entry) -> str:
        if isinstance(item, LogMark) or "\r" in item.text or "\b" in item.text:
            return plain(self.line(item))
        text = without_escapes(item.text)
        return stamp(item.at, self._clock()) + text if self.with_times else text

    def gutter(self, item: Entry) -> Line:
        """Which of the two streams it came by, where there are two."""
        if self._log.container.tty:
            return ()
        if isinstance(item, LogMark) or item.stream == "stdout":
            return (Run(STDOUT, PLAIN_STYLE),)
        return (Run(STDERR, _AMBER),)


def stamp(at: float | None, now: float) -> str:
    """The time of a line, by the user's time zone, in thirteen cells; of another day: the day."""
    if at is None:
        return " " * 13
    then = time.localtime(at)
    if then[:3] == time.localtime(now)[:3]:
        return f"{time.strftime('%H:%M:%S', then)}.{int(at % 1 * 1000):03} "
    return time.strftime("%d %b %H:%M ", then)


@lru_cache(maxsize=8192)
def written(text: str) -> Line:
    """What a program wrote on one line, as a terminal would show it: colours obeyed, overwritten
    progress bars in their last state."""
    if text.isprintable():
        return (Run(text, PLAIN_STYLE),) if text else ()
    text = text.expandtabs().replace("\v", " ").replace("\f", " ")
    if not any(control in text for control in "\x1b\r\b\x9b"):
        return (Run(safe(text), PLAIN_STYLE),)
    widest = max(map(len, text.split("\r")))
    columns = min(_WIDEST, 1 + widest * (1 if text.isascii() else 2))
    screen = PaneScreen(columns, 1)
    screen.feed(text.encode(errors="replace"))
    rows = [*screen.history(0, screen.kept), screen.line(0)]
    return tuple(run for row in rows for run in row)


# Above and below it


def log_head(log: LogFeed, now: float, width: int) -> lines.Line:
    """`log of train-llm on gpu-01  pytorch-ssh:2.8                ● live`"""
    return follow_head("log", log.container, log.view, now, width)


def log_foot(pager: LinePager[Entry], log: LogFeed, loading: bool, width: int) -> lines.Line:
    """`held at line 812 of 5000 · 3 of 17 “loss” · wrap            ┃ stderr`"""
    parts: list[Span] = []
    if pager.following:
        parts.append(Span("following", Tone.DIM))
        parts.append(Span(plural(len(log.entries), "line"), Tone.DIM))
    else:
        at, count = pager.position
        word = "paused" if pager.paused else "held"
        parts.append(Span(f"{word} at line {at} of {count}", Tone.INFO))
    if pager.needle:
        found = "no" if pager.match is None else f"{pager.match + 1} of {len(pager.matches)}"
        tone = Tone.WARN if pager.match is None else Tone.INFO
        parts.append(Span(f"{found} “{clean(pager.needle)}”", tone))
    if (past := _past(pager, log, loading)) is not None:
        parts.append(past)
    if pager.wrap:
        parts.append(Span("wrap", Tone.DIM))
    elif pager.column:
        parts.append(Span(f"from column {pager.column + 1}", Tone.DIM))
    right = [] if log.container.tty else [Span("┃", Tone.WARN), Span(" stderr", Tone.DIM)]
    line: list[Span] = []
    for part in parts:
        line += [Span(" · ", Tone.DIM), part] if line else [part]
    return spread(line, right, width)


def _past(pager: LinePager[Entry], log: LogFeed, loading: bool) -> Span | None:
    """What is known of the lines before the first."""
    if loading:
        return Span("reading earlier lines…", Tone.INFO)
    if pager.at_oldest and log.view.whole:
        return Span("the beginning of the log", Tone.INFO)
    if pager.at_oldest and log.is_full:
        return Span("no more is kept: there is no room", Tone.WARN)
    if log.view.dropped:
        return Span(f"{log.view.dropped} older let go for room", Tone.DIM)
    return None
