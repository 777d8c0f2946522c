"""The laptop's end of a probe, with a node that behaves badly."""

from __future__ import annotations

import asyncio
import json

import pytest

from gpuhop_tui.probe.delivery import payload
from gpuhop_tui.probe.stream import stream_samples
from gpuhop_tui.problem import ErrorKind, ProblemError

NEED = json.dumps({"gpuhop": 1, "need": payload().digest}).encode() + b"\n"
FULL = b'{"gpuhop":1,"seq":1,"full":{}}\n'


class Stdin:
    """Takes what is written; `drain` waits for `room`."""

    def __init__(self) -> None:
        self.written = b""
        self.room = asyncio.Event()
        self.room.set()

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        await self.room.wait()

    def write_eof(self) -> None:
        pass


class Node:
    """A process that has said what it will say."""

    def __init__(self, said: bytes, stderr: bytes = b"") -> None:
        self.stdin = Stdin()
        self.stdout, self.stderr = asyncio.StreamReader(), asyncio.StreamReader()
        self.stdout.feed_data(said)
        self.stderr.feed_data(stderr)
        self.stderr.feed_eof()


async def test_a_node_that_takes_no_payload_is_given_up_in_time() -> None:
    node = Node(NEED)
    node.stdin.room.clear()
    with pytest.raises(ProblemError) as raised:
        async with asyncio.timeout(10):
            await anext(stream_samples(node, "gpu-01", 1, start_seconds=0.1))
    assert raised.value.problem.kind is ErrorKind.NO_PROBE


async def test_the_payload_is_sent_once() -> None:
    node = Node(NEED * 3 + FULL)
    samples = stream_samples(node, "gpu-01", 1)
    await anext(samples)
    await samples.aclose()
    assert node.stdin.written.count(payload().message) == 1


async def test_advice_is_something_that_can_be_done() -> None:
    node = Node(b"", b"python3: error while loading shared libraries\n")
    node.stdout.feed_eof()
    with pytest.raises(ProblemError, match="shared libraries") as raised:
        await anext(stream_samples(node, "gpu-01", 1))
    assert raised.value.problem.advice == "Log in to gpu-01 and run: python3 --version"
