"""tmux on a machine of the lab, as its user runs it by hand."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gpuhop_tui.sessions.tail import Tail
from gpuhop_tui.sessions.tail_view import TailState, TailView
from tests.lab.machine import Machine
from tests.lab.waiting import await_until

SETTLE_SECONDS = 15.0


class Tmux:
    """One tmux server of the machine's user, by a socket: ("-L", name) or ("-S", path)."""

    def __init__(self, machine: Machine, *socket: str, env: dict[str, str] | None = None) -> None:
        self.machine = machine
        self._socket = socket
        self._env = env

    def argv(self, *arguments: str) -> list[str]:
        return self.machine.as_user(["tmux", "-u", *self._socket, *arguments])

    async def __call__(self, *arguments: str, check: bool = True) -> str:
        done = await self.machine.arun(self.argv(*arguments), check=check, env=self._env)
        return done.stdout

    async def new(self, name: str, command: str = "cat", *, size: str = "100x30") -> None:
        columns, rows = size.split("x")
        # cat, so that what is typed is shown and nothing else is.
        await self("-f", "/dev/null", "new-session", "-d", "-s", name, "-x", columns, "-y", rows,
                   command)  # fmt: skip

    async def tell(self, target: str, what: str) -> str:
        return (await self("display-message", "-p", "-t", target, what)).rstrip("\n")

    async def screen(self, target: str) -> list[str]:
        """The rows of a pane as tmux has them."""
        rows = (await self("capture-pane", "-p", "-t", target)).split("\n")[:-1]
        return [row.rstrip() for row in rows]

    async def history(self, target: str) -> list[str]:
        """The scrollback of a pane as tmux has it."""
        if await self.tell(target, "#{history_size}") == "0":
            return []
        rows = await self("capture-pane", "-p", "-t", target, "-S", "-", "-E", "-1")
        return [row.rstrip() for row in rows.split("\n")[:-1]]

    @contextmanager
    def attached(self, target: str, columns: int, rows: int) -> Iterator[int]:
        """A real client on a real terminal. Yields the terminal's other end."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen(
            self.machine.argv(self.argv("attach-session", "-t", target)),
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**self.machine.environ(), "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(theirs)
        over = threading.Event()
        drain = threading.Thread(target=_drain, args=(ours, over), daemon=True)
        drain.start()
        try:
            yield ours
        finally:
            over.set()
            drain.join()
            os.close(ours)  # the terminal hangs up, and the client ends
            process.wait()


def _drain(terminal: int, over: threading.Event) -> None:
    while not over.is_set():
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                os.read(terminal, 1 << 16)
            except OSError:
                return  # EIO: the client is gone


def texts(view: TailView) -> list[str]:
    """The rows that a tail shows, as plain text."""
    return ["".join(run.text for run in line).rstrip() for line in view.lines]


def kept(tail: Tail) -> list[str]:
    """The scrollback that a tail has, as plain text."""
    lines = tail.history(0, tail.view.scrollback)
    return ["".join(run.text for run in line).rstrip() for line in lines]


async def shows_what_tmux_has(tail: Tail, tmux: Tmux, *, state: TailState = TailState.LIVE) -> None:
    """Waits until the tail shows exactly the pane's rows, cursor and size. Raises AssertionError
    with the rows that differ where it does not come to that."""
    pane = tail.pane.id
    facts = "#{pane_width}x#{pane_height} #{cursor_x},#{cursor_y} #{cursor_flag}"
    seen: tuple[list[str], list[str]] = ([], [])

    async def same() -> bool:
        nonlocal seen
        rows, told = await tmux.screen(pane), await tmux.tell(pane, facts)
        seen = [told, *rows], [_facts(tail.view, told), *texts(tail.view)]
        return tail.view.state is state and seen[0] == seen[1]

    try:
        await await_until(same, "the same rows", SETTLE_SECONDS)
    except TimeoutError:
        rows = [f"tmux {a!r}\ntail {b!r}" for a, b in zip(*seen, strict=False) if a != b]
        raise AssertionError(f"{tail.view.state} {tail.view.problem}\n" + "\n".join(rows)) from None


def _facts(view: TailView, told: str) -> str:
    """Size and cursor as tmux tells them; a hidden cursor is nowhere, and one that stands just
    beyond the last column is on it."""
    place = told.split()[1]
    if view.cursor is None:
        return f"{view.columns}x{view.rows} {place} 0"
    x, y = view.cursor
    if x == view.columns - 1 and place == f"{view.columns},{y}":
        x += 1
    return f"{view.columns}x{view.rows} {x},{y} 1"


async def tail_reaches(tail: Tail, state: TailState, seconds: float = SETTLE_SECONDS) -> TailView:
    """Waits for a state of the tail."""
    async with asyncio.timeout(seconds):
        async for view in tail.changes():
            if view.state is state:
                return view
    raise AssertionError(f"the tail ended as {tail.view.state}")
