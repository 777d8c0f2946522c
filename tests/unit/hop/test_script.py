"""The words between the two ends of a hop."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

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
from gpuhop_tui.sessions.in_container import FIND_ENGINE, InContainer, enter_line, piped_line

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


PLACE = InContainer("3f9a1c2b" * 8, "train.x", "/run/docker.sock", "mira", "/mnt/a b")
IN_CONTAINER = HopTarget.in_container(PLACE)
INSIDE = HopTarget.attached("train", "/tmp/tmux-0/default", PLACE)
RUN_IN_CONTAINER = HopTarget.in_container(PLACE, command="echo 'a b' \"$HOME\"")
RUNNING = HopTarget.running("echo 'a b' \"$HOME\"")
COMMANDS = [
    pytest.param(attach_command(HopTarget.shell(), (80, 24), create=True, lend=True), id="attach"),
    pytest.param(attach_command(RUNNING, (80, 24), create=True, lend=False), id="run"),
    pytest.param(finish_command(HopTarget.shell(), Header()), id="finish"),
    pytest.param(keeper_command(), id="keeper"),
    pytest.param(attach_command(IN_CONTAINER, (80, 24), create=True, lend=True), id="container"),
    pytest.param(
        attach_command(RUN_IN_CONTAINER, (80, 24), create=True, lend=False), id="run in container"
    ),
    pytest.param(finish_command(IN_CONTAINER, Header()), id="finish in container"),
    pytest.param(enter_line(PLACE), id="enter"),
    pytest.param(piped_line(PLACE, "cat"), id="piped"),
    pytest.param(attach_command(INSIDE, (80, 24), create=False, lend=True), id="attach inside"),
    pytest.param(finish_command(INSIDE, Header()), id="finish inside"),
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


def test_a_container_s_session_is_named_for_it_and_its_id() -> None:
    assert IN_CONTAINER.session == "train_x-3f9a1c2b-mira-mnt_a_b"
    assert IN_CONTAINER.title == "container train.x"
    assert INSIDE.title == "train in train.x"
    assert (
        HopTarget.in_container(replace(PLACE, user="", directory="")).session == "train_x-3f9a1c2b"
    )
    assert HopTarget.in_container(PLACE, session="own").session == "own"
    assert RUN_IN_CONTAINER.session.startswith("run-")


# tmux takes a message of 16 kB at most (imsg.h, MAX_IMSGSIZE), and has the line twice in it.
def test_a_session_s_command_is_short_enough_for_tmux() -> None:
    assert 2 * len(enter_line(PLACE)) < 12000


ENGINE = """
docker() {
 case "$* " in
 *"inspect"*exited-*) echo "exited 2026-01-01T00:00:00.5Z";;
 *"inspect"*run-*) echo "running 2026-01-01T00:00:00.5Z";;
 *"inspect"*gone-*) echo "Error response from daemon: No such container: gone-" >&2; return 1;;
 *"inspect"*denied-*) echo "permission denied while trying to connect" >&2; return 1;;
 *"inspect"*) echo "Cannot connect; is the\tdaemon running?" >&2; return 1;;
 esac; }
"""


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        ("run-", "running 2026-01-01T00:00:00.5Z "),
        ("exited-", "exited 2026-01-01T00:00:00.5Z "),
        ("gone-", "missing  Error response from daemon: No such container: gone-"),
        ("denied-", "denied  permission denied while trying to connect"),
        ("other-", "silent  Cannot connect is the daemon running?"),
    ],
)
def test_what_became_of_a_container(identity: str, says: str) -> None:
    script = ENGINE + FIND_ENGINE + f"K=/s; C={identity}; look_in;"
    script = script.replace('q="timeout 8"', "q=")  # which would run a program, not our function
    script += 'echo "$state $since $fault"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip() == says.rstrip()
