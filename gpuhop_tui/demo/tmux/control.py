"""tmux's control mode, tmux(1) "CONTROL MODE", from the server's side; for who looks on."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shlex
import time
from typing import Any, Protocol

from gpuhop_tui.demo.tmux.commands import TmuxError, formatted, run, split, values
from gpuhop_tui.demo.tmux.server import LOOK_SECONDS, Client, Session, TmuxServer


class Process(Protocol):
    """The streams of an SSH session."""

    @property
    def stdin(self) -> Any: ...

    @property
    def stdout(self) -> Any: ...


class ControlClient:
    """Serves one control client of a session until it, or the session, ends."""

    def __init__(self, server: TmuxServer, session: Session, process: Process) -> None:
        self._server, self._session, self._process = server, session, process
        self._number = 0
        self._paused: set[str] = set()
        self._told = ""  # the value of what is subscribed to
        self._subscription: tuple[str, str, str] | None = None  # name, pane, format

    async def serve(self) -> None:
        pid = next(self._server.pids)
        client = Client(f"client-{pid}", pid, 0, 0, control=True)
        session = self._session
        stops = [
            window.pane.listen(functools.partial(self._output, window.pane.id))
            for window in session.windows
        ]
        session.clients.append(client)
        self._block([], flags=0)
        self._say(f"%session-changed {session.id} {session.name}")
        watching = asyncio.ensure_future(self._watch())
        obeying = asyncio.ensure_future(self._obey())
        try:
            await asyncio.wait({watching, obeying}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watching, obeying):
                task.cancel()
            await asyncio.gather(watching, obeying, return_exceptions=True)
            for stop in stops:
                stop()
            session.clients.remove(client)
        self._say("%exit")

    async def _watch(self) -> None:
        """Until the session is over."""
        while not self._session.over.is_set():
            for window in list(self._session.windows):
                window.pane.catch_up()
            self._tell_change()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._session.over.wait(), LOOK_SECONDS)

    async def _obey(self) -> None:
        """Until the end of input, or an empty line."""
        while line := (await self._process.stdin.readline()).strip():
            for command in split(shlex.split(line.decode("utf-8", "replace"))):
                try:
                    self._block(self._do(command))
                except (TmuxError, ValueError) as error:
                    self._block([str(error)], end="%error")

    def _do(self, command: list[str]) -> list[str]:
        if command[0] == "refresh-client" and "-A" in command:
            pane, _, what = command[-1].partition(":")
            (self._paused.add if what == "pause" else self._paused.discard)(pane)
            return []
        if command[0] == "refresh-client" and "-B" in command:
            name, pane, text = command[-1].split(":", 2)
            self._subscription = (name, pane, text)
            return []
        return run(self._server, command)

    def _tell_change(self) -> None:
        if self._subscription is None:
            return
        name, pane, text = self._subscription
        place = self._server.find_window(pane)
        if place is None:
            self._say(f"%window-close {pane}")
            return
        value = formatted(text, values(self._server, *place))
        if value != self._told:
            self._told = value
            session, window = place
            self._say(
                f"%subscription-changed {name} {session.id} {window.id} {window.index} {pane} : "
                f"{value}"
            )

    def _output(self, pane: str, data: bytes) -> None:
        if pane not in self._paused:
            escaped = b"".join(
                b"\\%03o" % byte if byte < 32 or byte == 0x5C else bytes([byte]) for byte in data
            )
            self._process.stdout.write(b"%%extended-output %b 0 : %b\n" % (pane.encode(), escaped))

    def _block(self, lines: list[str], *, end: str = "%end", flags: int = 1) -> None:
        self._number += 1
        mark = f"{int(time.time())} {self._number} {flags}"
        self._say("\n".join([f"%begin {mark}", *lines, f"{end} {mark}"]))

    def _say(self, text: str) -> None:
        self._process.stdout.write(text.encode() + b"\n")
