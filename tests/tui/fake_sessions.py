"""tmux sessions that need no tmux: some to look at, and what acts on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.jobs.signals import Signalled, SignalName
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.sessions.model import Progress, TmuxClient, TmuxPane, TmuxSession, TmuxWindow
from gpuhop_tui.sessions.progress import read_progress
from gpuhop_tui.sessions.tail_screen import PLAIN_STYLE, Line, Run, Style
from gpuhop_tui.sessions.tail_view import TailState, TailView
from gpuhop_tui.sessions.tmux_actions import Created, NewSession

TQDM = "epoch 3/10:  71%|███████   | 7100/10000 [12:31<05:07,  9.45it/s, loss=0.31]"


def pane(
    id: str = "%1", command: str = "python", last_line: str | None = "", **more: object
) -> TmuxPane:
    progress: Progress | None = read_progress(last_line) if last_line else None
    fields: dict[str, object] = {
        "index": 0, "active": True, "columns": 200, "rows": 50, "progress": progress, **more
    }  # fmt: skip
    return TmuxPane(
        id=id, title="", command=command, cwd="/home/me", pid=4711, last_line=last_line,
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def session(
    name: str, now: float, *panes: TmuxPane, node: str = "gpu-01", number: int = 1,
    socket: str = "/tmp/tmux-1000/default", idle: float = 4.0, clients: int = 0,
) -> TmuxSession:  # fmt: skip
    window = TmuxWindow("@1", 0, "main", True, now - idle, 200, 50, panes or (pane(),))
    people = tuple(TmuxClient(f"/dev/pts/{n}", 120, 40) for n in range(clients))
    return TmuxSession(node, socket, 900, "3.3a", f"${number}", name, now - 7200, (window,), people)


def some_sessions(now: float, node: str = "gpu-01") -> tuple[TmuxSession, ...]:
    """One of each kind that is shown differently."""
    editor = pane("%5", "vim", "-- INSERT --", active=False, index=1, alternate=True)
    return (
        session("train", now, pane("%1", "python", TQDM), node=node, clients=1),
        session("gpuhop", now, pane("%2", "bash", "me@gpu-01:~$"), node=node, number=2,
                socket="/tmp/tmux-1000/gpuhop", idle=310),
        session("sweep", now, pane("%3", "python", "OutOfMemoryError: CUDA out of memory",
                                   dead=True, exit_status=1), node=node, number=3, idle=4000),
        session("edit", now, pane("%4", "bash", "ls"), editor, node=node, number=4,
                socket="/home/me/own.sock", idle=90000),
    )  # fmt: skip


def with_sessions(state: FleetState, now: float) -> FleetState:
    """The fleet with sessions on gpu-01, none on gpu-02, and no tmux on mig-01."""
    no_tmux = Problem(
        "mig-01", ErrorKind.NO_TMUX, "there is no tmux on mig-01",
        "Install tmux there: without it no shell survives a lost connection.",
    )  # fmt: skip
    fields: dict[str, dict[str, object]] = {
        "gpu-01": {"sessions": some_sessions(now)},
        "gpu-02": {"sessions": ()},
        "mig-01": {"sessions_problem": no_tmux},
    }

    def filled(node: NodeState) -> NodeState:
        return replace(node, **fields.get(node.name, {}))  # type: ignore[arg-type]

    return replace(state, nodes=tuple(map(filled, state.nodes)))


class FakeTail:
    """A tail whose lines are set by hand."""

    def __init__(self, session: TmuxSession, pane: TmuxPane) -> None:
        self.session, self.pane = session, pane
        self.started = self.closed = False
        self.before: list[Line] = []
        self.view = TailView(columns=pane.columns, rows=pane.rows)
        self._changed = asyncio.Event()
        self._changed.set()

    def history(self, start: int, stop: int) -> list[Line]:
        return self.before[max(0, start) : max(0, stop)]

    def start(self) -> None:
        self.started = True

    async def close(self) -> None:
        self.closed = True

    async def changes(self) -> AsyncIterator[TailView]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield self.view

    # By hand

    def print(self, *lines: str | Line) -> None:
        """Let the pane print these; only its last rows are its screen."""
        all_lines = [*self.before, *self.view.lines]
        all_lines += [line if isinstance(line, tuple) else text_line(line) for line in lines]
        rows = self.pane.rows
        self.before, screen = all_lines[:-rows], all_lines[-rows:]
        self.set(
            state=TailState.LIVE, lines=tuple(screen), scrollback=len(self.before),
            gone=len(self.before), cursor=None,
        )  # fmt: skip

    def set(self, **fields: object) -> None:
        self.view = replace(self.view, **fields)  # type: ignore[arg-type]
        self._changed.set()


def text_line(text: str, style: Style = PLAIN_STYLE) -> Line:
    return (Run(text, style),) if text else ()


class FakeSessions:
    """What acts on the sessions of one node, and remembers what it was asked for."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.watched = False
        self.asked: list[tuple[str, ...]] = []
        self.tails: list[FakeTail] = []
        self.refusal: Exception | None = None
        self.signalled = Signalled.SENT
        self.on_new: Callable[[NewSession], None] = lambda _wanted: None
        self.wanted: NewSession | None = None

    def watch(self, wanted: bool) -> None:
        self.watched = wanted

    async def new(self, wanted: NewSession) -> Created:
        self.wanted = wanted
        if self.refusal is not None:
            raise self.refusal
        self.on_new(wanted)
        return Created("/tmp/tmux-1000/default", "$9", "%9")

    async def kill(self, session: TmuxSession) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(("kill", session.name))

    async def dismiss(self, session: TmuxSession, pane: TmuxPane) -> None:
        self.asked.append(("dismiss", session.name, pane.id))

    async def signal(self, job: Job, name: SignalName) -> Signalled:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(("signal", name, str(job.pid)))
        return self.signalled

    async def reserve(self, gpu: Gpu, seconds: float, note: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(("reserve", str(gpu.index), f"{seconds:.0f}", note))

    async def end_reservation(self, gpu: Gpu) -> None:
        self.asked.append(("end reservation", str(gpu.index)))

    def tail(self, session: TmuxSession, pane: TmuxPane) -> FakeTail:
        tail = FakeTail(session, pane)
        self.tails.append(tail)
        return tail


def training_log(tail: FakeTail, lines: int = 300) -> None:
    """A log with colours, a long line and a bar at its end."""
    green, warn = Style(foreground=2), Style(foreground=3, bold=True)
    for step in range(lines):
        words = f"step {step:5}  loss {1 / (1 + step / 50):.4f}  lr 3.0e-04"
        tail.print((Run("INFO ", green), Run(words, PLAIN_STYLE)))
        if step % 40 == 39:
            note = "gradient norm clipped at 1.0: " + ", ".join(f"layer {n}" for n in range(30))
            tail.print((Run("WARN ", warn), Run(note, PLAIN_STYLE)))
    tail.print(TQDM)
