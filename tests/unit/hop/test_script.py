"""The words between the two ends of a hop."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.agent_socket import keeper_command
from gpuhop_tui.sessions.hop_script import (
    Finish,
    Header,
    HeaderReader,
    attach_command,
    finish_command,
    parse_finish,
)
from gpuhop_tui.sessions.hop_target import HopTarget

HEADER = (
    b"\x1b]7337;gpuhop;mode=tmux;id=$3;created=17;pid=9;new=1;boot=b;"
    b"term=xterm;asked=x;agent=lent;why=\x07"
)


@given(st.lists(st.integers(1, 40), max_size=20))
def test_the_header_is_cut_out_wherever_the_bytes_are_parted(cuts: list[int]) -> None:
    data = b"noise \x1b]0;t\x07\r\n" + HEADER + b"the rest\x1b]7337;gpuhop;x\x07"
    reader, passed = HeaderReader(), b""
    for cut in cuts:
        passed += reader.feed(data[:cut])
        data = data[cut:]
    passed += reader.feed(data)
    assert passed == b"noise \x1b]0;t\x07\r\nthe rest\x1b]7337;gpuhop;x\x07"
    assert reader.header == Header("tmux", "$3", "17", "9", True, "b", "xterm", "x", "lent", "")


def test_a_header_without_end_is_given_up() -> None:
    reader = HeaderReader()
    data = b"\x1b]7337;gpuhop;" + b"x" * 5000
    assert reader.feed(data) == data
    assert reader.header == Header()


def test_what_is_left_of_a_session() -> None:
    said = b"motd\r\ngpuhop alive=0;status=7;boot=b\nline 1\nline 2\n"
    assert parse_finish(said) == Finish(False, 7, "b", b"line 1\nline 2\n")
    assert parse_finish(b"gpuhop alive=1;status=;boot=\n") == Finish(True, None, "", b"")
    assert parse_finish(b"motd only") is None


RUNNING = HopTarget.running("echo 'a b' \"$HOME\"")
COMMANDS = [
    pytest.param(attach_command(HopTarget.shell(), (80, 24), create=True, lend=True), id="attach"),
    pytest.param(attach_command(RUNNING, (80, 24), create=True, lend=False), id="run"),
    pytest.param(finish_command(HopTarget.shell(), Header()), id="finish"),
    pytest.param(keeper_command(), id="keeper"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_any_login_shell_passes_it_on(command: str) -> None:
    assert "\n" not in command
    assert "!" not in command
    script = command[command.index("'") :]
    assert "\\'" not in script
    assert "\\\\" not in script


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_sound_posix_shell(shell: str, command: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    argv = [shell, "sh"] if shell == "busybox" else [shell]
    program = command.removeprefix("exec sh -c ")
    # The quoted program alone, parsed and not run.
    words = subprocess.run(
        ["sh", "-c", f'set -- {program}; printf %s "$1"'],
        capture_output=True,
        text=True,
        check=True,
    )
    done = subprocess.run([*argv, "-n", "-c", words.stdout], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
