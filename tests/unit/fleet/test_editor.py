"""VS Code: its link, its program, what is remembered."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from gpuhop_tui.fleet.editor import (
    EditorError,
    find_editor,
    last_path,
    link,
    open_editor,
    remember_path,
)
from gpuhop_tui.fleet.state_file import StateFile
from gpuhop_tui.tui.browser import browser_command


def program(directory: Path, name: str, script: str) -> dict[str, str]:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {**os.environ, "PATH": f"{directory}:/usr/bin:/bin"}


def test_the_link_names_host_and_path() -> None:
    assert link("gpu-01", "/data/my run") == (
        "vscode://vscode-remote/ssh-remote+gpu-01/data/my%20run"
    )
    assert link("gpu-01", "").endswith("+gpu-01/")
    encoded = link("DevBox", "/x").partition("+")[2].partition("/")[0]
    assert json.loads(bytes.fromhex(encoded)) == {"hostName": "DevBox"}


async def test_the_program_is_given_host_and_path(tmp_path: Path) -> None:
    said = tmp_path / "said"
    environ = program(tmp_path, "code", f'printf "%s\\n" "$@" >{said}')
    editor = find_editor(environ)
    assert editor == str(tmp_path / "code")
    await open_editor(editor, "gpu-01", "/data/my run", environ)
    assert said.read_text().splitlines() == ["--remote", "ssh-remote+gpu-01", "/data/my run"]
    await open_editor(editor, "gpu-01", "", environ)
    assert said.read_text().splitlines() == ["--remote", "ssh-remote+gpu-01"]


async def test_its_failure_is_told_in_its_words(tmp_path: Path) -> None:
    environ = program(tmp_path, "cursor", "echo no such extension >&2; exit 3")
    with pytest.raises(EditorError, match="cursor failed: no such extension"):
        await open_editor(find_editor(environ) or "", "gpu-01", "/", environ)
    with pytest.raises(EditorError, match="does not start"):
        await open_editor(str(tmp_path / "gone"), "gpu-01", "/", environ)


async def test_a_program_that_stays_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuhop_tui.fleet.editor._EDITOR_SECONDS", 0.2)
    pid = tmp_path / "pid"
    environ = program(tmp_path, "code", f"echo $$ >{pid}; exec sleep 60")
    await open_editor(str(tmp_path / "code"), "gpu-01", "/", environ)
    number = int(pid.read_text())
    os.kill(number, 0)
    os.kill(number, 15)
    await asyncio.sleep(0)


def test_none_is_found_where_there_is_none(tmp_path: Path) -> None:
    assert find_editor({"PATH": str(tmp_path)}) is None


def test_the_last_path_is_kept(tmp_path: Path) -> None:
    file = StateFile("editor.json", tmp_path)
    assert last_path("gpu-01", file) == ""
    remember_path("gpu-01", "/data", file)
    remember_path("gpu-01/devbox", "/workspace", file)
    assert (last_path("gpu-01", file), last_path("gpu-01/devbox", file)) == ("/data", "/workspace")


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({}, None),
        ({"DISPLAY": ":0"}, ("xdg-open",)),
        ({"WAYLAND_DISPLAY": "wayland-0"}, ("xdg-open",)),
    ],
)
def test_only_a_desktop_has_a_browser(
    tmp_path: Path, environ: dict[str, str], command: tuple[str, ...] | None
) -> None:
    program(tmp_path, "xdg-open", "true")
    program(tmp_path, "open", "true")
    given = {"PATH": str(tmp_path), **environ}
    assert browser_command(given, "linux") == command
    assert browser_command(given, "darwin") == ("open",)
