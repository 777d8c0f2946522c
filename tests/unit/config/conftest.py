"""A real OpenSSH client that reads a configuration of the test's own."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

SshConfig = Callable[[str], dict[str, str]]


def executable(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def ssh_config(tmp_path: Path) -> SshConfig:
    """Writes an ssh_config; returns an environment whose `ssh` reads it and nothing else.

    ssh looks for ~/.ssh in the passwd entry's home, whatever $HOME says, so it is told by -F.
    """
    real = shutil.which("ssh")
    if real is None:
        pytest.skip("needs an OpenSSH client")

    def write(text: str) -> dict[str, str]:
        file = tmp_path / "ssh_config"
        file.write_text(text)
        executable(tmp_path / "bin" / "ssh", f'exec {real} -F {file} "$@"')
        return os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    return write
