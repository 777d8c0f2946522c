"""tmux sessions of a node, their windows and panes, as plain immutable data.

Times are seconds since the epoch by the node's clock; sizes are columns and rows. Text comes from
the node with its control characters shown as `?`; ids ($1, @2, %3), not names, are aimed at.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuhop_tui.sessions.in_container import InContainer


@dataclass(frozen=True, slots=True)
class Progress:
    """A progress bar as its line tells it. None is what the line does not say."""

    percent: float | None = None
    done: float | None = None
    total: float | None = None
    rate: float | None = None  # in `rate_unit`
    rate_unit: str | None = None  # such as "it/s", "s/it", "MB/s"
    elapsed_seconds: float | None = None
    eta_seconds: float | None = None
    label: str = ""  # what stands before the bar


@dataclass(frozen=True, slots=True)
class TmuxPane:
    """One pane and the last that it said."""

    id: str
    index: int
    title: str
    command: str  # the running program's name
    cwd: str
    pid: int | None  # of the pane's first process
    columns: int
    rows: int
    active: bool  # in its window
    dead: bool = False  # its command ended, its last screen is kept
    exit_status: int | None = None  # of a dead pane, where tmux tells it
    exit_signal: int | None = None
    alternate: bool = False  # a full-screen program such as vi or htop
    last_line: str | None = None  # the last line that is not blank; None: not read yet
    progress: Progress | None = None  # of that line


@dataclass(frozen=True, slots=True)
class TmuxWindow:
    """One window of a session."""

    id: str
    index: int
    name: str
    active: bool  # in its session
    activity_at: float | None  # the last output of any of its panes
    columns: int
    rows: int
    panes: tuple[TmuxPane, ...]


@dataclass(frozen=True, slots=True)
class TmuxClient:
    """A terminal that shows a session."""

    name: str
    columns: int
    rows: int
    read_only: bool = False
    control: bool = False

    @property
    def is_viewer(self) -> bool:
        """Whether it only looks on, as our tails do."""
        return self.read_only and self.control


def server_of(socket: str, place: InContainer | None) -> str:
    """What tells a tmux server apart on its node."""
    return socket if place is None else f"{place.id[:12]}:{socket}"


@dataclass(frozen=True, slots=True)
class TmuxSession:
    """One session. `key` is unique in the fleet for as long as the session lives."""

    node: str
    socket: str  # the server's, as a path on the node
    server_pid: int
    version: str  # the server's
    id: str
    name: str
    created_at: float
    windows: tuple[TmuxWindow, ...]
    clients: tuple[TmuxClient, ...] = ()
    place: InContainer | None = None  # where it runs in a container

    @property
    def key(self) -> tuple[str, str, int, str]:
        return self.node, self.server, self.server_pid, self.id

    @property
    def server(self) -> str:
        """The server's socket, and the container that it is in: unique on the node."""
        return server_of(self.socket, self.place)

    @property
    def container(self) -> str | None:
        """The name of the container that it runs in."""
        return self.place.name if self.place else None

    @property
    def attached(self) -> int:
        """Clients that a person sits at, lookers-on not counted."""
        return sum(not client.is_viewer for client in self.clients)

    @property
    def activity_at(self) -> float | None:
        """The last output of any pane."""
        times = [w.activity_at for w in self.windows if w.activity_at is not None]
        return max(times, default=None)

    @property
    def active_window(self) -> TmuxWindow | None:
        return next((w for w in self.windows if w.active), None)

    @property
    def active_pane(self) -> TmuxPane | None:
        """What who attaches would see first."""
        window = self.active_window
        return next((p for p in window.panes if p.active), None) if window else None

    @property
    def panes(self) -> tuple[TmuxPane, ...]:
        return tuple(pane for window in self.windows for pane in window.panes)
