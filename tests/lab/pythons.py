"""Which Pythons the probe is tried on."""

from __future__ import annotations

import sys
from pathlib import Path


def python(minor: int) -> Path | None:
    """A Python 3.`minor`, where one is installed."""
    places = [
        *sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")),
        Path(f"/usr/local/bin/python3.{minor}"),
        Path(f"/usr/bin/python3.{minor}"),
    ]
    return next((place.resolve() for place in places if place.exists()), None)


def oldest_and_own() -> list[Path]:
    """The oldest Python that the probe has to run on, where it is installed, and this one."""
    oldest = python(6)
    own = Path(sys.executable).resolve()
    return [oldest, own] if oldest else [own]
