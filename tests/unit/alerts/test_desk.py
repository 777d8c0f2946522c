"""Alerts handed on to a real program and a real server, kept, and silenced."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gpuhop_tui.config.schema import AlertsConfig
from gpuhop_tui.fleet.alerts import deliver
from gpuhop_tui.fleet.alerts import desk as desk_module
from gpuhop_tui.fleet.alerts.deliver import DeliveryError, arguments, post, run_command
from gpuhop_tui.fleet.alerts.desk import AlertDesk
from gpuhop_tui.fleet.alerts.model import Alert, AlertKind, to_facts
from gpuhop_tui.fleet.jobs.model import JobState
from gpuhop_tui.fleet.state import FleetState
from tests.lab.waiting import await_until
from tests.unit.alerts.states import fleet, job, node

KILLED = Alert(
    AlertKind.JOB_KILLED,
    "gpu-01",
    "python train.py (ann) was killed by SIGKILL",
    at=5.0,
    gpus=(0, 1),
    job="python train.py\x1b]0;x\x07",
    pid=41,
    user="ann",
    signal=9,
)
RUNNING = fleet(node(jobs=(job(),)))
OVER = fleet(node(jobs=(job(JobState.KILLED, signal=9),)))


async def test_a_program_gets_the_facts_and_no_shell(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = 'printf "%s|" "$GPUHOP_KIND" "$GPUHOP_GPUS" "$GPUHOP_JOB" "$GPUHOP_SIGNAL" "$@" >"$0"'
    command = ("sh", "-c", script, str(out), "{title}", "$(id) {words}")
    await run_command(command, KILLED)
    assert out.read_text().split("|") == [
        "job-killed", "0,1", "python train.py ]0;x ", "9", "job killed on gpu-01",
        f"$(id) {KILLED.words}", "",
    ]  # fmt: skip


def test_the_program_itself_is_not_filled_in() -> None:
    assert arguments(("{title}", "{title}"), KILLED) == ["{title}", "job killed on gpu-01"]


def test_what_a_node_says_is_no_option() -> None:
    alert = replace(KILLED, words="--help (ann) was killed")
    made = arguments(("notify", "-u", "{words}", "--text={words}"), alert)
    assert made == ["notify", "-u", " --help (ann) was killed", "--text=--help (ann) was killed"]


async def test_a_program_that_fails_hangs_or_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DeliveryError, match="false failed with exit status 1"):
        await run_command(("false",), KILLED)
    with pytest.raises(DeliveryError, match="cannot run no-such-program"):
        await run_command(("no-such-program",), KILLED)
    monkeypatch.setattr(deliver, "COMMAND_SECONDS", 0.05)
    with pytest.raises(DeliveryError, match="sleep took more than"):
        await run_command(("sleep", "600"), KILLED)


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what is posted."""

    status = 200
    got: list[tuple[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[type[Hook], str]]:
    handler = type("Handler", (Hook,), {"got": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{server.server_port}/a-token"
        server.shutdown()


async def test_a_webhook_gets_json(hook: tuple[type[Hook], str]) -> None:
    handler, address = hook
    await post(address, KILLED)
    assert handler.got == [("application/json", {"schema": 1, **to_facts(KILLED)})]
    assert handler.got[0][1]["signal"] == 9


async def test_a_webhook_that_fails_is_named_without_its_token(
    hook: tuple[type[Hook], str],
) -> None:
    handler, address = hook
    handler.status = 500
    with pytest.raises(DeliveryError) as failed:
        await post(address, KILLED)
    assert str(failed.value) == "127.0.0.1 answered with HTTP status 500"
    with pytest.raises(DeliveryError) as failed:
        await post("http://127.0.0.1:1/a-token", KILLED)
    assert "refused" in str(failed.value)
    assert "token" not in str(failed.value)


@dataclass
class Watched:
    """A fleet whose state is set by hand."""

    state: FleetState


class Kept:
    """Notes in memory."""

    def __init__(self) -> None:
        self.facts: dict[str, dict[str, Any]] = {}

    def note(self, kind: str, key: str, at: float, facts: dict[str, Any]) -> None:
        assert kind == "alert"
        self.facts[key] = facts

    async def notes(self, kind: str, since: float) -> list[dict[str, Any]]:
        return list(self.facts.values())


async def test_what_is_found_is_told_kept_and_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Sequence[Alert]] = []
    monkeypatch.setattr(desk_module, "LOOK_SECONDS", 0.01)
    desk, source, kept = AlertDesk(AlertsConfig(), on_alerts=told.append), Watched(RUNNING), Kept()
    desk.start(source, kept)
    await await_until(lambda: desk.engine._nodes, "a first look")
    source.state = OVER
    await await_until(lambda: told and kept.facts, "an alert")
    assert [alert.kind for alert in desk.log] == [AlertKind.JOB_KILLED]
    assert desk.unread == 1
    await desk.close()

    again = AlertDesk(AlertsConfig())
    again.start(Watched(OVER), kept)
    await await_until(lambda: again.log, "the log")
    assert again.log == desk.log
    assert again.unread == 0
    await again.close()


async def test_silence_is_kept_and_the_log_goes_on() -> None:
    now = 1000.0
    told: list[Sequence[Alert]] = []
    desk = AlertDesk(AlertsConfig(), clock=lambda: now, on_alerts=told.append)
    desk.silence(60)
    desk.observe(RUNNING)
    assert [alert.kind for alert in desk.observe(OVER)] == [AlertKind.JOB_KILLED]
    assert (told, len(desk.log), desk.is_silent) == ([], 1, True)
    now = 1061.0
    assert not desk.is_silent
    desk.observe(RUNNING)
    desk.observe(OVER)
    assert len(told) == 1


async def test_a_way_that_fails_is_said_once_until_it_works_again(tmp_path: Path) -> None:
    failures: list[str] = []
    program = tmp_path / "program"
    log = tmp_path / "log"
    desk = AlertDesk(AlertsConfig(command=(str(program),)), on_failure=failures.append)

    async def alert(tasks: int = 0) -> None:
        desk.observe(RUNNING)
        desk.observe(OVER)
        await await_until(lambda: len(desk._tasks) == tasks, "the program")

    await alert()
    await alert()
    assert len(failures) == 1
    assert "could not be handed on by command: cannot run" in failures[0]
    program.write_text(f"#!/bin/sh\necho $GPUHOP_NODE >>{log}\n")
    program.chmod(0o755)
    await alert()
    assert log.read_text() == "gpu-01\n"
    program.unlink()
    await alert()
    assert len(failures) == 2
