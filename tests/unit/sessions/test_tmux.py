"""tmux's answers read: versions, servers, listings and last lines, whatever names hold."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhop_tui.sessions import tmux as tmux_module
from gpuhop_tui.sessions.last_lines import Wanted, last_lines_script, read_last_lines
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.tmux import (
    Tmux,
    find_script,
    has_control_tail,
    list_script,
    plain,
    read_found,
    read_listing,
    version_of,
)
from tests.lab.waiting import wait_until

WORD = "gh0123456789abcdef"
TMUX = Tmux("/usr/bin/tmux", "3.3a", ("/tmp/tmux-1/default", "/tmp/a socket"))

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
shown = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=30)


@pytest.mark.parametrize(
    ("text", "version", "control"),
    [
        ("tmux 3.3a", (3, 3), True),
        ("3.2", (3, 2), True),
        ("tmux 3.1c", (3, 1), False),
        ("tmux 2.8", (2, 8), False),
        ("tmux next-3.6", (3, 6), True),
        ("tmux master", (99, 0), True),
        ("tmux openbsd-7.4", (99, 0), True),
        ("", (0, 0), False),
    ],
)
def test_versions(text: str, version: tuple[int, int], control: bool) -> None:
    assert version_of(text) == version
    assert has_control_tail(text) is control


def test_what_is_found_on_a_node() -> None:
    output = "/usr/bin/tmux\ntmux 3.3a\n/tmp/tmux-1/default\n/home/a b\n/tmp/tmux-1/default\n"
    found = read_found(output)
    assert found == Tmux("/usr/bin/tmux", "3.3a", ("/tmp/tmux-1/default", "/home/a b"))


@given(anything)
def test_any_answer_to_the_search_is_read_or_refused(output: str) -> None:
    try:
        found = read_found(output)
    except ValueError:
        return
    assert found.program.startswith("/")


def pane(**values: str) -> str:
    """A record as tmux prints it."""
    known = {
        "session_id": "$0", "session_name": "train", "session_created": "100", "pid": "42",
        "version": "3.3a", "window_id": "@0", "window_index": "0", "window_name": "w",
        "window_active": "1", "window_activity": "200", "window_width": "80",
        "window_height": "24", "pane_id": "%0", "pane_index": "0", "pane_width": "80",
        "pane_height": "24", "pane_active": "1", "pane_dead": "0", "cursor_y": "3",
    }  # fmt: skip
    fields = [{**known, **values}.get(name, "") for name in tmux_module._PANE]
    return WORD + WORD.join(["P", *fields]) + f"{WORD}E\n"


def client(**values: str) -> str:
    known = {"session_id": "$0", "client_name": "/dev/pts/1", "client_width": "90"}
    fields = [{**known, **values}.get(name, "") for name in tmux_module._CLIENT]
    return WORD + WORD.join(["C", *fields]) + f"{WORD}E\n"


def end(number: int = 0, status: int = 0) -> str:
    return f"{WORD}S{WORD}{number}{WORD}{status}{WORD}E\n"


def listed(*records: str) -> tuple[TmuxSession, ...]:
    return read_listing("1000\n" + "".join(records), "node", TMUX, WORD).sessions


def test_windows_panes_and_clients_are_put_together() -> None:
    (first, second) = listed(
        pane(),
        pane(pane_id="%1", pane_index="1", pane_active="0", pane_dead="1", pane_dead_status="3"),
        pane(window_id="@1", window_index="1", window_active="0", pane_id="%2"),
        pane(session_id="$1", session_created="150", session_name="b", pane_id="%3"),
        client(),
        client(client_readonly="1", client_control_mode="1"),
        end(),
    )
    assert [[p.id for p in w.panes] for w in first.windows] == [["%0", "%1"], ["%2"]]
    assert (first.attached, len(first.clients), second.attached) == (1, 2, 0)
    assert (first.panes[1].dead, first.panes[1].exit_status) == (True, 3)
    assert (first.panes[0].exit_status, first.panes[0].pid) == (None, None)
    assert first.active_pane == first.panes[0]
    assert (first.activity_at, first.socket, first.node) == (200, TMUX.sockets[0], "node")


@given(name=shown, title=anything, cwd=anything, window=shown)
def test_no_name_title_or_path_can_break_a_record(
    name: str, title: str, cwd: str, window: str
) -> None:
    (session,) = listed(
        pane(session_name=name, window_name=window, pane_title=title, pane_current_path=cwd),
        end(),
    )
    assert (session.name, session.windows[0].name) == (name, window)
    assert (session.panes[0].title, session.panes[0].cwd) == (plain(title), plain(cwd))
    assert not any(unicodedata.category(char) == "Cc" for char in session.panes[0].cwd)


@given(anything)
def test_any_listing_is_read_without_a_fault(output: str) -> None:
    read_listing(output, "node", TMUX, WORD)
    read_listing(f"1\n{WORD}P{WORD}{output}{WORD}E\n" + end(), "node", TMUX, WORD)


@pytest.mark.parametrize(
    ("said", "status", "silent"),
    [
        ("no server running on /tmp/x\n", 1, None),
        ("error connecting to /tmp/x (Connection refused)\n", 1, None),
        ("", 137, "the tmux server did not answer within 3 s"),
        ("protocol version mismatch (client 8, server 7)\n", 1,
         "protocol version mismatch (client 8, server 7)"),
    ],
)  # fmt: skip
def test_servers_that_tell_nothing(said: str, status: int, silent: str | None) -> None:
    listing = read_listing(f"1\n{said}{end(1, status)}", "node", TMUX, WORD)
    assert listing.sessions == ()
    assert listing.silent == (() if silent is None else ((TMUX.sockets[1], silent),))


def test_one_server_by_two_paths_is_one() -> None:
    assert len(listed(pane(), end(0), pane(), end(1))) == 1


def test_last_lines() -> None:
    first, second, dead = (
        Wanted("/a", "%1", (0, 5)),
        Wanted("/a", "%2", (0, 5)),
        Wanted("/b", "%1", (-1, 23), dead=True),
    )
    output = (
        f"one\ntwo  \n\n{WORD}1\n\n{WORD}2\n{WORD}socket:/a\n"
        f"result\n\nPane is dead (status 1, Tue)\n{WORD}1\n{WORD}socket:/b\n"
    )
    assert read_last_lines(output, [first, second, dead], WORD) == {
        ("/a", "%1"): "two",
        ("/a", "%2"): "",
        ("/b", "%1"): "result",
    }


@settings(max_examples=25, deadline=None)
@given(
    names=st.lists(
        st.text(st.characters(exclude_characters="\0\n", codec="utf-8"), min_size=1, max_size=20),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_scripts_name_every_socket_as_it_is(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Run by a real sh, with a program in tmux's place that prints its third argument."""
    program = tmp_path_factory.mktemp("bin") / "tmux"
    program.write_text('#!/bin/sh\nprintf "SOCKET %s\\n" "$3"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    tmux = Tmux(str(program), "3.3a", tuple(f"/{name}" for name in names))
    panes = [Wanted(socket, "%1", (0, 1)) for socket in tmux.sockets]
    for script in (list_script(tmux, WORD), last_lines_script(tmux, panes, WORD)):
        done = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True)
        said = [row for row in done.stdout.decode().split("\n") if row.startswith("SOCKET ")]
        assert said == [f"SOCKET {socket}" for socket in tmux.sockets]


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_sockets_are_found_by_tmuxs_directory_and_by_what_runs(tmp_path: Path) -> None:
    """The search, run by a real sh: dead files are passed over, live sockets are named once."""
    with contextlib.ExitStack() as stack:
        here = tmp_path / f"tmux-{os.getuid()}"
        here.mkdir()
        for path in (here / "default", tmp_path / "a b"):
            bound = stack.enter_context(socket.socket(socket.AF_UNIX))
            bound.bind(str(path))
        (here / "no socket").touch()
        child = stack.enter_context(
            subprocess.Popen(
                ["sleep", "60"], env={**os.environ, "TMUX": f"{tmp_path}/a b,{os.getpid()},0"}
            )
        )
        stack.callback(child.kill)
        wait_until(lambda: b"sleep" in Path(f"/proc/{child.pid}/cmdline").read_bytes(), "sleep")
        done = subprocess.run(
            ["sh"],
            input=find_script().encode(),
            capture_output=True,
            check=True,
            env={**os.environ, "TMUX_TMPDIR": str(tmp_path)},
        )
        found = read_found(done.stdout.decode()).sockets
        ours = [each for each in found if each.startswith(str(tmp_path))]
        assert ours == [str(here / "default"), str(tmp_path / "a b")]
