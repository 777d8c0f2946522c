"""Notes on GPUs: times as people write them, the script that keeps them, and what is read back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet import reservations
from gpuhop_tui.fleet.reservations import (
    end_script,
    others_reservation,
    own_reservation,
    reserve_script,
    seconds_until,
)
from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.fleet.summary import freest
from gpuhop_tui.probe.remote import reservations as remote
from gpuhop_tui.probe.remote.workers import Bell
from gpuhop_tui.probe.sample import Reservation
from gpuhop_tui.probe.validate import SampleMaker
from tests.unit.alerts.states import FREE, node

NOON = time.mktime((2025, 11, 11, 12, 0, 0, 0, 0, -1))
UUID = "GPU-5f2c1a7e-90b1-4e7d-8c11-000000000000"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("18:00", 6 * 3600), ("18.30", 6.5 * 3600), (" 12:01 ", 60), ("12:00", 86400),
        ("9:05", 21 * 3600 + 300), ("2h", 7200), ("1h30m", 5400), ("45 min", 2700), ("1d", 86400),
        ("1D 2H", 93600), ("90m", 5400),
    ],
)  # fmt: skip
def test_until_when(text: str, seconds: float) -> None:
    assert seconds_until(text, NOON) == seconds


@pytest.mark.parametrize("text", ["", "soon", "25:00", "18:61", "0m", "40d", "h", "-2h", "2h x"])
def test_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        seconds_until(text, NOON)


@given(st.text())
def test_no_text_is_a_time_that_is_past_or_far(text: str) -> None:
    try:
        seconds = seconds_until(text, NOON)
    except ValueError:
        return
    assert 0 < seconds < remote.LONGEST_SECONDS


# The script, by the real sh, and the probe's reader of what it leaves


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "gpuhop-tui" / "reservations"
    monkeypatch.setattr(reservations, "DIRECTORY", str(path))
    return path


def sh(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def read(directory: Path) -> list[dict[str, Any]]:
    return list(remote.ReservationReader(Bell(), str(directory)).read(5.0).values())


@pytest.mark.parametrize(
    "note", ["evaluation run", "", 'it\'s 100 % "mine" $(id) `id` \\n', "Prüfung ✓ \x1b[31m\n"]
)
def test_what_is_written_is_read(directory: Path, note: str) -> None:
    done = sh(reserve_script(UUID, 7200, note, "a1"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (found,) = read(directory)
    shown = remote.visible(note.strip(), 200)
    assert (found["gpu"], found["note"]) == (UUID, shown)
    assert found["user"] == remote.user_name(os.getuid())
    assert abs(found["until"] - time.time() - 7200) < 60
    assert directory.stat().st_mode & 0o7777 == 0o1777
    (file,) = directory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_note_is_changed_and_ended_and_others_stay(directory: Path) -> None:
    other = UUID[:-1] + "1"
    for gpu, note, token in ((UUID, "one", "a"), (other, "else", "b"), (UUID, "two", "c")):
        assert sh(reserve_script(gpu, 600, note, token)).returncode == 0
    assert sorted(each["note"] for each in read(directory)) == ["else", "two"]
    assert sh(end_script(UUID)).returncode == 0
    assert [each["note"] for each in read(directory)] == ["else"]


def test_a_link_in_place_of_the_directory_is_refused(directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    directory.parent.mkdir()
    directory.symlink_to(elsewhere)
    done = sh(reserve_script(UUID, 600, "x", "a"))
    assert done.returncode == 1
    assert "is no directory" in done.stdout
    assert list(elsewhere.iterdir()) == []
    assert read(directory) == []


def _file(directory: Path, name: str = "a", **said: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    facts = {"gpu": UUID, "until": time.time() + 600, "note": "x"} | said
    path.write_text(json.dumps(facts))
    return path


def _link(path: Path) -> None:
    target = path.rename(path.parent.parent / "target")
    path.symlink_to(target)


def _second_name(path: Path) -> None:
    os.link(path, path.parent.parent / "another name")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _too_long(path: Path) -> None:
    path.write_text(path.read_text() + " " * remote.LONGEST_BYTES)


def _no_json(path: Path) -> None:
    path.write_text("[" * 2000)


@pytest.mark.parametrize("spoil", [_link, _second_name, _fifo, _too_long, _no_json])
def test_what_may_not_be_its_owners_own_is_passed_over(
    directory: Path, spoil: Callable[[Path], None]
) -> None:
    path = _file(directory)
    assert len(read(directory)) == 1
    spoil(path)
    assert read(directory) == []


@pytest.mark.parametrize(
    "said",
    [
        {"until": 5}, {"until": 1e12}, {"until": "x"}, {"until": None}, {"until": float("inf")},
        {"gpu": 7}, {"note": [1]},
    ],
)  # fmt: skip
def test_what_has_expired_or_makes_no_sense_is_passed_over(
    directory: Path, said: dict[str, Any]
) -> None:
    _file(directory, **said)
    assert read(directory) == []


def test_nobody_can_name_another_user(directory: Path) -> None:
    _file(directory, user="root, the admin", uid=12345)
    (found,) = read(directory)
    assert found["user"] == remote.user_name(os.getuid())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_nobody_can_crowd_out_others(directory: Path) -> None:
    for number in range(3 * remote.MOST_OF_A_USER):
        gpu = f"GPU-{number}"
        os.chown(_file(directory, f"a{number}", gpu=gpu), 2001, 2001)
    os.chown(_file(directory, "z"), 2002, 2002)
    found = read(directory)
    assert len(found) == remote.MOST_OF_A_USER + 1
    assert {each["user"] for each in found} == {"2001", "2002"}


def test_it_expires_by_itself_and_is_seen_when_it_changes(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = remote.ReservationReader(Bell(), str(directory))
    assert reader.read(5.0) == {}
    _file(directory)
    assert len(reader.read(5.0)) == 1
    now = time.time() + 700
    monkeypatch.setattr(time, "time", lambda: now)
    assert reader.read(5.0) == {}


# On the laptop


def test_a_sample_carries_the_notes_of_each_gpu() -> None:
    notes = {
        "a": {"gpu": "GPU-a", "user": "bob", "until": 5000, "note": "x\x1b[31m"},
        "b": {"gpu": "GPU-a", "user": "ann", "until": 9000},
        "c": {"gpu": "GPU-a", "user": "", "until": 9000},
        "d": {"gpu": "GPU-a", "user": "eve", "until": "never"},
        "e": 7,
    }
    document = {
        "gpus": {"0": {"uuid": "GPU-a"}, "1": {"uuid": "GPU-b"}}, "reservations": notes,
    }  # fmt: skip
    maker = SampleMaker("gpu-01")
    first, second = maker.make(document, 1.0).gpus
    assert [(each.user, each.until) for each in first.reservations] == [
        ("ann", 9000),
        ("bob", 5000),
    ]
    assert "\x1b" not in first.reservations[1].note
    assert second.reservations == ()


BOB, ANN = Reservation("bob", 5000.0, "evaluation run"), Reservation("ann", 5000.0)


def test_whose_it_is() -> None:
    mine, theirs = replace(FREE, reservations=(ANN,)), replace(FREE, reservations=(BOB,))
    here = node(mine)  # logged in as ann
    assert (own_reservation(here, mine), others_reservation(here, mine)) == (ANN, None)
    assert (own_reservation(here, theirs), others_reservation(here, theirs)) == (None, BOB)


def test_what_others_have_asked_for_counts_after_what_is_free() -> None:
    gpus = (
        replace(FREE, reservations=(BOB,)),
        replace(FREE, index=1, utilization_percent=99, memory_used_bytes=60 << 30),
        replace(FREE, index=2, reservations=(ANN,)),
        replace(FREE, index=3),
    )
    ranked = freest(FleetState(nodes=(node(*gpus),)))
    assert [place.index for place in ranked] == [2, 3, 0, 1]
