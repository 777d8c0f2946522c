"""`gpuhop-tui audit`: the log as a person and as a script reads it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gpuhop_tui.cli.audit import parse_since
from gpuhop_tui.cli.failure import CommandError
from gpuhop_tui.cli.main import main
from gpuhop_tui.ssh.guard.audit import AuditLog
from gpuhop_tui.ssh.guard.model import Purpose, SignatureEvent, SignatureFacts

FACTS = SignatureFacts(
    node="gpu-01",
    via=("jump",),
    purpose=Purpose.LOGIN,
    key="SHA256:k",
    key_comment="me@laptop",
    user="git\x1b[2J",
    destination=("github.com",),
    host_key="SHA256:h",
)


def event(at: float, **changes: object) -> SignatureEvent:
    fields = {"allowed": True, "reason": "allowed by you once", "facts": FACTS} | changes
    return SignatureEvent(at, 1, "gpu-01", ("jump",), **fields)  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditLog:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return AuditLog(rotate_bytes=2000)


def test_a_line_a_decision(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    log.append(event(1000.0))
    refused = {"allowed": False, "facts": None, "refused": "remove all keys", "unlogged": 7}
    log.append(event(2000.0, reason="only listing and signing are lent", **refused))
    assert main(["audit"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "allowed  gpu-01 (via jump)  log in as git?[2J at github.com  key me@laptop" in first
    assert "denied" in second
    assert "remove all keys" in second
    assert "7 refusals before" in second


def test_a_made_up_user_writes_no_sentence(
    log: AuditLog, capsys: pytest.CaptureFixture[str]
) -> None:
    log.append(event(1000.0, facts=replace(FACTS, user="git at github.com  key me")))
    assert main(["audit"]) == 0
    assert 'log in as "git at github.com  key me" at github.com' in capsys.readouterr().out


def test_json_and_since_over_rotated_files(
    log: AuditLog, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.time()
    for age in range(12, 0, -1):
        log.append(event(now - age * 3600))
    log.path.write_text(log.path.read_text() + 'broken\n[1]\n{"time": "then"}\n')
    assert main(["audit", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 12
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert lines[0]["schema"] == 1
    assert main(["audit", "--json", "--since", "90m"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_nothing_yet(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit"]) == 0
    assert "nothing was asked" in capsys.readouterr().err


def test_follow_goes_on_over_a_rotation(log: AuditLog) -> None:
    log.append(event(1.0))
    process = subprocess.Popen(
        [sys.executable, "-m", "gpuhop_tui", "audit", "--json", "--follow"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for at in range(1, 9):
            assert json.loads(process.stdout.readline())["time"] == at
            log.append(event(at + 1.0))
    finally:
        process.terminate()
        process.wait()


def test_times() -> None:
    assert parse_since("2h", 10_000.0) == 2800.0
    assert parse_since("1970-01-02T00:00:00+00:00", 0.0) == 86400.0
    for wrong in ("soon", "2y", "-1h", "99999-01-01", ""):
        with pytest.raises(CommandError):
            parse_since(wrong, 0.0)
