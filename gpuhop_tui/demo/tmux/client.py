"""A terminal that is attached to a session: keys to its pane, the pane's screen to it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncssh

from gpuhop_tui.demo.tmux.server import LOOK_SECONDS, Client, Session, TmuxServer

_PREFIX = b"\x02"  # ctrl+b
_ENTER, _LEAVE = b"\x1b[?1049h\x1b[H\x1b[2J", b"\x1b[?1049l\x1b[?25h"
_SWITCH = b"\x1b[?1049"


class AttachedClient:
    """One client, from `serve` to its detaching or the session's end."""

    def __init__(
        self, server: TmuxServer, session: Session, process: Any, size: tuple[int, int]
    ) -> None:
        self._server, self._session, self._process = server, session, process
        self._size = size
        self._left = asyncio.Event()
        self._prefixed = False

    async def serve(self, pid: int) -> None:
        """`pid` is what the client is known by."""
        session = self._session
        client = Client(f"/dev/pts/{pid % 97}", pid, *self._size, control=False)
        client.hang_up = self._left.set
        pane = session.window.pane
        session.clients.append(client)
        pane.resize(*self._size)
        pane.catch_up()
        self._process.stdout.write(_ENTER)
        self._redraw()
        stop = pane.listen(self._output)
        tasks = [
            asyncio.ensure_future(each)
            for each in (self._read(client), self._look(), session.over.wait(), self._left.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            stop()
            session.clients.remove(client)
        word = "exited" if session.over.is_set() else f"detached (from session {session.name})"
        with contextlib.suppress(OSError):
            self._process.stdout.write(_LEAVE + f"[{word}]\r\n".encode())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._session.window.pane.catch_up()

    async def _read(self, client: Client) -> None:
        """Until the connection ends."""
        while True:
            try:
                data = await self._process.stdin.read(4096)
            except asyncssh.TerminalSizeChanged as change:
                self._size = client.columns, client.rows = change.width, change.height
                self._session.window.pane.resize(*self._size)
                self._redraw()
                continue
            except (asyncssh.BreakReceived, asyncssh.SignalReceived):
                continue
            if not data:
                return
            self._typed(data)

    def _typed(self, data: bytes) -> None:
        keys = bytearray()
        for byte in data:
            key = bytes([byte])
            if self._prefixed:
                self._prefixed = False
                if key == b"d":
                    self._left.set()
                elif key == _PREFIX:
                    keys += key
            elif key == _PREFIX:
                self._prefixed = True
            else:
                keys += key
        if keys:
            self._session.window.pane.typed(bytes(keys))

    def _output(self, data: bytes) -> None:
        if _SWITCH in data:  # the pane's other screen, not the terminal's
            self._redraw()
        else:
            self._process.stdout.write(data)

    def _redraw(self) -> None:
        screen = self._session.window.pane.screen
        self._process.stdout.write(screen.redraw() + screen.modes_restored())
