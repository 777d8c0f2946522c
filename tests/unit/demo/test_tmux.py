"""The demo's tmux as the app's own readers see it: snapshots, control mode, what is typed."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpuhop_tui.demo.machine import Machine
from gpuhop_tui.demo.shell.shell import Shell
from gpuhop_tui.demo.tmux.commands import TmuxError, run
from gpuhop_tui.demo.tmux.control import ControlClient
from gpuhop_tui.demo.tmux.program import Program, Training
from gpuhop_tui.demo.tmux.server import Session, TmuxServer
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.tail_control import ControlFollower
from gpuhop_tui.sessions.tail_screen import PaneScreen
from gpuhop_tui.sessions.tail_snapshot import PaneState, read_snapshot, screen_of, snapshot_commands
from gpuhop_tui.sessions.tail_view import TailState
from tests.unit.demo.nodes import machine


@pytest.fixture
def node(tmp_path: Path) -> Machine:
    return machine("gpu-01", tmp_path / "home")


def session_of(server: TmuxServer, program: Program, size: tuple[int, int] = (80, 12)) -> Session:
    return server.new("mine", program, size=size)


def text(session: Session) -> str:
    return "\n".join(row.rstrip() for row in session.window.pane.screen.text)


async def test_a_snapshot_gives_the_screen_again(node: Machine) -> None:
    server = TmuxServer("/s", 1)
    session = session_of(server, Training("x", 0.0, seconds=7, steps=10))
    pane = session.window.pane
    pane.catch_up()
    answers = [
        [line.encode() for line in run(server, shlex.split(command))]
        for command in snapshot_commands(pane.id, 200)
    ]
    snapshot = read_snapshot(answers)
    again = screen_of(snapshot)
    assert again.shows_the_same(pane.screen)
    assert again.kept == pane.screen.kept > 0


async def test_what_is_not_there_is_refused(node: Machine) -> None:
    for command in (["capture-pane", "-p", "-t", "%99"], ["kill-session", "-t", "none"], ["new"]):
        with pytest.raises(TmuxError):
            run(node.seat.tmux, command)


class Pipe:
    """The two ends of a control client's process, in memory."""

    def __init__(self) -> None:
        self.to_server, self.to_client = asyncio.StreamReader(), asyncio.StreamReader()
        self.server = SimpleNamespace(
            stdin=self.to_server, stdout=SimpleNamespace(write=self.to_client.feed_data)
        )
        self.client = SimpleNamespace(
            stdin=SimpleNamespace(write=self.to_server.feed_data), stdout=self.to_client
        )


class Sink:
    def __init__(self) -> None:
        self.screen: PaneScreen | None = None
        self.changed = asyncio.Event()

    def show(self, screen: PaneScreen, state: PaneState, how: TailState) -> None:
        self.screen = screen
        self.changed.set()

    async def until(self, words: str) -> None:
        async with asyncio.timeout(20):
            while self.screen is None or not any(words in row for row in self.screen.text):
                self.changed.clear()
                await self.changed.wait()


async def test_a_tail_follows_a_pane_to_its_end(node: Machine) -> None:
    server = node.seat.tmux
    session = server.new("mine", Shell(node.place()), size=(90, 20))
    pipe, sink = Pipe(), Sink()
    serving = asyncio.create_task(ControlClient(server, session, pipe.server).serve())
    seen = TmuxSession("n", server.socket, server.pid, "", session.id, "mine", 0.0, ())
    follower = ControlFollower(seen, session.window.pane.id, sink)
    following: asyncio.Task[Any] = asyncio.create_task(follower.follow(pipe.client))
    await sink.until("Try `help`")
    session.window.pane.typed(b"echo caf\xc3\xa9\r")
    await sink.until("café")
    assert sink.screen is not None
    session.window.pane.typed(b"python train.py\r")
    await sink.until("epoch 1")
    server.kill(session)
    await asyncio.wait_for(serving, 20)
    pipe.to_client.feed_eof()
    await asyncio.wait_for(following, 20)


async def test_a_session_ends_with_its_shell(node: Machine) -> None:
    session = session_of(node.seat.hops, Shell(node.place()))
    session.window.pane.typed(b"exit\r")
    assert session.over.is_set()
    assert session not in node.seat.hops.sessions


async def test_ctrl_c_ends_what_runs_and_leaves_the_shell(node: Machine) -> None:
    lora = node.seat.tmux.find_session("eval")
    assert lora is not None
    pane = lora.window.pane
    pane.catch_up()
    pane.typed(b"\x03")
    assert pane.program.ended is None
    assert pane.program.command == "bash"
    assert "$" in text(lora)
