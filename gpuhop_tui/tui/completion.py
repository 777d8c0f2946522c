"""What a path that is being typed may become, on this machine or in a container."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.paths import directory_names

MOST = 200  # candidates that are kept


def local_path(typed: str) -> Path:
    """A typed path, `~` included, from the directory that the app was started in."""
    return _with_home(typed.strip()).absolute()


def _with_home(typed: str) -> Path:
    try:
        return Path(typed).expanduser()
    except RuntimeError:  # a user that there is not
        return Path(typed)


async def local_candidates(typed: str) -> list[str]:
    """Paths of this machine that begin with what was typed, as it was typed; a directory ends in
    "/". A directory that cannot be read has none."""
    return await asyncio.to_thread(_local, typed)


def _local(typed: str) -> list[str]:
    if typed == "~":
        return ["~/"]
    directory = typed[: typed.rfind("/") + 1]
    try:
        with os.scandir(_with_home(directory)) as entries:
            names = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
    except OSError:
        return []
    return beginning(typed, names)


async def container_candidates(engine: Engine, container: Container, typed: str) -> list[str]:
    """The same in a container. Raises as `directory_names` does."""
    directory = typed[: typed.rfind("/") + 1] or "/"
    return beginning(typed or "/", await directory_names(engine, container, directory))


def beginning(typed: str, names: Iterable[str]) -> list[str]:
    """The names of a directory that go on where `typed` stops, with what comes before them. Hidden
    ones are there where a "." was typed."""
    directory, start = typed[: typed.rfind("/") + 1], typed[typed.rfind("/") + 1 :]
    found = (
        directory + name
        for name in names
        if name.startswith(start) and name.isprintable() and (start or not name.startswith("."))
    )
    return sorted(found, key=lambda path: path.rstrip("/"))[:MOST]


def common(candidates: Iterable[str]) -> str:
    """What all of them begin with."""
    names = list(candidates)
    first, last = min(names, default=""), max(names, default="")
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(char for char, _ in alike)
