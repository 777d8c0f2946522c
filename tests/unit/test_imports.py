"""What a module brings in with it: the first paint waits for nothing that it does not show."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Set
from pathlib import Path

import pytest

CONNECTIONS = {"asyncssh", "docker", "pydantic"}


def imported_by(module: str) -> Set[str]:
    """The top-level packages that a fresh interpreter holds after importing `module`."""
    program = (
        f"import json, sys, {module}; "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("gpuhop_tui.cli.main", CONNECTIONS | {"textual", "rich", "pynvml"}),
        ("gpuhop_tui.tui.app", CONNECTIONS | {"pynvml"}),
    ],
)
def test_nothing_heavy_comes_in_early(module: str, unwanted: Set[str]) -> None:
    assert not imported_by(module) & unwanted


def test_the_sight_is_not_blind() -> None:
    """What is looked for above is found where it is imported."""
    assert {"asyncssh", "textual"} <= imported_by("asyncssh, textual")


def test_import_contracts_hold() -> None:
    """pyproject.toml's contracts: the core knows no screen, and floors only lean downwards."""
    tool = Path(sys.executable).with_name("lint-imports")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([tool], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
