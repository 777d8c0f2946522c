"""What a look at the tmux sessions in containers says, and how it is read."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.container_watch import containers_script, read_containers
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.tmux import look_script

WORD = "ghW"
ID, OTHER = "3f" * 32, "a0" * 32
PANE = (
    "P", "$0", "train", "1795512975", "15", "3.3a", "@0", "0", "cat", "1", "1795512975", "90", "20",
    "%0", "0", "in-box", "cat", "/", "16", "90", "20", "1", "0", "", "", "0", "0", "1", "0", "E",
)  # fmt: skip


def said(identity: str, name: str, line: str = "epoch 1") -> str:
    """Of one container with one session."""
    return (
        f"{WORD}container:{identity} {name} /run/docker.sock\n"
        "/usr/bin/tmux\ntmux 3.3a\n/tmp/tmux-0/default\n"
        f"{WORD}list\n1795512976\n{WORD}{WORD.join(PANE)}\n{WORD}S{WORD}0{WORD}0{WORD}E\n"
        f"{WORD}lines\n{line}\n\n{WORD}0\n{WORD}socket:/tmp/tmux-0/default\n"
    )


def read(output: str) -> list[TmuxSession]:
    found = read_containers(output, "gpu-01", WORD)
    return [session for _, listing in found for session in listing.sessions]


def test_two_containers_whose_servers_look_the_same_are_told_apart() -> None:
    one, two = read(
        said(ID, "box") + said(OTHER, "web,front/web", "33%|███▎  | 1/3 [00:01<00:02, 1it/s]")
    )
    assert (one.name, one.container, one.node) == ("train", "box", "gpu-01")
    assert two.container == "web"
    assert one.place is not None
    assert (one.place.id, one.place.socket) == (ID, "/run/docker.sock")
    assert one.key != two.key
    assert one.panes[0].last_line == "epoch 1"
    progress = two.panes[0].progress
    assert progress is not None
    assert progress.percent == 33


@given(st.text(max_size=200), st.integers(0, 400))
def test_what_is_cut_or_odd_is_left_out(odd: str, cut: int) -> None:
    whole = said(ID, "box")
    assert read(odd) == []
    assert len(read(whole[:cut] + odd.replace(WORD, ""))) <= 1
    found = read(f"{WORD}container:{OTHER} bare /run/docker.sock\n" + whole)
    assert [session.container for session in found] == ["box"]


@pytest.mark.parametrize(
    "script", [containers_script("/run/my docker.sock", WORD), look_script(WORD)]
)
def test_it_is_sound_posix_shell(script: str) -> None:
    done = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_tmux_it_says_nothing() -> None:
    script = f"command() {{ return 1; }}\n{look_script(WORD)}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
