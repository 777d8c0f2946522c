"""Building an image on a node: each step with its output, cancelled by leaving, begun again after a
lost link (finished steps come from the engine's cache)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from gpuhop_tui.containers.again import Waiting, begun_again
from gpuhop_tui.containers.context import Context, make_context
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import known_advice, refusal
from gpuhop_tui.containers.progress import Layers, Pace, PullProgress, with_ticks
from gpuhop_tui.containers.pull import error_text
from gpuhop_tui.containers.text import plain

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import BuildConfig

LINES_KEPT = 500
_TICK_SECONDS = 0.25
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """A build at one moment. `lines` are the last that it wrote, oldest first."""

    image: str
    sent_bytes: int = 0  # of the context
    context_bytes: int = 0
    step: int = 0  # from 1; 0: not begun yet
    steps: int = 0
    instruction: str = ""
    lines: tuple[str, ...] = ()
    pulling: PullProgress | None = None  # the base image, while it is pulled
    secrets: tuple[str, ...] = ()  # files of the context that look like secrets
    done: bool = False
    image_id: str | None = None
    waiting: str | None = None  # why it stands still: the link was lost, the engine restarts
    attempt: int = 1


async def build(
    engine: Engine, image: str, config: BuildConfig, keys: Iterable[str]
) -> AsyncGenerator[BuildProgress, None]:
    """Builds `image`; the last item is `done`. `keys` are lines of authorized_keys.

    To be closed by `contextlib.aclosing`: that cancels the build. Raises ContainerError where a
    step fails (its output is in the progress) or the engine refuses, ProblemError where link or
    engine stay away.
    """
    context = await asyncio.to_thread(make_context, config, list(keys))
    progress = BuildProgress(image, context_bytes=context.size_bytes, secrets=context.secrets)
    try:
        async with contextlib.aclosing(
            begun_again(engine, lambda: _once(engine, progress, context), f"building {image}")
        ) as steps:
            attempt = 1
            last = progress
            async for step in steps:
                if isinstance(step, Waiting):
                    attempt = step.attempt
                    last = replace(last, waiting=step.why)
                else:
                    last = replace(step, attempt=attempt)
                yield last
    finally:
        context.file.close()
    yield replace(last, done=True, waiting=None, pulling=None)


async def _once(
    engine: Engine, progress: BuildProgress, context: Context
) -> AsyncGenerator[BuildProgress, None]:
    what = f"building {progress.image}"
    sent = _Counted(context.file)
    output = _Output(progress)

    def begin(client: Any) -> Any:
        return client.build(
            fileobj=sent,
            custom_context=True,
            dockerfile=context.dockerfile,
            tag=progress.image,
            buildargs=dict(context.build_args),
            rm=True,
            forcerm=True,
            decode=True,
        )

    pace = Pace()
    lines = with_ticks(engine.stream(what, begin), _TICK_SECONDS)
    async with contextlib.aclosing(lines) as each:
        async for line in each:
            if line is not None and "error" in line:
                yield output.progress(sent.bytes)
                raise refusal(f"{engine.node}: {what}", output.reason(error_text(line)))
            if line is not None:
                output.take(line)
            if line is None or pace.due():
                yield output.progress(sent.bytes)
    yield output.progress(sent.bytes)


class _Counted:
    """A file that counts what was read of it, from its beginning."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._file.seek(0)
        self.bytes = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> bytes:
        chunk = self._file.read(65536)
        if not chunk:
            raise StopIteration
        self.bytes += len(chunk)
        return chunk


class _Output:
    """What the lines of the engine's stream add up to."""

    def __init__(self, first: BuildProgress) -> None:
        self._progress = first
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._partial = ""
        self._layers = Layers("the base image")
        self._pulling = False

    def take(self, line: dict[str, Any]) -> None:
        if self._layers.take(line):
            self._pulling = True
        text = line.get("stream")
        if isinstance(text, str):
            self._pulling = False
            *whole, self._partial = (self._partial + text).split("\n")
            for each in whole:
                self._line(each)
        identity = (line.get("aux") or {}).get("ID") if isinstance(line.get("aux"), dict) else None
        if identity:
            self._progress = replace(self._progress, image_id=plain(identity))

    def _line(self, text: str) -> None:
        text = plain(text.rsplit("\r", 1)[-1].rstrip())
        if not text:
            return
        self._lines.append(text)
        if found := _STEP.match(text):
            self._progress = replace(
                self._progress,
                step=int(found[1]),
                steps=int(found[2]),
                instruction=found[3],
            )

    def progress(self, sent_bytes: int) -> BuildProgress:
        return replace(
            self._progress,
            sent_bytes=min(sent_bytes, self._progress.context_bytes),
            lines=tuple(self._lines),
            pulling=self._layers.progress() if self._pulling else None,
        )

    def reason(self, said: str) -> str:
        """The engine's words, with the step and the last line that tells more."""
        now = self._progress
        step = f"step {now.step} of {now.steps}: " if now.step else ""
        told = [line for line in self._lines if not line.startswith((" --->", "Step ", "Removing"))]
        told.sort(key=lambda line: known_advice(line) is not None)  # the last one tells most
        last = f" ({told[-1]})" if told and "returned a non-zero code" in said else ""
        return f"{step}{said}{last}"
