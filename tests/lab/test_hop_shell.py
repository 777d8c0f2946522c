"""`gpuhop-tui hop` on a healthy network: the terminal, the session, the exit status."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.hop_driving import (
    MENU,
    held_by_tmux,
    hop,
    is_counting,
    log_of,
    start_counter,
    tmux,
    under_job_control,
)
from tests.lab.machine import Spec
from tests.lab.procfs import state
from tests.lab.waiting import wait_until
from tests.lab.world import World


def end_session(world: World, node: str = "gpu-01") -> None:
    tmux(world[node], "kill-server", check=False)


@pytest.fixture(autouse=True)
def nothing_is_left_for_the_next_test(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "world" in request.fixturenames:  # shared: also where the test failed
        end_session(request.getfixturevalue("world"))


def sane(terminal) -> bool:
    return terminal.mode == terminal.before


def test_the_shell_is_a_tmux_session_with_the_screen_of_the_terminal(world: World) -> None:
    with hop(world, "gpu-01", size=(90, 25)) as terminal:
        terminal.until("$")
        assert tmux(world["gpu-01"], "list-sessions", "-F", "#{session_name}") == "gpuhop\n"
        assert tmux(world["gpu-01"], "show-options", "-v", "-t", "gpuhop", "status") == "off\n"
        terminal.press("stty size; echo $TERM, é→漢; env | grep -c SSH_AUTH_SOCK\r")
        terminal.until("25 90")
        terminal.until("é→漢")
        terminal.until("\n0\n")  # forward_agent is not set: there is no such variable
        terminal.resize(70, 20)
        terminal.press("clear; stty size\r")
        terminal.until("20 70")
        assert terminal.lines == held_by_tmux(world["gpu-01"])
        terminal.press("exit\r")
        assert terminal.wait() == 0
        assert sane(terminal)
    end_session(world)


def test_detach_leaves_it_running_and_it_is_found_again(world: World) -> None:
    with hop(world, "gpu-01") as terminal:
        start_counter(terminal)
        terminal.menu("d")
        assert terminal.wait() == 0
        terminal.until("it runs on; back: gpuhop-tui hop gpu-01")
        assert sane(terminal)
    with hop(world, "gpu-01") as terminal:
        terminal.until("line 60")
        assert is_counting(terminal)
        terminal.menu("x")
        assert terminal.wait() == 0
        terminal.until("disconnected")
    assert tmux(world["gpu-01"], "list-sessions", "-F", "#{session_name}") == "gpuhop\n"
    end_session(world)


def test_tmux_s_own_detach_is_a_detach(world: World) -> None:
    with hop(world, "gpu-01", "--session", "own") as terminal:
        terminal.until("$")
        terminal.press("\x02d")
        assert terminal.wait() == 0
        terminal.until("it runs on; back: gpuhop-tui hop gpu-01 --session own")
    end_session(world)


def test_the_menu_comes_and_goes_without_a_trace(world: World) -> None:
    with hop(world, "gpu-01") as terminal:
        terminal.until("$")
        terminal.press("clear; seq 1 28; printf '%s' '\x1b[41mred at the end'; cat\r")
        terminal.until("red at the end")
        before = terminal.lines
        terminal.press(MENU)
        terminal.until("d detach")
        terminal.press("l")
        terminal.until("laptop ─")
        terminal.until("─ gpu-01")
        terminal.press("\x1b[A")  # any other key: it is taken whole
        terminal.until_true(lambda: terminal.lines == before, "the screen as it was")
        terminal.press(MENU + "]")
        terminal.until("^]")
        terminal.press("\x03")
    end_session(world)


def test_output_flows_on_beneath_the_menu(world: World) -> None:
    with hop(world, "gpu-01") as terminal:
        start_counter(terminal)
        terminal.press(MENU)
        terminal.until("d detach")
        assert is_counting(terminal)
        assert "d detach" in terminal.last_line
        assert terminal.text.count("d detach") == 1
        terminal.press("q")
        terminal.until_true(lambda: "d detach" not in terminal.text, "the menu to go")
        terminal.press("\x03")
        terminal.until_true(
            lambda: terminal.lines == held_by_tmux(world["gpu-01"]), "the screen to be tmux's"
        )
    end_session(world)


@pytest.mark.parametrize("command", ["exit 7", "sleep 0.3; seq 3; exit 7", "false || exit 7"])
def test_a_command_s_status_and_output_come_through(world: World, command: str) -> None:
    with hop(world, "gpu-01", "--", f"echo began; {command}") as terminal:
        assert terminal.wait() == 7
        terminal.until("exited with 7")
        assert "began" in terminal.text
    assert tmux(world["gpu-01"], "list-sessions", check=False) == ""


def test_a_long_output_is_all_there_after_the_command(world: World) -> None:
    with hop(world, "gpu-01", "--", "seq 1000") as terminal:
        assert terminal.wait() == 0
        terminal.until("\n1000")
        after = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b" ", terminal.raw.rpartition(b"\x1b[?1049l")[2])
        shown = [int(word) for word in after.split() if word.isdigit()]
        assert shown == list(range(1, 1001))


def test_without_a_terminal_a_command_is_piped(world: World) -> None:
    laptop = world.laptop
    done = laptop.run(
        ["gpuhop-tui", "hop", "gpu-01", "--", "cat; echo err >&2; exit 3"],
        input="in\n" * 1000,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "in\n" * 1000, "err\n")


def test_without_a_terminal_it_ends_as_the_command_or_its_reader_does(world: World) -> None:
    killed = world.laptop.run(
        ["gpuhop-tui", "hop", "gpu-01", "--", "kill -9 $$"], input="", check=False
    )
    assert (killed.returncode, killed.stderr) == (128 + signal.SIGKILL, "")
    script = "gpuhop-tui hop gpu-01 -- yes </dev/null | head -n 1; exit ${PIPESTATUS[0]}"
    unread = world.laptop.run(["bash", "-c", script], check=False)
    assert (unread.returncode, unread.stdout, unread.stderr) == (128 + signal.SIGPIPE, "y\n", "")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["gpu-1"], 2, "did you mean 'gpu-01'?"),
        (["gpu-01/"], 2, "names no container"),
        (["gpu-01", "--session", "a.b"], 2, "cannot name a session"),
        ([], 2, "no hop was left open"),
    ],
)
def test_a_wrong_command_line(
    world: World, tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    with hop(world, *arguments, XDG_STATE_HOME=str(tmp_path)) as terminal:
        assert terminal.wait() == status
        terminal.until(says)
        assert sane(terminal)


def test_a_node_that_is_down_is_said_at_once(make_world: Callable[..., World]) -> None:
    world = make_world(1, 1)
    world["gpu-01"].sshd.stop()
    with hop(world, "gpu-01") as terminal:
        assert terminal.wait() == 255
        terminal.until("refuses connections")
        assert sane(terminal)


def test_an_unknown_host_key_is_asked_about(make_world: Callable[..., World]) -> None:
    world = make_world(1, 1)
    world.laptop.distrust()
    with hop(world, "gpu-01") as terminal:
        terminal.until("[once/always/NO]")
        terminal.press("always\r")
        terminal.until("(through bastion)")
        terminal.press("once\r")
        terminal.until("$")
        assert len(world.laptop.known_hosts.read_text().splitlines()) == 1
    with hop(world, "gpu-01") as terminal:
        terminal.until("[once/always/NO]")
        terminal.press("\r")
        assert terminal.wait() == 255
        terminal.until("is not known")


def test_a_node_without_tmux_says_so_and_goes_on(make_world: Callable[..., World]) -> None:
    world = make_world(1, [Spec("gpu-01", via="bastion", hide=("tmux",))])
    with hop(world, "gpu-01") as terminal:
        terminal.until("there is no tmux on gpu-01: this shell will not survive a lost link")
        terminal.press("echo $0; exit 5\r")
        assert terminal.wait() == 5
        terminal.until("bash")
        assert sane(terminal)


def test_an_unknown_term_falls_back_and_is_named(world: World) -> None:
    with hop(world, "gpu-01", TERM="xterm-moon") as terminal:
        terminal.until("gpu-01 does not know TERM=xterm-moon: using xterm-256color")
        terminal.press("echo ok; clear\r")
        terminal.press("tmux display -p '#{client_termname}'\r")
        terminal.until("xterm-256color")
    end_session(world)


@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/sh"])
def test_other_login_shells(make_world: Callable[..., World], shell: str) -> None:
    world = make_world(1, [Spec("gpu-01", via="bastion", shell=shell)])
    with hop(world, "gpu-01") as terminal:
        terminal.until("$")
        terminal.press("echo $((6*7))\r")
        terminal.until("42")


def test_noise_of_start_up_files_is_no_harm(make_world: Callable[..., World]) -> None:
    world = make_world(1, 1)
    world["gpu-01"].write(".bashrc", "echo welcome; printf '\\033[31m\\033]7337;x'; echo\n")
    with hop(world, "gpu-01", "--", "exit 4") as terminal:
        assert terminal.wait() == 4


def test_a_signal_gives_the_terminal_back(world: World) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        with hop(world, "gpu-01") as terminal:
            terminal.until("$")
            assert terminal.is_raw
            terminal.process.send_signal(number)
            assert terminal.wait() == 128 + number
            assert sane(terminal)
    end_session(world)


def test_it_can_be_stopped_and_continued(world: World) -> None:
    with hop(world, "gpu-01", job_control=True) as terminal:
        terminal.until("$")
        terminal.press("echo still here\r")
        terminal.until("\nstill here")
        before = terminal.lines
        pid = under_job_control(terminal)
        for stop in (signal.SIGTSTP, signal.SIGSTOP):
            os.kill(pid, stop)
            wait_until(lambda: state(pid) == "T", "it to stop")
            terminal.until_true(lambda: not terminal.is_raw, "the shell's terminal")
            terminal.press("echo shell; fg\r")
            terminal.until_true(lambda: terminal.is_raw, "raw mode again")
            terminal.until_true(lambda: terminal.lines == before, "the screen as it was")
        terminal.press("exit\r")
        terminal.until_true(lambda: not terminal.is_raw, "the end")
    end_session(world)


def test_a_flood_costs_bounded_memory_and_keys_still_work(world: World) -> None:
    with hop(world, "gpu-01") as terminal:
        terminal.until("$")
        terminal.press("yes 'a flood of text that goes on and on'\r")
        terminal.until("a flood of text")
        resident = rss(terminal.process.pid)
        peak = peak_rss(terminal.process.pid, 3.0)
        terminal.stop_reading(True)
        peak = max(peak, peak_rss(terminal.process.pid, 2.0))
        terminal.stop_reading(False)
        assert peak - resident < 16 << 20
        terminal.press("\x03")
        terminal.until("^C")
        terminal.press("clear; echo quiet\r")
        terminal.until_true(
            lambda: terminal.lines == held_by_tmux(world["gpu-01"]), "the screen to be tmux's"
        )
    end_session(world)


def peak_rss(pid: int, seconds: float) -> int:
    """The most resident memory, in bytes, while `seconds` pass."""
    end = time.monotonic() + seconds
    seen = [rss(pid)]

    def passed() -> bool:
        seen.append(rss(pid))
        return time.monotonic() > end

    wait_until(passed, "the time to pass", seconds + 5)
    return max(seen)


def rss(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096


def test_killed_with_sigkill_it_offers_what_was_open(make_world: Callable[..., World]) -> None:
    world = make_world(1, 1)
    with hop(world, "gpu-01", "--session", "train") as terminal:
        start_counter(terminal)
        terminal.process.kill()
        terminal.wait()
    with hop(world) as terminal:
        terminal.until("line 60")
        assert is_counting(terminal)
        terminal.menu("d")
        assert terminal.wait() == 0
    with hop(world) as terminal:
        terminal.until("no hop was left open")
    state_file = world.laptop.home / ".local/state/gpuhop-tui/hops.json"
    assert state_file.stat().st_mode & 0o777 == 0o600


def test_no_log_line_is_a_traceback(world: World) -> None:
    with open(log_of(world.laptop)) as log:  # noqa: PTH123
        assert "Traceback" not in log.read()
