"""The log: one line a decision, private, appended, rotated, never a key."""

import json
import threading

import pytest

from gpuhop_tui.ssh.guard.audit import KEPT, AuditLog, files
from gpuhop_tui.ssh.guard.model import Purpose, SignatureEvent, SignatureFacts

FACTS = SignatureFacts(
    node="gpu-01",
    via=("jump",),
    purpose=Purpose.LOGIN,
    key="SHA256:abc",
    user="g\nit\x1b",
    destination=("github.com",),
    host_key="SHA256:host",
)
EVENT = SignatureEvent(12.5, 1, "gpu-01", ("jump",), True, "allowed by you once", FACTS, asked=True)


def test_a_line(tmp_path):
    log = AuditLog(tmp_path / "state" / "agent.jsonl")
    log.append(EVENT)
    text = log.path.read_text()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    line = json.loads(text)
    assert (line["decision"], line["user"], line["time"]) == ("allowed", "g\nit\x1b", 12.5)
    assert line["destination"] == ["github.com"]
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700


def test_what_was_there_is_kept_and_closed_to_others(tmp_path):
    log = AuditLog(tmp_path / "agent.jsonl")
    log.path.write_text("before\n")
    log.path.chmod(0o644)
    log.append(EVENT)
    assert log.path.read_text().startswith("before\n{")
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_it_is_rotated(tmp_path):
    log = AuditLog(tmp_path / "agent.jsonl", rotate_bytes=1000)
    for _ in range(40):
        log.append(EVENT)
    found = files(log.path)
    assert len(found) == KEPT
    assert found[-1] == log.path
    assert all(file.stat().st_size < 2000 for file in found)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in found)


def test_several_programs_write_whole_lines(tmp_path):
    logs = [AuditLog(tmp_path / "agent.jsonl", rotate_bytes=3000) for _ in range(3)]
    threads = [
        threading.Thread(target=lambda log=log: [log.append(EVENT) for _ in range(20)])
        for log in logs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for file in files(logs[0].path):
        for line in file.read_text().splitlines():
            assert json.loads(line)["node"] == "gpu-01"


def test_a_link_in_its_place_is_not_followed(tmp_path):
    log = AuditLog(tmp_path / "agent.jsonl")
    (tmp_path / "elsewhere").write_text("")
    log.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        log.append(EVENT)
    assert (tmp_path / "elsewhere").read_text() == ""


def test_texts_of_remote_hosts_are_bounded(tmp_path):
    log = AuditLog(tmp_path / "agent.jsonl")
    log.append(SignatureEvent(1.0, 1, "n", (), False, "x" * 100_000, refused="y" * 100_000))
    assert log.path.stat().st_size < 10_000
