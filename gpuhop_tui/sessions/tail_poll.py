"""Following a pane by looking at it again and again: for tmux before 3.2, which has no control
client that changes nothing. Scrollback comes when the pane rests, or every few seconds."""

from __future__ import annotations

import asyncio
import secrets
import shlex
import time

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.container_shell import Shell
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.tail_control import SEED_LINES, Sink
from gpuhop_tui.sessions.tail_snapshot import (
    GoneError,
    Snapshot,
    read_snapshot,
    screen_of,
    snapshot_commands,
)
from gpuhop_tui.sessions.tail_view import TailState
from gpuhop_tui.sessions.tmux import FIND_TMUX, NO_TMUX_STATUS, version_of
from gpuhop_tui.sessions.watch import no_tmux

POLL_SECONDS = (0.5, 2.0)  # between two looks: at a pane that changes, and at one that rests
SCROLLBACK_SECONDS = 10.0


class PollFollower:
    """Follows one pane through the node's shell."""

    def __init__(self, shell: Shell, session: TmuxSession, pane_id: str, sink: Sink) -> None:
        self._shell = shell
        self._session = session
        self._pane = pane_id
        self._sink = sink

    async def follow(self) -> None:
        """Follows until the pane is gone: raises GoneError then, ProblemError where there is no
        link or no answer."""
        shown = await self._look(SEED_LINES)
        screen = screen_of(shown)
        whole_at, is_whole = time.monotonic(), True
        pause = POLL_SECONDS[0]
        while True:
            self._sink.show(screen, shown.state, TailState.LIVE)
            await asyncio.sleep(pause)
            latest = await self._look(0)
            resting = (
                latest.state == shown.state and latest.lines == shown.lines[-len(latest.lines) :]
            )
            pause = min(2 * pause, POLL_SECONDS[1]) if resting else POLL_SECONDS[0]
            is_whole = is_whole and resting
            if not is_whole and (resting or time.monotonic() - whole_at > SCROLLBACK_SECONDS):
                latest = await self._look(SEED_LINES)
                screen = screen_of(latest)
                whole_at, is_whole = time.monotonic(), True
            elif not resting:
                newer = screen_of(latest)
                newer.adopt(screen)
                screen = newer
            shown = latest

    async def _look(self, history: int) -> Snapshot:
        word = "gh" + secrets.token_hex(8)
        answer = await self._shell.run(self._script(history, word))
        if answer.status == NO_TMUX_STATUS:
            raise ProblemError(no_tmux(self._shell.node))
        mark = word.encode() + b"\n"
        answers = [part.split(b"\n")[:-1] for part in (answer.output + b"\n").split(mark)]
        if answer.status != 0 or len(answers) < 5:
            raise GoneError
        snapshot = read_snapshot(answers)
        state = snapshot.state
        created = f"{self._session.created_at:.0f}"
        if (state.server_pid, state.session_created) != (str(self._session.server_pid), created):
            raise GoneError
        return snapshot

    def _script(self, history: int, word: str) -> str:
        keeps_spaces = version_of(self._session.version) >= (3, 1)
        commands = snapshot_commands(self._pane, history, trailing_spaces=keeps_spaces)
        mark = f'";" display-message -p -t {shlex.quote(self._pane)} {word}'
        asked = ' ";" '.join(f"{command} {mark}" for command in commands)
        return f'{FIND_TMUX}exec "$t" -u -S {shlex.quote(self._session.socket)} {asked} 2>/dev/null'
