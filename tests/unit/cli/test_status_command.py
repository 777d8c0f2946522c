"""`status` from end to end with a scripted fleet: what is printed where, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from gpuhop_tui.cli.main import command_line
from gpuhop_tui.cli.status import run_status
from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.ssh.prompts import NoPrompter, Prompter
from tests.unit.cli.doubles import ScriptedFleet
from tests.unit.cli.states import connecting, refused, up

PROGRAM = [sys.executable, "-m", "tests.unit.cli.scripted_status"]


def run(fleet: ScriptedFleet, *argv: str) -> int:
    async def open_fleet(prompter: Prompter) -> ScriptedFleet:
        assert type(prompter) is NoPrompter, "nobody is at a terminal here"
        return fleet

    status = run_status(command_line().parse_args(["status", *argv]), open_fleet)
    assert fleet.stopped
    return status


def test_all_answered_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ScriptedFleet(FleetState(nodes=(connecting(),)), FleetState(nodes=(up(),)))) == 0
    output = capsys.readouterr()
    assert "A100-SXM4-80GB" in output.out
    assert output.err == "", "progress is for terminals"


def test_one_that_failed_is_1_and_the_others_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ScriptedFleet(FleetState(nodes=(up(), refused()))), "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert [node["name"] for node in report["nodes"]] == ["gpu-01", "gpu-02"]
    assert [node["error"] and node["error"]["kind"] for node in report["nodes"]] == [
        None,
        "refused",
    ]


def test_one_that_is_silent_is_a_timeout(capsys: pytest.CaptureFixture[str]) -> None:
    fleet = ScriptedFleet(FleetState(nodes=(up(), connecting("gpu-02"))))
    assert run(fleet, "--json", "--timeout", "0.05") == 1
    nodes = json.loads(capsys.readouterr().out)["nodes"]
    assert nodes[0]["error"] is None
    assert nodes[1]["error"]["kind"] == "timeout"
    assert nodes[1]["state"] == "connecting"


def start(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_follow_prints_a_line_a_change_until_a_signal(number: signal.Signals) -> None:
    with start("status", "--follow") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(302)]
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stdout.read() == process.stderr.read() == ""
    assert [line["nodes"][0]["name"] for line in lines[:3]] == ["gpu-01", "gpu-02", "gpu-01"]
    assert all(line["schema"] == 1 and len(line["nodes"]) == 1 for line in lines)
    assert lines[-1]["nodes"][0]["sampled_at"] == 2e9 + 299


@pytest.mark.parametrize(("argv", "expected"), [(["--follow"], 0), (["--json"], 141)])
def test_a_closed_pipe_ends_it_quietly(argv: list[str], expected: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, "status", *argv], stdout=writing, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (expected, b"")


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_status_that_waits(number: signal.Signals, expected: int) -> None:
    code = (
        "import sys, tests.unit.cli.scripted_status as s\n"
        "from tests.unit.cli.doubles import ScriptedFleet\n"
        "class Waiting(ScriptedFleet):\n"
        "    async def start(self): print('waiting', flush=True)\n"
        "async def open_fleet(prompter): return Waiting(s.FleetState(nodes=(s.connecting(),)))\n"
        "s.opening.fleet_opener = lambda *_, **__: open_fleet\n"
        "sys.exit(s.main(['status']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        assert process.wait(30) == expected
        assert process.stderr.read() == ""
