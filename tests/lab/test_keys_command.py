"""`gpuhop-tui keys`, as typed on a terminal and as a script calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import keys
from tests.lab.hop_driving import HopTerminal

PROGRAM = str(Path(sys.executable).with_name("gpuhop-tui"))


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user with two keys and no agent; one that is started ends."""
    keys.generate(tmp_path / ".ssh" / "id_ed25519", passphrase="open sesame", comment="mira")
    keys.generate(tmp_path / ".ssh" / "id_rsa", kind="rsa", comment="old")
    (tmp_path / "run").mkdir()
    found = {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_CONFIG_HOME": str(tmp_path / ".config"),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
    }
    yield found
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_agent_of(entry, tmp_path):
            os.kill(int(entry.name), signal.SIGTERM)


def _is_agent_of(process: Path, home: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0] == b"ssh-agent" and any(str(home).encode() in word for word in words)


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "keys", *words], env=env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip


def test_from_no_agent_to_a_login_key(env: dict[str, str]) -> None:
    done = run(env)
    assert done.returncode == 1
    assert "! no agent" in done.stdout
    assert "RSA 2048" in done.stdout
    assert "> ssh-keygen -p -f ~/.ssh/id_rsa" in done.stdout

    done = run(env, "--add")
    assert done.returncode == 1
    assert "gpuhop-tui keys --start-agent --add" in done.stderr

    started = run(env, "--start-agent")
    assert started.returncode == 0
    shell = subprocess.run(
        ["sh", "-c", f"{started.stdout} ssh-add -l"], env=env, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert "no identities" in shell.stdout
    assert run(env, "--start-agent").returncode == 1  # one is enough

    with HopTerminal([PROGRAM, "keys", "--add", "--lifetime", "30m"], env, (200, 30)) as terminal:
        terminal.until("id_ed25519 (to add it to the agent):")
        terminal.press("guess\r")
        terminal.until("That passphrase did not open the key.")
        terminal.press("open sesame\r")
        terminal.until("id_ed25519 was added to the agent")
        assert terminal.wait() == 0
    report = json.loads(run(env, "--json").stdout)
    assert report["agent"]["problem"] is None
    assert [(key["kind"], key["comment"]) for key in report["keys"]] == [("ed25519", "mira")]
    assert [file["held"] for file in report["files"]] == [True, False]
    assert {each["command"] for each in report["findings"]} == {
        "ssh-keygen -t ed25519",
        f"ssh-keygen -p -f {env['HOME']}/.ssh/id_rsa",
    }


def test_what_was_asked_for_and_not_done_is_said(env: dict[str, str]) -> None:
    assert run(env, "--start-agent").returncode == 0
    for words, said in (
        (("--add", "/nowhere"), "/nowhere cannot be read"),
        (("--add",), "the key needs its passphrase"),
        (("--add", "--lifetime", "soon"), "is no duration"),
    ):
        done = run(env, *words)
        assert done.returncode in (1, 2)
        assert said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert run(env, "--add", f"{env['HOME']}/.ssh/id_rsa").returncode == 0
