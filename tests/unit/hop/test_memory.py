"""What was open is offered after a kill, and only then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpuhop_tui.sessions.hop_memory import forget, open_hops, remember
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.sessions.in_container import InContainer

SHELL = HopTarget.shell()


def killed_program(path: Path, node: str, session: str = "gpuhop") -> list[str]:
    """A program that opens a hop and is killed in it."""
    program = (
        "import os, signal; from pathlib import Path\n"
        "from gpuhop_tui.sessions.hop_memory import remember\n"
        "from gpuhop_tui.sessions.hop_target import HopTarget\n"
        f"remember({node!r}, HopTarget.shell({session!r}), Path({str(path)!r}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    return [sys.executable, "-c", program]


def remembered_by_a_killed_program(path: Path, node: str, session: str = "gpuhop") -> None:
    assert subprocess.run(killed_program(path, node, session), check=False).returncode == -9


def test_a_dead_program_that_nobody_has_waited_for_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "hops.json"
    with subprocess.Popen(killed_program(path, "gpu-01")) as program:
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        assert [hop.node for hop in open_hops(path)] == ["gpu-01"]


def test_a_killed_program_s_hops_are_offered_the_latest_first(tmp_path: Path) -> None:
    path = tmp_path / "state" / "hops.json"
    remembered_by_a_killed_program(path, "gpu-01")
    remembered_by_a_killed_program(path, "gpu-02", "train")
    mine = remember("gpu-03", SHELL, path)
    assert [(hop.node, hop.target.session) for hop in open_hops(path)] == [
        ("gpu-02", "train"), ("gpu-01", "gpuhop"),
    ]  # fmt: skip
    assert not open_hops(path)[0].way_back.create
    assert path.stat().st_mode & 0o777 == 0o600
    forget(mine, path)
    forget(open_hops(path)[0], path)
    assert [hop.node for hop in open_hops(path)] == ["gpu-01"]


def test_going_back_to_it_is_no_second_hop(tmp_path: Path) -> None:
    path = tmp_path / "hops.json"
    remembered_by_a_killed_program(path, "gpu-01")
    remember("gpu-01", SHELL, path)
    assert open_hops(path) == []
    assert len(json.loads(path.read_text())) == 1


def test_a_container_is_remembered_by_its_id(tmp_path: Path) -> None:
    place = InContainer("3f9a" * 16, "train", "/run/docker.sock", "mira", "/mnt")
    hop = remember("gpu-01", HopTarget.in_container(place), tmp_path / "hops.json")
    entry = json.loads((tmp_path / "hops.json").read_text())[0]
    assert HopTarget.from_json(entry["target"]) == hop.target
    del entry["target"]["container"]  # as it was written before there were hops into containers
    assert HopTarget.from_json(entry["target"]).container is None


def test_a_pid_that_is_used_again_is_not_taken_for_the_program(tmp_path: Path) -> None:
    path = tmp_path / "hops.json"
    remember("gpu-01", SHELL, path)
    entries = json.loads(path.read_text())
    entries[0]["started"] = "1"
    path.write_text(json.dumps(entries))
    assert [hop.pid for hop in open_hops(path)] == [os.getpid()]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"node": 1}]', '{"a": 1}'])
def test_a_broken_file_is_no_hop_and_no_failure(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hops.json"
    path.write_text(text)
    assert open_hops(path) == []
    remember("gpu-01", SHELL, path)
    assert len(json.loads(path.read_text())) == 1


def test_a_place_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remember("gpu-01", SHELL, tmp_path / "file" / "hops.json")


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a:b", "=a", "-a", "#x", "$1"])
def test_names_that_tmux_would_change_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a session"):
        HopTarget.shell(name)
