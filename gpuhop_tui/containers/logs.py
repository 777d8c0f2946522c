"""A container's log, line by line."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.log_lines import Edge, FrameSplitter, LineSplitter, LogLine
from gpuhop_tui.containers.model import Container

TAIL = 1000
_BATCH = 256  # lines that are handed over together where they come fast
_SHARE = 0.4  # of a core that reading a log may take, at most


async def logs(
    engine: Engine,
    container: Container,
    *,
    follow: bool = True,
    tail: int = TAIL,
    since: float | None = None,
) -> AsyncGenerator[LogLine, None]:
    """The last `tail` lines, or those from `since` on; with `follow` those to come, until it ends.

    To be closed by `contextlib.aclosing`. After a lost link (ProblemError) `since` the last line's
    time goes on where it broke off. Raises as `Engine.stream` does.
    """
    since_ns = None if since is None else int(since * 1e9)
    edge = Edge()
    reading = log_batches(engine, container, follow=follow, tail=tail, since_ns=since_ns)
    async with contextlib.aclosing(reading) as batches:
        async for lines in batches:
            for line in edge.new(lines):
                yield line
    if follow:
        for line in await last_words(engine, container, edge, tail=tail, since_ns=since_ns):
            yield line


async def last_words(
    engine: Engine,
    container: Container,
    edge: Edge,
    *,
    tail: int = TAIL,
    since_ns: int | None = None,
) -> list[LogLine]:
    """Lines that were not followed to: an engine may end a followed log before the very last words
    of a container."""
    edge.read_again()
    since_ns = edge.at_ns if edge.at_ns is not None else since_ns
    reading = log_batches(engine, container, follow=False, tail=tail, since_ns=since_ns)
    async with contextlib.aclosing(reading) as batches:
        return [line async for lines in batches for line in edge.new(lines)]


async def log_batches(
    engine: Engine,
    container: Container,
    *,
    follow: bool,
    tail: int | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> AsyncGenerator[list[LogLine], None]:
    """Lines as they come, those that come fast together; at first none, as soon as the engine
    answers. The last `tail` of the log (None: all of it), of them those from `since_ns` on, up to
    `until_ns` (nanoseconds since the epoch, by the node's clock; both inclusive).

    To be closed by `contextlib.aclosing`. Raises as `Engine.stream` does.
    """
    wanted = {
        "stdout": 1,
        "stderr": 1,
        "timestamps": 1,
        "follow": int(follow),
        "tail": "all" if tail is None or since_ns is not None else tail,
    }
    for name, moment in (("since", since_ns), ("until", until_ns)):
        if moment is not None:
            wanted[name] = f"{moment // 10**9}.{moment % 10**9:09}"

    def begin(client: Any) -> Iterator[list[LogLine]]:
        # Not by the SDK's `logs`: it does not tell the two streams apart.
        url = client._url("/containers/{0}/logs", container.id)
        response = client._get(url, params=wanted, stream=True)
        socket = client._get_raw_response_socket(response)  # raises what the engine refuses
        client._disable_socket_timeout(socket)
        yield []
        splitter = LineSplitter() if container.tty else FrameSplitter()
        yield from _batched(response.raw.stream(65536), socket, splitter)

    async with contextlib.aclosing(engine.stream(f"reading {container.name}'s log", begin)) as each:
        async for lines in each:
            yield lines


def _batched(
    chunks: Iterator[bytes], socket: Any, splitter: LineSplitter | FrameSplitter
) -> Iterator[list[LogLine]]:
    """For the SDK's thread. Nothing waits for company: what has come is handed over as soon as no
    more is there."""
    ready = select.poll()
    ready.register(socket.fileno(), select.POLLIN)
    batch: list[LogLine] = []
    worked = time.thread_time()
    try:
        for chunk in chunks:
            batch += splitter.feed(chunk)
            if len(batch) < _BATCH and ready.poll(0):
                continue
            if batch:
                yield batch
                batch = []
            if ready.poll(0):  # it comes fast: leave time for the screen
                time.sleep(min(0.1, (time.thread_time() - worked) * (1 - _SHARE) / _SHARE))
            worked = time.thread_time()
    except Exception:
        if batch := batch + splitter.rest():
            yield batch
        raise
    if batch := batch + splitter.rest():
        yield batch
