"""What a look at the tmux sessions in containers says, and how it is read."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.container_watch import (
    containers_script,
    look_script,
    read_containers,
    read_left_out,
)
from gpuhop_tui.sessions.model import TmuxSession

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


# What is left out


def looked(socket_path: Path, *stubs: str) -> str:
    """What the script says where a tmux runs in the container ID, and why that is not all."""
    script = containers_script(str(socket_path), WORD)
    seen = f"grep() {{ echo {ID}; }}"
    done = subprocess.run(
        ["sh", "-c", "\n".join((seen, *stubs, script))],
        capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin", "HOME": "/"},
    )  # fmt: skip
    return read_left_out(done.stdout, "gpu-01", WORD)


def test_sessions_that_cannot_be_asked_for_are_told(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    assert "no engine of theirs is found" in looked(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        without = looked(path, "command() { return 1; }")
        assert "neither the docker nor the podman command" in without
        hangs = looked(path, "docker() { return 124; }", "command() { [ $2 = docker ]; }")
        assert f"the engine at {path} gives no answer" in hangs
        alone = f"docker() {{ case $* in *ps*) echo {ID} box;; esac; }}"
        assert looked(path, alone, "command() { [ $2 = docker ]; }") == (
            "the tmux in box gave no answer"
        )
        other = f"docker() {{ echo {OTHER} box; }}"
        assert looked(path, other, "command() { [ $2 = docker ]; }") == ""


def test_a_right_that_is_missing_is_told() -> None:
    said_there = f"{WORD}container:-denied /run/docker.sock -\n"
    words = read_left_out(said_there, "gpu-01", WORD)
    assert "you may not use the engine at /run/docker.sock" in words
    assert read(said_there) == []
    assert read_left_out(said(ID, "box"), "gpu-01", WORD) == ""
    more = said(ID, "box") + f"{WORD}container:-more /run/docker.sock -\n"
    assert [each.name for each in read(more)] == ["train"]
    assert "more than 16 containers" in read_left_out(more, "gpu-01", WORD)
