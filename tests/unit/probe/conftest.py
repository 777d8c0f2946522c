"""Logins with a Python and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lab.pythons import oldest_and_own
from tests.unit.probe.login import TOOLS, Login, script


@pytest.fixture(params=oldest_and_own(), ids=lambda path: path.name)
def login(request: pytest.FixtureRequest, tmp_path: Path) -> Login:
    login = Login(tmp_path)
    login.bin.mkdir()
    (login.bin / "python3").symlink_to(request.param)
    return login


@pytest.fixture
def bare(tmp_path: Path) -> Login:
    """A login without any Python: only what a POSIX system has."""
    login = Login(tmp_path)
    login.bin.mkdir()
    for tool in TOOLS:
        (login.bin / tool).symlink_to(shutil.which(tool) or "/bin/" + tool)
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(6, 14))):
        script(login.bin / name, "exit 127")
    return login
