"""Driving `gpuhop-tui hop` as a person does: in a terminal of its own, with keys and eyes."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shlex
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from gpuhop_tui.sessions.screen import Screen
from tests.lab.laptop import Laptop
from tests.lab.machine import Machine
from tests.lab.waiting import wait_until
from tests.lab.world import World

MENU = "\x1d"
PATIENCE = 30.0  # seconds that anything may take


class HopTerminal:
    """A program on a pty. A thread takes all that it writes, as a terminal would."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str] | None, size: tuple[int, int] = (100, 30)
    ) -> None:
        self._end, self._tty = os.openpty()
        self.columns, self.rows = size
        self._set_size()
        self.before = termios.tcgetattr(self._tty)
        self.raw = b""
        self._screen = Screen(*size)  # tests/unit/hop proves it against a real terminal
        self._lock = threading.Lock()
        self._paused = threading.Event()
        self._closed = False
        self.process = subprocess.Popen(
            list(argv), env=dict(env) if env is not None else None,
            preexec_fn=lambda: os.login_tty(os.dup(self._tty)),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What it shows

    @property
    def lines(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self._screen.text]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def last_line(self) -> str:
        return self.lines[-1]

    @property
    def mode(self) -> list[Any]:
        return termios.tcgetattr(self._tty)

    @property
    def is_raw(self) -> bool:
        return not self.mode[3] & termios.ICANON

    def shows(self, text: str) -> bool:
        return text in self.text

    def until(self, text: str, seconds: float = PATIENCE) -> None:
        self.until_true(lambda: self.shows(text), text, seconds)

    def until_true(self, look: Any, what: str, seconds: float = PATIENCE) -> None:
        try:
            wait_until(look, what, seconds)
        except TimeoutError:
            raise AssertionError(f"waited {seconds:g} s for {what!r}:\n{self.text}") from None

    # What a person does

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def menu(self, key: str) -> None:
        self.press(MENU)
        self.until("d detach")
        self.press(key)

    def resize(self, columns: int, rows: int) -> None:
        with self._lock:
            self.columns, self.rows = columns, rows
            self._screen.resize(columns, rows)
        self._set_size()

    def stop_reading(self, stopped: bool) -> None:
        """As ctrl+s does, or a terminal that hangs."""
        (self._paused.set if stopped else self._paused.clear)()

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.text}") from None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._closed = True
        self._reader.join()
        os.close(self._end)
        os.close(self._tty)

    def _set_size(self) -> None:
        fcntl.ioctl(
            self._tty, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0)
        )

    def _read(self) -> None:
        while not self._closed:
            if self._paused.is_set():
                time.sleep(0.01)
                continue
            if not select.select([self._end], [], [], 0.02)[0]:
                continue
            try:
                data = os.read(self._end, 65536)
            except OSError:
                return
            with self._lock:
                self.raw = (self.raw + data)[-(1 << 20) :]
                self._screen.feed(data)


def hop(
    world: World,
    *arguments: str,
    size: tuple[int, int] = (100, 30),
    job_control: bool = False,
    **env: str,
) -> HopTerminal:
    """`gpuhop-tui hop …` on the world's laptop; with `job_control` as a job of a shell that then
    takes its commands from the terminal."""
    laptop = world.laptop
    argv = laptop.argv(["gpuhop-tui", "--log-file", log_of(laptop), "hop", *arguments])
    if job_control:
        line = f'set -m; {shlex.join(argv)}; while read -r line; do eval "$line"; done'
        argv = ["bash", "-c", line]
    return HopTerminal(argv, {**laptop.environ(), **env}, size)


def under_job_control(terminal: HopTerminal) -> int:
    """The pid of the job that `hop(..., job_control=True)` runs, once it is there."""
    pid = terminal.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return int(wait_until(lambda: children.read_text().split(), "the job")[0])


def log_of(laptop: Laptop) -> str:
    return str(laptop.home / "hop.log")


def lend_agent(world: World, *names: str) -> None:
    """Sets `forward_agent` for these nodes in the laptop's config."""
    config = world.config()
    for node in config["nodes"]:
        if node["name"] in names:
            node["forward_agent"] = True
    world.laptop.write_config(config)


# The node's side


def tmux(machine: Machine, *arguments: str, check: bool = True) -> str:
    """Output of tmux on our own server's socket, as the login user."""
    return machine.run(
        machine.as_user(["tmux", "-u", "-L", "gpuhop", *arguments]), check=check
    ).stdout


def held_by_tmux(machine: Machine, session: str = "gpuhop", *, history: bool = False) -> list[str]:
    """The lines of the session's pane, as tmux has them."""
    start = ["-S", "-"] if history else []
    text = tmux(machine, "capture-pane", "-p", *start, "-t", session)
    return [line.rstrip() for line in text.split("\n")[: None if history else -1]]


COUNTER = "i=0; while sleep 0.05; do i=$((i+1)); echo line $i; done"


def numbers(lines: Sequence[str]) -> list[int]:
    """Of the lines that a counter wrote."""
    return [int(found[1]) for line in lines if (found := re.fullmatch(r"line (\d+)", line))]


def start_counter(terminal: HopTerminal) -> None:
    terminal.until("$")
    terminal.press(f"{COUNTER}\r")
    terminal.until("line 30")


def is_counting(terminal: HopTerminal) -> bool:
    """Whether new lines come."""
    before = max(numbers(terminal.lines), default=0)
    try:
        wait_until(lambda: max(numbers(terminal.lines), default=0) > before + 3, "lines", 1.0)
    except TimeoutError:
        return False
    return True


def assert_nothing_lost(terminal: HopTerminal, machine: Machine, session: str = "gpuhop") -> None:
    """Stops the counter, then: the screen is tmux's, and no line is missing or doubled."""
    terminal.press("\x03")
    terminal.until_true(lambda: "^C" in terminal.text, "the counter to stop")
    terminal.until_true(
        lambda: terminal.lines == held_by_tmux(machine, session), "the screen to be tmux's"
    )
    on_screen = numbers(terminal.lines)
    assert on_screen == list(range(on_screen[0], on_screen[-1] + 1))
    all_lines = numbers(held_by_tmux(machine, session, history=True))
    assert all_lines == list(range(1, all_lines[-1] + 1))
