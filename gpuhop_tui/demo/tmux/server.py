"""A simulated tmux server: its sessions, each window with one pane, and who is attached."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gpuhop_tui.demo.tmux.program import Program
from gpuhop_tui.sessions.tail_screen import PaneScreen

VERSION = "3.4 (simulated)"
LOOK_SECONDS = 0.4  # between two looks at a pane that somebody watches

Listener = Callable[[bytes], None]


class Pane:
    """A program and its screen. Listeners hear what it writes."""

    def __init__(
        self, identity: str, pid: int, program: Program, size: tuple[int, int], cwd: str
    ) -> None:
        self.id, self.pid, self.program, self.cwd = identity, pid, program, cwd
        self.screen = PaneScreen(*size)
        self.activity_at = int(time.time())
        self.dead = False
        self.stays = False  # when its program has ended: remain-on-exit
        self.on_end: Callable[[Pane], None] = lambda _: None
        self._listeners: set[Listener] = set()
        program.resized(*size)

    def catch_up(self) -> None:
        """Takes in what was written since the last look."""
        if self.dead:
            return
        data = self.program.output(time.time())
        status = self.program.ended
        if status is not None and self.stays:
            how = f"status {status}" if status < 129 else f"signal {status - 128}"
            data += f"\x1b[0m\r\n\x1b[2mPane is dead ({how})\x1b[0m".encode()
        if data:
            self.screen.feed(data)
            self.activity_at = int(time.time())
            for listener in list(self._listeners):
                listener(data)
        if status is not None:
            self.dead = True
            self.on_end(self)

    def typed(self, data: bytes) -> None:
        if not self.dead:
            self.program.typed(data, time.time())
            self.catch_up()

    def resize(self, columns: int, rows: int) -> None:
        if (columns, rows) != (self.screen.columns, self.screen.height):
            self.screen.resize(columns, rows)
            self.program.resized(columns, rows)
            self.catch_up()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Returns what ends it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)


@dataclass(slots=True)
class Window:
    """A window and its one pane."""

    id: str
    index: int
    name: str
    pane: Pane


@dataclass(slots=True)
class Client:
    """Somebody who is attached."""

    name: str
    pid: int
    columns: int
    rows: int
    control: bool
    hang_up: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Session:
    """A session. `over` is set when it has ended."""

    id: str
    name: str
    created_at: int
    windows: list[Window]
    active: int = 0
    clients: list[Client] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    container: str = ""  # the id of the one that its shell is in

    @property
    def window(self) -> Window:
        return self.windows[min(self.active, len(self.windows) - 1)]


class TmuxServer:
    """The server at one socket. It is there for as long as its node, sessions or none."""

    def __init__(
        self, socket: str, pid: int, ended: Callable[[str], None] = lambda _: None
    ) -> None:
        """`ended` is told the name of each session that has ended."""
        self.socket, self.pid = socket, pid
        self.sessions: list[Session] = []
        self._ended = ended
        self._sessions, self._windows, self._panes = (itertools.count() for _ in range(3))
        self.pids = itertools.count(pid + 1)

    def new(
        self,
        name: str,
        program: Program,
        *,
        size: tuple[int, int] = (120, 36),
        cwd: str = "/",
        created_at: float | None = None,
        window: str = "",
        stays: bool = False,
    ) -> Session:
        """Raises ValueError for a name that is taken."""
        if any(each.name == name for each in self.sessions):
            raise ValueError(f"duplicate session: {name}")
        created = int(created_at or time.time())
        session = Session(f"${next(self._sessions)}", name, created, [])
        self.sessions.append(session)
        self.add_window(session, program, size=size, cwd=cwd, name=window, stays=stays)
        return session

    def add_window(
        self,
        session: Session,
        program: Program,
        *,
        size: tuple[int, int] = (120, 36),
        cwd: str = "/",
        name: str = "",
        stays: bool = False,
    ) -> Window:
        """One more window, behind the others."""
        pane = Pane(f"%{next(self._panes)}", next(self.pids), program, size, cwd)
        pane.stays = stays
        index = session.windows[-1].index + 1 if session.windows else 0
        window = Window(f"@{next(self._windows)}", index, name or program.command, pane)
        session.windows.append(window)
        pane.on_end = lambda ended: self._pane_ended(session, window, ended)
        return window

    def _pane_ended(self, session: Session, window: Window, pane: Pane) -> None:
        if not pane.stays:
            self.close_window(session, window)

    def close_window(self, session: Session, window: Window) -> None:
        """The session goes with its last one."""
        if window in session.windows:
            session.windows.remove(window)
        if not session.windows:
            self._remove(session)

    def kill(self, session: Session) -> None:
        session.windows.clear()
        self._remove(session)

    def _remove(self, session: Session) -> None:
        if session in self.sessions:
            self.sessions.remove(session)
            session.over.set()
            self._ended(session.name)

    def catch_up(self) -> None:
        """All panes, before they are listed."""
        for _, window in list(self.all_windows()):
            window.pane.catch_up()

    def all_windows(self) -> Iterator[tuple[Session, Window]]:
        for session in self.sessions:
            for window in session.windows:
                yield session, window

    def find_session(self, target: str) -> Session | None:
        """By id or name; what follows a colon does not matter."""
        name = target.partition(":")[0].removeprefix("=")
        return next((s for s in self.sessions if name in (s.id, s.name)), None)

    def find_window(self, target: str) -> tuple[Session, Window] | None:
        """By a pane's id, or a session's: its current window."""
        if target.startswith("%"):
            return next(((s, w) for s, w in self.all_windows() if w.pane.id == target), None)
        session = self.find_session(target)
        return (session, session.window) if session is not None else None
