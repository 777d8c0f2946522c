"""What is written to which terminal, and that nothing told can be more than text there."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.screen_tokens import Tokens
from gpuhop_tui.tui.terminal_notice import Way, sequence, tmux_passes, way_for

WAYS: tuple[Way, ...] = ("osc9", "osc99", "osc777", "bell", "off")


@pytest.mark.parametrize(
    ("wanted", "environ", "passes", "way"),
    [
        ("auto", {"TERM": "xterm-kitty"}, False, "osc99"),
        ("auto", {"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, False, "osc9"),
        ("auto", {"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, False, "osc9"),
        ("auto", {"TERM": "foot-extra"}, False, "osc777"),
        ("auto", {"TERM": "rxvt-unicode-256color"}, False, "osc777"),
        ("auto", {"TERM": "xterm-256color"}, False, "bell"),
        ("auto", {}, False, "bell"),
        ("auto", {"TERM": "screen-256color", "TMUX": "/t,1,0", "LC_TERMINAL": "iTerm2"}, False,
         "bell"),
        ("auto", {"TERM": "tmux-256color", "TMUX": "/t,1,0", "KITTY_WINDOW_ID": "1"}, True,
         "osc99"),
        ("osc777", {"TERM": "tmux-256color", "TMUX": "/t,1,0"}, True, "osc777"),
        ("osc777", {"TERM": "tmux-256color", "TMUX": "/t,1,0"}, False, "bell"),
        ("osc9", {"TERM": "screen", "STY": "1.x"}, False, "bell"),
        ("osc9", {"TERM": "dumb"}, False, "osc9"),
        ("off", {"TERM": "xterm-kitty"}, False, "off"),
        ("bell", {"TERM": "xterm-kitty"}, False, "bell"),
    ],
)  # fmt: skip
def test_the_way_for_a_terminal(
    wanted: str, environ: dict[str, str], passes: bool, way: Way
) -> None:
    assert way_for(wanted, environ, passes) == way


def test_the_sequences() -> None:
    assert sequence("osc9", "job killed", "a; b") == "\x1b]9;job killed: a; b\a"
    assert sequence("osc777", "job; killed", "a; b") == "\x1b]777;notify;job, killed;a, b\a"
    assert sequence("bell", "x", "y") == "\a"
    assert sequence("off", "x", "y") == ""
    assert "aGk=" in sequence("osc99", "hi", "y")
    assert sequence("osc9", "a", "b", in_tmux=True) == "\x1bPtmux;\x1b\x1b]9;a: b\a\x1b\\"
    assert sequence("bell", "a", "b", in_tmux=True) == "\a"


@given(st.sampled_from(WAYS), st.text(), st.text())
def test_whatever_is_told_shows_nothing_on_the_screen(way: Way, title: str, words: str) -> None:
    tokens = Tokens()
    found = list(tokens.feed(sequence(way, title, words).encode("utf-8", "replace")))
    assert tokens.at_rest
    assert all(kind == "string" or (kind, data) == ("control", b"\a") for kind, data, _ in found)
    assert len(found) <= (2 if way == "osc99" else 1)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A tmux server's socket, and the environment of a pane of it."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    socket = str(tmp_path / "tmux")
    run = ["tmux", "-f", "/dev/null", "-S", socket]
    made = subprocess.run(
        [*run, "new-session", "-d", "-P", "-F", "#{pane_id} #{pid}", "sleep 600"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    pane, pid = made.stdout.split()
    yield socket, {**os.environ, "TMUX": f"{socket},{pid},0", "TMUX_PANE": pane}
    subprocess.run([*run, "kill-server"], check=False)


@pytest.mark.parametrize(("option", "passes"), [(None, False), ("on", True), ("off", False)])
async def test_tmux_says_whether_it_passes_sequences_on(
    tmux: tuple[str, dict[str, str]], option: str | None, passes: bool
) -> None:
    socket, environ = tmux
    if option is not None:
        command = ["tmux", "-S", socket, "set", "-wg", "allow-passthrough", option]
        await asyncio.to_thread(subprocess.run, command, check=True)
    assert await tmux_passes(environ) is passes


async def test_without_tmux_nothing_is_passed_on() -> None:
    assert not await tmux_passes({})
    assert not await tmux_passes({"TMUX": "/nowhere,1,0", "TMUX_PANE": "%0", "PATH": "/none"})
