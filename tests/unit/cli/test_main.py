"""The command line: options, exits, and no traceback whatever happens."""

from __future__ import annotations

import json
import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuhop_tui import __version__
from gpuhop_tui.cli import dashboard, status
from gpuhop_tui.cli.main import command_line, main


@pytest.fixture(autouse=True)
def _own_config_and_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("GPUHOP_CONFIG", raising=False)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


def raising(error: BaseException) -> Any:
    def run(options: object) -> int:
        raise error

    return run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gpuhop-tui {__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        ["--config", "a", "--log-level", "debug", "status", "gpu-01", "--json"],
        ["status", "--config", "a", "gpu-01", "--json", "--log-level", "debug"],
        ["--config", "b", "status", "gpu-01", "--config", "a", "--log-level=debug", "--json"],
    ],
)
def test_common_options_stand_before_or_after_the_command(argv: list[str]) -> None:
    options = command_line().parse_args(argv)
    assert (options.command, options.config, options.log_level) == ("status", Path("a"), "debug")
    assert (options.nodes, options.json, options.demo, options.timeout) == (
        ["gpu-01"],
        True,
        False,
        15.0,
    )


@pytest.mark.parametrize(
    "argv", [["nonsense"], ["status", "--timeout", "0"], ["--demo", "--config", "x", "status"]]
)
def test_a_wrong_command_line_exits_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "gpuhop-tui" in error
    assert "Traceback" not in error


def test_without_a_config_it_says_where_and_how(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "xdg" / "gpuhop-tui" / "config.toml") in error
    assert "[[nodes]]" in error
    assert "--demo" in error


def test_findings_of_the_config_are_lines_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[nodes]]\nname = "a"\nhots = "b"\n')
    assert main(["status", "--config", str(config)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"gpuhop-tui: {config}:3: nodes[0].hots" in output.err
    assert '"host"' in output.err


def test_an_unknown_node_exits_2_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[nodes]]\nname = "gpu-01"\nhost = "127.0.0.1"\n')
    assert main(["status", "gpu-1", "--config", str(config)]) == 2
    assert "did you mean 'gpu-01'?" in capsys.readouterr().err


def test_a_config_that_others_may_write_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    config.chmod(0o666)
    assert main(["status", "--json", "--config", str(config)]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == {"schema": 1, "nodes": []}
    assert "chmod go-w" in output.err


def test_the_dashboard_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--demo"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "exit_status"),
    [(KeyboardInterrupt(), 130), (RuntimeError("oh\nno"), 70)],
)
def test_exits_of_what_nobody_expected(
    error: BaseException,
    exit_status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(status, "run_status", raising(error))
    assert main(["status"]) == exit_status
    assert "Traceback" not in capsys.readouterr().err


def test_the_details_of_the_unexpected_are_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dashboard, "run_dashboard", raising(RuntimeError("odd")))
    log = tmp_path / "log"
    log.touch(0o666)
    assert main(["--log-file", str(log)]) == 70
    assert "RuntimeError: odd" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    error = capsys.readouterr().err
    assert str(log) in error
    assert "Traceback" not in error


def test_a_log_file_that_cannot_be_opened_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--log-file", str(tmp_path), "status"]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **options
    )


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, gpuhop_tui.cli.main\n"
        "heavy = {'textual', 'rich', 'asyncssh', 'docker', 'pydantic', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert python(code).stdout == "[]\n"


def test_help_into_a_closed_pipe_is_quiet() -> None:
    code = "import sys; from gpuhop_tui.cli.main import main; sys.exit(main(['--help']))"
    pipe = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    pipe.wait()
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=pipe.stdin, stderr=subprocess.PIPE, timeout=60
    )
    assert pipe.stdin is not None
    pipe.stdin.close()
    assert done.stderr == b""
