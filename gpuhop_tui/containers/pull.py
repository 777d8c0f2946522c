"""Pulling an image to a node: progress a layer, cancelled by leaving, resumed after a lost link."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from gpuhop_tui.containers.again import Waiting, begun_again
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import refusal
from gpuhop_tui.containers.progress import Layers, Pace, PullProgress


async def pull(engine: Engine, image: str) -> AsyncGenerator[PullProgress, None]:
    """Pulls `image` (the tag is "latest" where it names none); the last item is `done`.

    Logins to registries are those of the laptop's `docker login`; they go to the engine with this
    request only. To be closed by `contextlib.aclosing`: that cancels the pull. Raises
    ContainerError where registry or engine refuse, ProblemError where link or engine stay away.
    """
    progress = PullProgress(image)
    attempt = 1
    async with contextlib.aclosing(
        begun_again(engine, lambda: _once(engine, image), f"pulling {image}")
    ) as steps:
        async for step in steps:
            if isinstance(step, Waiting):
                attempt = step.attempt
                progress = replace(
                    progress, waiting=step.why, bytes_per_second=None, eta_seconds=None
                )
            else:
                progress = replace(step, attempt=attempt)
            yield progress
    yield replace(progress, done=True, waiting=None, eta_seconds=None)


async def _once(engine: Engine, image: str) -> AsyncGenerator[PullProgress, None]:
    what = f"pulling {image}"
    layers, pace = Layers(image), Pace()
    name = with_tag(image)

    def begin(client: Any) -> Any:
        return client.pull(name, stream=True, decode=True)

    async with contextlib.aclosing(engine.stream(what, begin)) as lines:
        async for line in lines:
            if "error" in line:
                raise refusal(f"{engine.node}: {what}", error_text(line))
            layers.take(line)
            if pace.due():
                yield layers.progress()
    yield layers.progress()


def with_tag(image: str) -> str:
    """`image` with "latest" where it has neither tag nor digest: without one, all are pulled."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


def error_text(line: dict[str, Any]) -> str:
    """The engine's words in a line of progress that tells a failure."""
    detail = line.get("errorDetail")
    if isinstance(detail, dict) and detail.get("message"):
        return str(detail["message"])
    return str(line.get("error") or "no reason given")
