"""How far a pull is, layer by layer, from the lines of the engine's progress stream."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gpuhop_tui.containers.text import plain

Item = TypeVar("Item")

_WINDOW_SECONDS = 5.0  # the speed is that of the last so many seconds
_DONE = ("Pull complete", "Already exists", "Download complete", "Verifying Checksum")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. Bytes are those of the phase that it is in; None: not known (yet)."""

    id: str
    status: str  # the engine's words: "Waiting", "Downloading", "Extracting", "Pull complete", …
    current_bytes: int | None = None
    total_bytes: int | None = None

    @property
    def done(self) -> bool:
        return self.status in ("Pull complete", "Already exists")

    @property
    def fraction(self) -> float | None:
        """0 to 1 of its phase."""
        if self.done:
            return 1.0
        if self.current_bytes is None or not self.total_bytes:
            return None
        return min(1.0, self.current_bytes / self.total_bytes)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """A pull at one moment. Bytes are compressed ones, as they come from the registry."""

    image: str
    layers: tuple[Layer, ...] = ()
    downloaded_bytes: int = 0
    total_bytes: int = 0  # of the layers whose size is known
    bytes_per_second: float | None = None
    eta_seconds: float | None = None  # None: not every layer's size is known yet
    done: bool = False
    digest: str | None = None
    waiting: str | None = None  # why it stands still: the link was lost, the engine restarts
    attempt: int = 1


class Layers:
    """Takes the stream's lines, gives a `PullProgress` at any moment."""

    def __init__(self, image: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._image = image
        self._clock = clock
        self._layers: dict[str, Layer] = {}
        self._downloaded: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._past: deque[tuple[float, int]] = deque()
        self._digest: str | None = None

    def take(self, line: Mapping[str, Any]) -> bool:
        """Whether the line was one about a layer."""
        identity, status = plain(line.get("id")), plain(line.get("status"))
        if status.startswith("Digest: "):
            self._digest = status.removeprefix("Digest: ")
        if not identity or not status or status.startswith("Pulling from"):
            return False
        detail = line.get("progressDetail") or {}
        current, total = detail.get("current"), detail.get("total")
        self._layers[identity] = Layer(identity, status, current, total)
        if status == "Downloading":
            self._downloaded[identity] = int(current or 0)
            if total:
                self._totals[identity] = int(total)
        elif status in _DONE or status == "Extracting":
            if status == "Already exists":
                self._totals[identity] = 0
            if status == "Extracting" and total:
                self._totals[identity] = int(total)
            self._totals.setdefault(identity, self._downloaded.get(identity, 0))
            self._downloaded[identity] = self._totals[identity]
        return True

    def progress(self) -> PullProgress:
        downloaded, total = sum(self._downloaded.values()), sum(self._totals.values())
        now = self._clock()
        self._past.append((now, downloaded))
        while len(self._past) > 2 and now - self._past[0][0] > _WINDOW_SECONDS:
            self._past.popleft()
        began, before = self._past[0]
        speed = (downloaded - before) / (now - began) if now > began else None
        eta = None
        if speed and self._totals.keys() >= self._layers.keys():
            eta = (total - downloaded) / speed
        return PullProgress(
            self._image,
            tuple(self._layers.values()),
            downloaded,
            total,
            speed,
            eta,
            digest=self._digest,
        )


class Pace:
    """Whether it is time to tell again: not more often than every `seconds`."""

    def __init__(self, seconds: float = 0.1, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last = float("-inf")

    def due(self) -> bool:
        now = self._clock()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


async def with_ticks(
    items: AsyncGenerator[Item, None], seconds: float
) -> AsyncGenerator[Item | None, None]:
    """The items, and None whenever none has come for `seconds`. Closes `items` at its end."""
    pending: asyncio.Future[Item] | None = None
    try:
        while True:
            if pending is None:
                pending = asyncio.ensure_future(anext(items))
            done, _ = await asyncio.wait({pending}, timeout=seconds)
            if not done:
                yield None
                continue
            try:
                item = pending.result()
            except StopAsyncIteration:
                return
            finally:
                pending = None
            yield item
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        await items.aclose()
