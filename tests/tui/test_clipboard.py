"""Copying by the desktop's own program, where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuhop_tui.tui.clipboard import copy_by_system, system_program


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "variable"),
    [("pbcopy", None), ("wl-copy", "WAYLAND_DISPLAY"), ("xclip", "DISPLAY"), ("xsel", "DISPLAY")],
)
async def test_the_text_reaches_the_program_of_this_desktop(
    tmp_path: Path, name: str, variable: str | None
) -> None:
    copied = tmp_path / "copied"
    program(tmp_path, name, f"/bin/cat > {copied}")
    display = {variable: ":0"} if variable else {}
    assert await copy_by_system("two\nlines ✓", {"PATH": str(tmp_path), **display})
    assert copied.read_text() == "two\nlines ✓"
    if variable:  # without its display the program is of no use
        assert system_program({"PATH": str(tmp_path)}) is None


async def test_no_program_a_failing_one_and_one_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"PATH": str(tmp_path)}
    assert not await copy_by_system("x", environ)
    program(tmp_path, "pbcopy", "exit 1")
    assert not await copy_by_system("x", environ)
    monkeypatch.setattr("gpuhop_tui.tui.clipboard.SECONDS", 0.2)
    program(tmp_path, "pbcopy", "exec /bin/sleep 60")
    assert not await copy_by_system("x", environ)
