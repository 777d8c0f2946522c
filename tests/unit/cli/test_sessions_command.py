"""`sessions` from end to end with a scripted fleet: what is printed, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.cells import cell_len

from gpuhop_tui.cli.main import command_line
from gpuhop_tui.cli.sessions import run_sessions
from gpuhop_tui.cli.sessions_table import render_sessions
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.sessions.model import Progress, TmuxClient, TmuxPane, TmuxSession, TmuxWindow
from gpuhop_tui.ssh.prompts import Prompter
from tests.unit.cli.doubles import ScriptedFleet
from tests.unit.cli.states import refused, up

PANE = TmuxPane("%0", 0, "title", "python", "/data", 42, 80, 24, True, last_line="step 3")
WINDOW = TmuxWindow("@0", 0, "main", True, 940.0, 80, 24, (PANE,))
SESSION = TmuxSession(
    "gpu-01", "/tmp/tmux-1/default", 7, "3.3a", "$0", "train", 100.0, (WINDOW,),
    (TmuxClient("/dev/pts/1", 90, 25), TmuxClient("client-9", 80, 24, True, True)),
)  # fmt: skip
NO_TMUX = Problem("gpu-02", ErrorKind.NO_TMUX, "there is no tmux on gpu-02", "Install tmux.")


def with_pane(**changes: object) -> TmuxSession:
    pane = replace(PANE, **changes)  # type: ignore[arg-type]
    return replace(SESSION, windows=(replace(WINDOW, panes=(pane,)),))


def listed(*sessions: TmuxSession) -> NodeState:
    return replace(up(), sessions=sessions)


class SessionFleet(ScriptedFleet):
    def watch_sessions(self, wanted: bool) -> None:
        assert wanted
        assert not self.started, "asked for before the first connection"


def run(fleet: ScriptedFleet, *argv: str) -> int:
    async def open_fleet(prompter: Prompter) -> ScriptedFleet:
        return fleet

    status = run_sessions(command_line().parse_args(["sessions", *argv]), open_fleet)
    assert fleet.stopped
    return status


def test_all_listed_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    fleet = SessionFleet(FleetState(nodes=(up(),)), FleetState(nodes=(listed(SESSION),)))
    assert run(fleet, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    (node,) = report["nodes"]
    assert (report["schema"], node["name"], node["state"], node["error"]) == (
        1, "gpu-01", "up", None,
    )  # fmt: skip
    (session,) = node["sessions"]
    assert session["name"] == "train"
    assert (session["attached"], len(session["clients"])) == (1, 2)
    assert session["windows"][0]["panes"][0]["last_line"] == "step 3"


def test_figures_are_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    node = replace(listed(), sample=None)
    assert run(SessionFleet(FleetState(nodes=(node,)))) == 0
    assert "0 sessions" in capsys.readouterr().out


def test_problems_are_1(capsys: pytest.CaptureFixture[str]) -> None:
    without = replace(up("gpu-02"), sessions_problem=NO_TMUX)
    assert run(SessionFleet(FleetState(nodes=(listed(SESSION), without, refused("gpu-03"))))) == 1
    output = capsys.readouterr().out
    assert "no-tmux at gpu-02" in output
    assert "refused at gpu-03" in output
    assert "train" in output


def test_what_is_left_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    node = replace(listed(SESSION), sessions_left_out="you may not use the engine")
    assert run(SessionFleet(FleetState(nodes=(node,)))) == 0
    assert "Left out: you may not use the engine" in capsys.readouterr().out
    assert run(SessionFleet(FleetState(nodes=(node,))), "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["nodes"]
    assert told["left_out"] == "you may not use the engine"


def test_silence_is_a_timeout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(SessionFleet(FleetState(nodes=(up(),))), "--json", "--timeout", "0.05") == 1
    (node,) = json.loads(capsys.readouterr().out)["nodes"]
    assert (node["state"], node["error"]["kind"]) == ("up", "timeout")


@pytest.mark.parametrize(
    ("session", "line"),
    [
        (SESSION, "  train                 1 window  attached    1 m  python      step 3"),
        (
            replace(
                with_pane(
                    last_line="45%|...",
                    progress=Progress(45, 450, 1000, 5.41, "it/s", 83, 102, "epoch 3"),
                ),
                clients=(),
            ),
            "  train                 1 window  detached    1 m  python      "
            "epoch 3  45 %  5.41 it/s  eta 1 m",
        ),
        (
            with_pane(dead=True, exit_status=3),
            "  train                 1 window  attached    1 m  python      [exit 3] step 3",
        ),
        (
            with_pane(dead=True, exit_signal=9, last_line=None),
            "  train                 1 window  attached    1 m  python      [killed by signal 9]",
        ),
    ],
)
def test_lines_of_the_table(session: TmuxSession, line: str) -> None:
    text = render_sessions(FleetState(nodes=(listed(session),)), now=1000.0, width=120)
    assert text.splitlines()[1] == line


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_too_wide(width: int) -> None:
    session = replace(with_pane(last_line="漢字 " * 100, command="x" * 50), name="n" * 99)
    text = render_sessions(FleetState(nodes=(listed(session),)), now=1000.0, width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
