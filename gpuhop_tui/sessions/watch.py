"""Watching the tmux sessions of one node, through one shell and at a measured pace.

A look costs one round trip, and a second one where panes printed since the last: only their last
lines are read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import replace

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions.last_lines import (
    Wanted,
    last_lines_script,
    read_last_lines,
    wanted,
    with_last_line,
)
from gpuhop_tui.sessions.model import TmuxSession, TmuxWindow
from gpuhop_tui.sessions.shell import RemoteShell, have_end_told
from gpuhop_tui.sessions.tmux import (
    NO_TMUX_STATUS,
    Footprint,
    Listing,
    Tmux,
    find_script,
    list_script,
    read_found,
    read_listing,
)

INTERVAL_SECONDS = 2.0
FIND_SECONDS = 10.0  # how often new servers are looked for
_LIST_TIMEOUT = 20.0  # seconds; several servers may hang, each for `tmux.SERVER_SECONDS`


class SessionWatch:
    """The sessions of one node. `look` reads them once, `watch` again and again."""

    def __init__(self, shell: RemoteShell) -> None:
        self._shell = shell
        self._node = shell.node
        self._tmux: Tmux | None = None
        self._found_at = 0.0  # monotonic seconds
        self._lines: dict[tuple[int, str], tuple[Footprint, float, str]] = {}
        self._kick = asyncio.Event()
        self.problem: Problem | None = None
        """That a tmux server did not answer the last look; the others' sessions are there."""

    @property
    def tmux(self) -> Tmux | None:
        """tmux on the node, as the last look found it."""
        return self._tmux

    async def watch(
        self, interval: float = INTERVAL_SECONDS
    ) -> AsyncGenerator[tuple[TmuxSession, ...]]:
        """Yields the sessions after each look; a look begins `interval` seconds after the last
        ended, or when `look_soon` is called. Raises what `look` raises."""
        while True:
            self._kick.clear()
            yield await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._kick.wait()

    def look_soon(self) -> None:
        """Has `watch` look at once, new servers included: something was just changed."""
        self._found_at = 0.0
        self._kick.set()

    async def look(self) -> tuple[TmuxSession, ...]:
        """All sessions of the user on the node, oldest first.

        Raises ProblemError where the link is not up or the node has no tmux.
        """
        tmux = await self._find()
        listing = Listing(0.0, (), {}, {})
        if tmux.sockets:
            word = _word()
            answer = await self._shell.run(list_script(tmux, word), timeout=_LIST_TIMEOUT)
            listing = read_listing(answer.text, self._node, tmux, word)
        self.problem = _silence(self._node, *listing.silent[0]) if listing.silent else None
        await self._have_ends_told(listing)
        await self._read_last_lines(tmux, listing)
        return tuple(self._with_lines(session) for session in listing.sessions)

    async def _find(self) -> Tmux:
        now = time.monotonic()
        if self._tmux is None or now - self._found_at >= FIND_SECONDS:
            answer = await self._shell.run(find_script())
            if answer.status == NO_TMUX_STATUS:
                self._tmux = None
                raise ProblemError(no_tmux(self._node))
            try:
                self._tmux = read_found(answer.text)
            except ValueError as error:
                raise ProblemError(_odd(self._node, str(error))) from None
            self._found_at = now
        return self._tmux

    async def _have_ends_told(self, listing: Listing) -> None:
        servers = {
            session.server_pid
            for session in listing.sessions
            for pane in session.panes
            if pane.dead and pane.exit_status is None and pane.exit_signal is None
        }
        if servers:
            await have_end_told(self._shell, *servers)

    async def _read_last_lines(self, tmux: Tmux, listing: Listing) -> None:
        self._lines = {key: kept for key, kept in self._lines.items() if key in listing.footprints}
        panes: list[Wanted] = []
        keys: dict[tuple[str, str], tuple[int, str]] = {}
        for session in listing.sessions:
            for pane in session.panes:
                key = (session.server_pid, pane.id)
                if (session.socket, pane.id) not in keys and self._may_have_changed(key, listing):
                    panes.append(wanted(session, pane, listing.cursors[key]))
                    keys[session.socket, pane.id] = key
        if not panes:
            return
        word = _word()
        answer = await self._shell.run(last_lines_script(tmux, panes, word), timeout=_LIST_TIMEOUT)
        for where, line in read_last_lines(answer.text, panes, word).items():
            if where in keys:
                key = keys[where]
                self._lines[key] = (listing.footprints[key], listing.now, line)

    def _may_have_changed(self, key: tuple[int, str], listing: Listing) -> bool:
        """tmux tells activity in whole seconds: what was read within one may be out of date."""
        kept = self._lines.get(key)
        if kept is None:
            return True
        footprint, read_at, _ = kept
        return footprint != listing.footprints[key] or (footprint.activity_at or 0.0) >= read_at

    def _with_lines(self, session: TmuxSession) -> TmuxSession:
        def filled(window: TmuxWindow) -> TmuxWindow:
            lines = (self._lines.get((session.server_pid, pane.id)) for pane in window.panes)
            panes = (
                with_last_line(pane, kept[2] if kept else None)
                for pane, kept in zip(window.panes, lines, strict=True)
            )
            return replace(window, panes=tuple(panes))

        return replace(session, windows=tuple(map(filled, session.windows)))


def no_tmux(node: str) -> Problem:
    """That there is no tmux, and what this means."""
    return Problem(
        node,
        ErrorKind.NO_TMUX,
        f"there is no tmux on {node}",
        "Install tmux there: without it no shell survives a lost connection.",
    )


def _silence(node: str, socket: str, why: str) -> Problem:
    return Problem(
        node,
        ErrorKind.TIMEOUT,
        f"{why} (socket {socket})",
        f"Look with `tmux -S {socket} ls` on {node}; a stopped or hanging server has to be ended.",
    )


def _odd(node: str, said: str) -> Problem:
    words = " ".join(said.split()) or "nothing"
    return Problem(
        node,
        ErrorKind.NO_TMUX,
        f"tmux on {node} could not be asked; the node said: {words}",
        f"Try `ssh {node} tmux -V`.",
    )


def _word() -> str:
    return "gh" + secrets.token_hex(8)
