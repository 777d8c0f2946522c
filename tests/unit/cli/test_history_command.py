"""`gpuhop-tui history`: a table for people, CSV and JSON for programs, nothing that connects."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest

from gpuhop_tui.cli.main import main
from gpuhop_tui.fleet.store.bins import TIERS, Binned, Figures
from gpuhop_tui.fleet.store.database import Database, default_path

MIDDLE = TIERS[1]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "gpuhop-tui" / "history.sqlite3"
    return default_path()


@pytest.fixture
def kept(path: Path) -> int:
    """Two nodes over the last six hours, with a gap; returns when the gap begins."""
    now = int(time.time()) // 60 * 60
    database = Database(path)
    gap = now - 3 * 3600
    for node, gpus in (("gpu-01", 2), ("gpu-02", 1)):
        database.add(
            (
                node,
                MIDDLE,
                at,
                {
                    n: Binned(5, Figures(50.0 + n, 25.0, None, 60.0), Figures(99, 25, None, 61))
                    for n in range(gpus)
                },
            )
            for at in range(now - 6 * 3600, now, 60)
            if not gap <= at < gap + 1800
        )
    database.close()
    return gap


def test_a_table_of_all_there_is(kept: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[:1] not in (" ", "")] == ["gpu-01", "gpu-02"]
    gpus = [line for line in lines if line.startswith(("   0", "   1"))]
    assert len(gpus) == 3
    assert gpus[1].split()[:9] == ["1", "51", "%", "99", "%", "25", "%", "25", "%"]
    assert "60 °C" in gpus[0]
    assert "   -" in gpus[0]  # power was not measured: no zero
    assert "▅" in gpus[0]
    assert all(len(line) <= 80 for line in lines)


def test_csv_of_one_gpu_since_then(kept: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "gpu-01", "--gpu", "1", "--since", "150m", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {(row["node"], row["gpu"]) for row in rows} == {("gpu-01", "1")}
    assert 148 <= len(rows) <= 151
    assert rows[0]["power_watts"] == ""


def test_json_tells_the_gap(kept: int, capsys: pytest.CaptureFixture[str]) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(kept - 600))
    until = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(kept + 2400))
    assert main(["history", "gpu-01", "--json", "--since", since, "--until", until]) == 0
    (node,) = json.loads(capsys.readouterr().out)["nodes"]
    points = node["gpus"][0]["points"]
    (gap,) = [each for each in points if each["utilization_percent"] is None]
    assert (gap["at"], gap["seconds"]) == (kept, 1800)


def test_nothing_yet(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history"]) == 1
    assert "there is no history yet" in capsys.readouterr().err
    assert not path.exists()  # looking makes nothing


def test_an_unknown_node_names_the_nearest(kept: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "gpu-1"]) == 2
    assert "did you mean 'gpu-01'?" in capsys.readouterr().err


def test_nothing_of_that_time(kept: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--since", "6d", "--until", "5d"]) == 1
    assert "nothing was kept of that time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "soon"], "--since 'soon' is no time"),
        (["--until", "soon"], "--until 'soon' is no time"),
        (["--since", "1h", "--until", "2h"], "--since is not before --until"),
        (["--csv", "--json"], "not allowed with"),
        (["--gpu", "x"], "invalid int"),
    ],
)
def test_mistakes(
    kept: int, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_broken_file_is_said_and_left_alone(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    assert main(["history"]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert path.read_bytes() == b"no database" * 1000
