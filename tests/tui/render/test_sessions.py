"""Sessions as lines: pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuhop_tui.sessions.model import Progress
from gpuhop_tui.tui.keymap import clashes
from gpuhop_tui.tui.render.line import plain, width_of
from gpuhop_tui.tui.render.sessions import (
    KeyNames,
    describe,
    progress_line,
    session_rows,
    socket_name,
)
from tests.tui.fake_sessions import pane, session, some_sessions, with_sessions
from tests.tui.fakes import NOW, fleet_state

WHOLE = Progress(
    percent=71, done=7100, total=10000, rate=9.45, rate_unit="it/s", eta_seconds=307, label="epoch"
)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (70, "epoch  ━━━━━━━━━━━━━━━━━━━━━╾──────── 71 %  9.45 it/s  eta 5 min"),
        (40, "━━━━━━━━╾─── 71 %  9.45 it/s  eta 5 min"),
        (30, "━━━━━━━━━──── 71 %  eta 5 min"),
    ],
)
def test_progress_has_what_there_is_room_for(width: int, words: str) -> None:
    line = progress_line(WHOLE, width)
    assert plain(line) == words
    assert width_of(line) <= width


def test_progress_tells_what_it_knows() -> None:
    assert plain(progress_line(Progress(done=450, rate=5, rate_unit="it/s"), 60)) == (
        "450 done  5 it/s"
    )
    assert plain(progress_line(Progress(percent=0), 20)).endswith("0 %  ")


@pytest.mark.parametrize(
    ("socket", "name"),
    [
        ("/tmp/tmux-1000/default", ""),
        ("/tmp/tmux-1000/gpuhop", "gpuhop"),
        ("/run/user/1000/tmux-1000/work", "work"),
        ("/home/me/own.sock", "/home/me/own.sock"),
    ],
)
def test_sockets_are_told_apart(socket: str, name: str) -> None:
    assert socket_name(session("it", NOW, socket=socket)) == name


def test_what_runs_is_described() -> None:
    train, shell, sweep, edit = some_sessions(NOW)
    assert describe(train) == "python in 1 pane; 1 terminal attached to it"
    assert describe(shell) == "bash in 1 pane"
    assert describe(sweep) == "nothing in 1 pane"
    assert describe(edit) == "bash, vim in 2 panes"
    crowd = session("crowd", NOW, *(pane(f"%{n}", f"job{n}") for n in range(6)))
    assert describe(crowd) == "job0, job1, job2, job3 and more in 6 panes"


def test_clashing_keys() -> None:
    assert clashes({}) == []
    assert clashes({"filter": "f"}) == ["f is both freest and filter"]
    assert clashes({"filter": "question_mark"}) == ["question_mark is both filter and help"]
    assert clashes({"sort": "?"}) == ["question_mark is both sort and help"]
    assert clashes({"tail-wrap": "f"}) == []  # another place
    assert clashes({"tail-wrap": "q"}) == ["q is both tail-wrap and quit"]


def test_what_is_left_out_is_told_below_the_others() -> None:
    node = with_sessions(fleet_state(), NOW).node("gpu-01")
    assert node is not None
    for sessions in (node.sessions, ()):
        there = replace(node, sessions=sessions, sessions_left_out="no docker command there")
        rows = session_rows(there, 80, NOW, KeyNames("N", "enter", "x"))
        assert (rows[-1][0], plain(rows[-1][1])) == (None, "Left out: no docker command there.")
