"""The talk of tmux's control mode, tmux(1) "CONTROL MODE": commands out, answers and notices in.

One line of commands is under way at a time, and the next goes out when all of its answers are in.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.tmux import FIND_TMUX

HEARTBEAT_SECONDS = 60
"""A control client that hears nothing from the laptop for so long is ended, on the node."""

LINE_LIMIT = 1 << 20
_CHUNK = 1 << 16

# tmux does not end at the end of input while its own output cannot be written, as on a cut link:
# then it is killed. `head` may take in more than a line: see the module's second sentence.
_FEEDER = (
    'feed() {{ while l=$(timeout {heartbeat} head -n 1) && [ -n "$l" ]; do printf "%s\\n" "$l";'
    " done; }}; "
    "finish() {{ sleep 1; me=$(exec sh -c 'echo $PPID');"
    " for c in $(cat /proc/$$/task/$$/children); do if [ $c != $me ]; then"
    " kill -KILL $(cat /proc/$c/task/$c/children) $c; fi; done; }}; "
)


class ControlError(Exception):
    """tmux refused a command: `str()` is what it said."""


def control_command(session: TmuxSession, heartbeat: int = HEARTBEAT_SECONDS) -> str:
    """The command to exec on the node: a control client of the session that only looks on.

    It ends with a line that begins with `%exit`. `-E`: an attaching client would otherwise change
    the session's environment, SSH_AUTH_SOCK included. A session's id may come to mean another one
    when the server is a new one: nothing is attached then, and no server started.
    """
    server = f'"$t" -u -S {shlex.quote(session.socket)}'
    target = shlex.quote(session.id)
    script = (
        'exec 2>/dev/null; command -v timeout >/dev/null || timeout() { shift; "$@"; }; '
        + FIND_TMUX.replace("\n", "; ")
        + _FEEDER.format(heartbeat=heartbeat)
        + f'is=$({server} display-message -p -t {target}: "#{{pid}} #{{session_created}}"); '
        f'if [ "$is" != "{session.server_pid} {session.created_at:.0f}" ]; '
        'then echo "%exit gone"; exit; fi; '
        f"{{ feed; finish; }} | {{ {server} -C attach-session -E "
        f"-f read-only,ignore-size,pause-after=1 -t {target}; echo %exit; }}; :"
    )
    return f"exec sh -c {shlex.quote(script)} gpuhop-tail"


@dataclass(slots=True)
class _Asked:
    count: int
    done: asyncio.Future[list[list[bytes]]]
    at_end: Callable[[], None] | None
    answers: list[list[bytes]] = field(default_factory=list)


class ControlClient:
    """One control client's end on the laptop. `on_notice` gets each notice, its name without `%`
    and the rest of its line, in the order of tmux's words; it must not block."""

    def __init__(self, process: Any, on_notice: Callable[[str, bytes], None]) -> None:
        self._process = process
        self._on_notice = on_notice
        self._turn = asyncio.Lock()
        self._asked: _Asked | None = None
        self._block: list[bytes] | None = None
        self._block_id = b""
        self._rest: bytes = b""

    async def read(self) -> str:
        """Takes in what tmux says until it ends. Returns its parting words, such as "gone"."""
        try:
            while data := await self._process.stdout.read(_CHUNK):
                lines: list[bytes] = (self._rest + data).split(b"\n")
                self._rest = lines.pop()
                for line in lines:
                    if self._block is None and line.startswith(b"%exit"):
                        return line[6:].decode("utf-8", "replace").strip()
                    self._take(line)
                if len(self._rest) > LINE_LIMIT:
                    raise ConnectionError("a line of tmux's is too long")
            return ""
        finally:
            if self._asked is not None and not self._asked.done.done():
                self._asked.done.set_exception(ConnectionError("tmux ended"))

    async def ask(
        self, *commands: str, at_end: Callable[[], None] | None = None
    ) -> list[list[bytes]]:
        """The output lines of each command. `at_end` is called right when the last is in, before
        any notice that follows it. Raises ControlError where tmux refuses one of them."""
        async with self._turn:
            done: asyncio.Future[list[list[bytes]]] = asyncio.get_running_loop().create_future()
            self._asked = _Asked(len(commands), done, at_end)
            self._process.stdin.write((" ; ".join(commands) + "\n").encode())
            return await done

    def _take(self, line: bytes) -> None:
        if self._block is not None:
            kind, _, rest = line.partition(b" ")
            if kind in (b"%end", b"%error") and rest == self._block_id:
                self._answer(self._block, refused=kind == b"%error")
                self._block = None
            else:
                self._block.append(line)
        elif line.startswith(b"%begin "):
            self._block, self._block_id = [], line[7:]
        elif line.startswith(b"%"):
            name, _, rest = line[1:].partition(b" ")
            self._on_notice(name.decode("ascii", "replace"), rest)

    def _answer(self, lines: list[bytes], *, refused: bool) -> None:
        asked = self._asked
        if asked is None or not self._block_id.endswith(b" 1"):  # 0: not of a command of ours
            return
        if refused:
            self._asked = None
            words = b" ".join(lines).decode("utf-8", "replace")
            if not asked.done.done():
                asked.done.set_exception(ControlError(words))
            return
        asked.answers.append(lines)
        if len(asked.answers) == asked.count:
            self._asked = None
            if asked.at_end is not None:
                asked.at_end()
            if not asked.done.done():
                asked.done.set_result(asked.answers)
