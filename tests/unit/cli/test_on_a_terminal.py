"""The command line as a person sees it: progress, colours, and what stays on the screen."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Terminal

Start = Callable[..., Terminal]
SCRIPTED = [sys.executable, "-m", "tests.unit.cli.scripted_status"]
PROGRAM = [sys.executable, "-m", "gpuhop_tui"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Terminal] = []

    def start(argv: list[str], **environment: str) -> Terminal:
        base = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        started.append(Terminal(argv, base | environment))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def test_status_shows_progress_and_takes_it_away(start: Start) -> None:
    terminal = start([*SCRIPTED, "status"])
    assert terminal.wait() == 1
    assert "0 of 2 nodes…" in terminal.raw
    assert "of 2 nodes" not in terminal.text
    assert "\x1b[32m" in terminal.raw
    assert terminal.text.startswith("gpu-01  up")


def test_no_color_is_heeded(start: Start) -> None:
    terminal = start([*SCRIPTED, "status"], NO_COLOR="1")
    assert terminal.wait() == 1
    assert "\x1b[32m" not in terminal.raw


def test_a_config_with_errors_stays_readable_after_the_dashboard(
    start: Start, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[nodes]]\nname = "a"\nhots = "b"\n')
    terminal = start([*PROGRAM, "--config", str(config)])
    terminal.until_shown("hots")
    terminal.press("q")
    assert terminal.wait() == 2
    assert f"gpuhop-tui: {config}:3: nodes[0].hots" in terminal.raw
    assert "Traceback" not in terminal.raw


def test_without_a_config_the_dashboard_offers_one(start: Start, tmp_path: Path) -> None:
    terminal = start(PROGRAM, XDG_CONFIG_HOME=str(tmp_path / "xdg"))
    terminal.until_shown("There is no config yet")
    terminal.press("q")
    assert terminal.wait() == 2
    assert not (tmp_path / "xdg").exists(), "nothing is written unasked"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_dashboard_and_gives_the_terminal_back(
    start: Start, number: signal.Signals
) -> None:
    terminal = start(PROGRAM)
    terminal.until_shown("There is no config yet")
    terminal.process.send_signal(number)
    assert terminal.wait() == 128 + number
    assert "\x1b[?1049l" in terminal.raw
    assert "Traceback" not in terminal.raw


def test_the_dashboard_ends_with_its_terminal(start: Start) -> None:
    terminal = start(PROGRAM)
    terminal.until_shown("There is no config yet")
    terminal.hang_up()
    assert terminal.process.wait(20) != 0
