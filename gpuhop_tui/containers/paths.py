"""Paths in a container: what is there, and what a directory holds."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import partial
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.run_in import run_in
from gpuhop_tui.containers.text import plain

_DIRECTORY, _SYMLINK = 1 << 31, 1 << 27  # Go's os.ModeDir and os.ModeSymlink
_HEADER = "X-Docker-Container-Path-Stat"
_MOST_NAMES = 2000


@dataclass(frozen=True, slots=True)
class PathFacts:
    """What stands at a path."""

    path: str
    is_directory: bool
    size_bytes: int  # of a file


async def path_facts(engine: Engine, container: Container, path: str) -> PathFacts | None:
    """What stands at `path`, links followed; None where there is nothing. The container need not
    run. Raises as `Engine.call` does."""
    for _ in range(8):
        found = await engine.call(
            f"looking at {path} in {container.name}", partial(_stat, container, path)
        )
        if found is None:
            return None
        mode, target = int(found.get("mode") or 0), str(found.get("linkTarget") or "")
        if not mode & _SYMLINK or not target or target == path:
            return PathFacts(path, bool(mode & _DIRECTORY), int(found.get("size") or 0))
        path = target
    return None


def _stat(container: Container, path: str, client: Any) -> dict[str, Any] | None:
    """HEAD /containers/ID/archive, for the SDK's thread."""
    url = client._url("/containers/{0}/archive", container.id)
    response = client.head(url, params={"path": path}, timeout=client.timeout)
    if response.status_code == 404:
        return None
    client._raise_for_status(response)
    facts: dict[str, Any] = json.loads(base64.b64decode(response.headers[_HEADER]))
    return facts


async def directory_names(engine: Engine, container: Container, directory: str) -> list[str]:
    """What a directory holds, by the container's own ls(1); directories end in "/".

    Raises ContainerError where it does not run, has no ls, or the directory cannot be read; and as
    `Engine.call` does.
    """

    def ask(client: Any) -> tuple[int | None, str]:
        return run_in(client, container.id, ["ls", "-1Ap", "--", directory])

    status, said = await engine.call(f"listing {directory} in {container.name}", ask)
    lines = said.splitlines()
    if status != 0:
        raise ContainerError(
            f"{directory} in {container.name} cannot be listed: {plain(' '.join(lines))[:200]}",
            "Type the path.",
        )
    return [line for line in lines[:_MOST_NAMES] if line.isprintable()]
