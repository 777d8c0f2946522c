"""The parts of the probe that read text, and that it runs on the oldest Python it promises."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.probe.remote import loader, procfs, simulated
from gpuhop_tui.probe.remote.delta import merge_patch
from gpuhop_tui.probe.remote.main import next_deadline
from gpuhop_tui.probe.remote.running import NOT_KNOWN, parse
from gpuhop_tui.probe.remote.text import visible
from gpuhop_tui.probe.remote.throttle import throttle_words
from gpuhop_tui.probe.remote.workers import Bell, Worker, wait_for

REMOTE = Path(loader.__file__).parent
ID = "3f" * 32
POD = "2b801b7a-ac2b-4b1b-9d3c-0123456789ab"
POD_ = POD.replace("-", "_")


def test_everything_sent_runs_on_python_3_6() -> None:
    vermin = Path(sys.executable).with_name("vermin")
    command = [vermin, "-t=3.6-", "--violations", "--no-tips", "--eval-annotations", REMOTE]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        (f"12:memory:/docker/{ID}\n0::/system.slice", {"container_id": ID}),
        (f"0::/system.slice/docker-{ID}.scope\n", {"container_id": ID}),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", {"container_id": ID}),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", {"container_id": ID}),
        (f"5:cpu:/kubepods/burstable/pod12ab/{ID}\n", {"container_id": ID}),
        (
            f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_}.slice"
            f"/cri-containerd-{ID}.scope\n",
            {"container_id": ID, "pod": POD},
        ),
        (f"5:cpu:/kubepods/besteffort/pod{POD}/{ID}\n", {"container_id": ID, "pod": POD}),
        (f"0::/kubelet/kubepods/pod{POD}/{ID}\n", {"container_id": ID, "pod": POD}),
        (f"4:pids:/kubepods/pod{'c' * 32}/{ID}\n", {"container_id": ID, "pod": "c" * 32}),
        (f"0::/docker/{ID}/docker/{'a' * 64}\n", {"container_id": ID}),
        ("0::/lxc.payload.train/system.slice\n", {"container": "train"}),
        ("4:memory:/lxc/old\n", {"container": "old"}),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", {}),
        (f"0::/x/{'a' * 65}\n", {}),
        ("", {}),
        ("nonsense", {}),
    ],
)
def test_container_of(cgroup: str, expected: dict[str, str]) -> None:
    assert procfs.container_of(cgroup) == expected


@given(text=st.text(max_size=200))
def test_no_cgroup_raises(text: str) -> None:
    procfs.container_of(text)


@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=15))
def test_the_name_in_stat_may_be_anything(name: str) -> None:
    status = procfs.parse_stat(f"12 ({name}) S 7 " + "0 " * 17 + "4242 0 0\n")
    assert status is not None
    assert (status.name, status.parent, status.started) == (name, 7, 4242)


@given(text=st.text(max_size=200))
def test_no_stat_raises(text: str) -> None:
    procfs.parse_stat(text)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (b"A=1\0TMUX=/tmp/tmux-0/default,99,3\0TMUX_PANE=%12\0", "/tmp/tmux-0/default,$3,%12"),
        (b"TMUX=/tmp/a,b,99,3\0TMUX_PANE=%1\0", "/tmp/a,b,$3,%1"),
        (b"TMUX=/tmp/x,99,3\0", ""),
        (b"TMUX_PANE=%1\0", ""),
        (b"TMUX=x,1,$(reboot)\0TMUX_PANE=%1\0", ""),
        (b"", ""),
    ],
)
def test_pane_of(environ: bytes, expected: str) -> None:
    assert procfs.pane_of(environ) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"python\0train.py\0--lr\x000.1\0", "python train.py --lr 0.1"),
        (b"python\0-c\0import a\nprint(1)\0", "python -c import a\\nprint(1)"),
        (b"nginx: worker process\0\0\0\0", "nginx: worker process"),
        (b"\x1b[31mx\0", "\\x1b[31mx"),
        (b"\xff\0", "\\xff"),
        (b"", ""),
    ],
)
def test_command_line(raw: bytes, expected: str) -> None:
    assert procfs.command_line(raw) == expected


@given(text=st.text(max_size=80), limit=st.integers(4, 60))
def test_visible_text_fits_and_has_nothing_invisible(text: str, limit: int) -> None:
    shown = visible(text, limit)
    assert len(shown.encode()) <= limit
    assert all(character.isprintable() or character.isspace() for character in shown)
    assert not set(shown) & set("\n\r\t\x1b")


def test_this_very_process_is_read() -> None:
    reader = procfs.ProcessReader(Bell())
    details = reader.details([os.getpid(), 1 << 22], 10)
    mine = details[str(os.getpid())]
    assert "python" in mine["command"]
    assert mine["user"]
    assert abs(mine["started_at"] - time.time()) < 86400
    assert str(1 << 22) not in details


@pytest.mark.parametrize("server", ["tmux: server", "tmux"])  # the second before tmux 2.6
def test_a_process_above_a_tmux_server_names_its_pane(tmp_path: Path, server: str) -> None:
    def process(pid: int, name: str, parent: int, environ: bytes = b"") -> None:
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} ({name}) S {parent} " + "0 " * 17 + "5 0 0")
        (folder / "environ").write_bytes(environ)

    process(50, server, 1)
    process(60, "bash", 50, b"TMUX=/tmp/s,50,2\0TMUX_PANE=%7\0")
    process(70, "python", 60)
    process(80, "sshd", 1)
    assert procfs.tmux_pane(str(tmp_path), 70) == "/tmp/s,$2,%7"
    (tmp_path / "60" / "environ").unlink()  # another user's: not to be read
    assert procfs.tmux_pane(str(tmp_path), 70) == "@60"
    (tmp_path / "60" / "status").write_text("Name:\tbash\nNSpid:\t60\t15\n")
    assert procfs.tmux_pane(str(tmp_path), 70) == "@15"  # as in its container
    assert procfs.tmux_pane(str(tmp_path), 80) == ""
    assert procfs.tmux_pane(str(tmp_path), 99) == ""


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_size_of_a_process_struct_is_measured(size: int, count: int) -> None:
    mine = os.getpid()
    entry = struct.pack("=I4xQIIQ", mine, 7 << 20, 0xFFFFFFFF, 0xFFFFFFFF, 0)[:size]
    raw = (entry * count).ljust(1024, b"\xa5")
    assert parse(raw, count, 24) == [(mine, 7 << 20)] * count


def test_memory_that_is_not_available() -> None:
    raw = struct.pack("=I4xQII", os.getpid(), (1 << 64) - 1, 0, 0).ljust(256, b"\xa5")
    assert parse(raw, 1, 24) == [(os.getpid(), NOT_KNOWN)]


def test_throttle_words() -> None:
    assert throttle_words(0x1) == []
    assert throttle_words(0x24) == ["power cap", "thermal (software)"]
    assert throttle_words(0x1000) == ["reason 0x1000"]


@given(
    due=st.floats(0, 1e6),
    interval=st.floats(0.2, 60),
    late=st.floats(0, 1e4),
)
def test_deadlines_do_not_drift(due: float, interval: float, late: float) -> None:
    after = next_deadline(due, interval, due + late)
    assert due + late - 1e-6 <= after <= due + late + interval + 1e-6
    steps = (after - due) / interval
    assert abs(steps - round(steps)) < 1e-6


def test_a_stuck_worker_is_left_alone_and_its_answer_comes_later() -> None:
    bell, release = Bell(), Bell()
    worker = Worker(bell)
    assert worker.ask(lambda: release.wait(30))
    wait_for([worker], bell, 0.01)
    assert worker.stuck
    assert not worker.ask(lambda: None)
    release.ring()
    wait_for([worker], bell, 10)
    assert worker.answer() is None
    worker.ask(lambda: 1 // 0)
    wait_for([worker], bell, 10)
    with pytest.raises(ZeroDivisionError):
        worker.answer()


def specification(gpus: int, processes: int = 0, **gpu: Any) -> str:
    one = {"name": "NVIDIA A100-SXM4-80GB", "profile": "training", "user": "mira", **gpu}
    command = "python train.py --config configs/big.yaml"
    return json.dumps(
        {
            "seed": 3,
            "driver": "550.54.15",
            "host": {"hostname": "gpu-01"},
            "gpus": [one | {"pid": 1000 + at, "command": command} for at in range(gpus)],
        }
    )


def test_a_simulated_fleet_follows_from_seed_and_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "time", SimpleNamespace(time=lambda: 1_700_000_000.0))
    one, other = (simulated.SimulatedSource(specification(4)).read(1) for _ in range(2))
    assert one == other
    assert one["source"] == "simulated"
    assert 86 <= one["gpus"]["0"]["utilization_percent"] <= 99
    monkeypatch.setattr(simulated, "time", SimpleNamespace(time=lambda: 1_700_000_031.0))
    assert simulated.SimulatedSource(specification(4)).read(1)["gpus"] != one["gpus"]


def test_a_simulated_fleet_that_is_described_badly_says_so() -> None:
    for text in ("{", "[]", '{"gpus": [{"profile": "training"}]}', "/nonexistent"):
        problem = simulated.SimulatedSource(text).read(1)["problem"]
        assert problem["kind"] == "no-probe"


def test_a_steady_sample_is_small_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 GPUs, 64 processes: every moving figure moves, one process in eight changes its memory."""
    source = simulated.SimulatedSource(specification(8))
    sizes = []
    before: dict[str, Any] = {}
    for step in range(60):
        now = 1_700_000_000.0 + 2 * step
        monkeypatch.setattr(simulated, "time", SimpleNamespace(time=lambda now=now: now))
        document = source.read(1)
        for at, gpu in enumerate(document["gpus"].values()):
            pids = range(100_000 + 8 * at, 100_008 + 8 * at)
            gpu["processes"] = {
                str(pid): (9 << 30) + (step << 21 if pid % 8 == step % 8 else 0) for pid in pids
            }
            gpu["utilization_percent"] = 90 + (step + at) % 9
            gpu["power_watts"] = 300 + (step * 7 + at) % 50
            gpu["sm_clock_mhz"] = 1300 + 15 * ((step + at) % 8)
            gpu["temperature_celsius"] = 60 + (step + at) % 5
            gpu["memory_used_bytes"] = (72 << 30) + (step << 20)
        document.update(host=source.host(), time=round(now, 1))
        message = {"patch": merge_patch(before, document), "seq": 10_000 + step, "gpuhop": 1}
        sizes.append(len(json.dumps(message, separators=(",", ":"))) + 1)
        before = document
    assert max(sizes[1:]) <= 2000
    assert min(sizes[1:]) > 500  # something did change
