"""The laptop's end of a running probe: its process in, samples out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

from gpuhop_tui.probe.clean import clean
from gpuhop_tui.probe.delivery import HEARTBEAT_SECONDS, payload
from gpuhop_tui.probe.protocol import Follower, Json, Lines, OutOfStepError, parse_line
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.probe.smi import SmiReader
from gpuhop_tui.probe.validate import SampleMaker, problem_of
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

START_SECONDS = 30.0
"""How long a probe may take from its start to its first sample."""

PING_SECONDS = HEARTBEAT_SECONDS / 4

_STDERR_KEPT = 4096
_CHUNK = 1 << 16
_LOG = logging.getLogger(__name__)


class RemoteProcess(Protocol):
    """What `asyncio.subprocess.Process` and asyncssh's `SSHClientProcess` (with `encoding=None`)
    have in common: byte streams with `write`, `drain`, `write_eof` and `read`."""

    @property
    def stdin(self) -> Any: ...

    @property
    def stdout(self) -> Any: ...

    @property
    def stderr(self) -> Any: ...


async def stream_samples(
    process: RemoteProcess,
    hop: str,
    interval: float,
    *,
    on_rtt: Callable[[float], None] | None = None,
    start_seconds: float = START_SECONDS,
) -> AsyncGenerator[Sample]:
    """Yields samples, one every `interval` seconds, of a process that runs
    `delivery.probe_command(interval)` on node `hop`.

    Ends when the process does. Raises `ProblemError` when the process ends or stays silent before
    its first sample; what the transport raises when it breaks passes through. `on_rtt` is given
    each measured round trip to the probe, in seconds. Closing the iterator ends the probe.
    """
    conversation = _Conversation(process, hop, on_rtt)
    tasks = [asyncio.create_task(conversation.gather_stderr())]
    deadline: float | None = asyncio.get_running_loop().time() + start_seconds
    try:
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    data = await process.stdout.read(_CHUNK)
                    heard = await conversation.hear(data)
            except TimeoutError:
                raise ProblemError(conversation.silent(start_seconds)) from None
            if not data:
                break
            for sample in heard:
                if deadline is not None:
                    deadline = None
                    tasks.append(asyncio.create_task(conversation.ping(interval)))
                yield sample
        if deadline is not None:
            with contextlib.suppress(TimeoutError):  # the reason may still be on its way
                await asyncio.wait_for(asyncio.shield(tasks[0]), 1.0)
            raise ProblemError(conversation.ended())
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(Exception):  # gone already
            process.stdin.write_eof()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Conversation:
    """One probe's lines and what they amount to."""

    def __init__(
        self, process: RemoteProcess, hop: str, on_rtt: Callable[[float], None] | None
    ) -> None:
        self._process = process
        self._hop = hop
        self._on_rtt = on_rtt
        self._lines = Lines()
        self._follower = Follower()
        self._maker = SampleMaker(hop)
        self._smi = SmiReader(hop)
        self._stderr = b""
        self._problem: Problem | None = None  # the command's own word that there is no probe
        self._pinged: dict[int, float] = {}  # number: when, by the monotonic clock
        self._ignored = 0
        self._delivered = False

    async def hear(self, data: bytes) -> list[Sample]:
        """The samples that `data` completes, oldest first; answers what the probe asks for."""
        samples = []
        for line in self._lines.feed(data):
            message = parse_line(line)
            if message is None:
                sample = self._foreign(line)
            elif "need" in message:
                await self._deliver(message)
                sample = None
            else:
                sample = await self._message(message, len(line))
            if sample is not None:
                samples.append(sample)
        return samples

    async def ping(self, interval: float) -> None:
        """Sets the probe's interval, keeps it alive, and measures the way to it."""
        number = 0
        with contextlib.suppress(OSError):  # the reader will see the end, too
            await self._say(b"interval %g\n" % interval)
            while True:
                number += 1
                self._pinged = {number: time.monotonic()}
                await self._say(b"ping %d\n" % number)
                await asyncio.sleep(PING_SECONDS)

    async def gather_stderr(self) -> None:
        """Keeps the tail of standard error, and keeps it from filling up."""
        while data := await self._process.stderr.read(_CHUNK):
            self._stderr = (self._stderr + data)[-_STDERR_KEPT:]

    def silent(self, seconds: float) -> Problem:
        """Why there is no sample although the process runs."""
        return Problem(
            self._hop,
            ErrorKind.NO_PROBE,
            f"The probe has sent no figures for {seconds:g} s{self._tail()}",
            f"Log in to {self._hop} by hand: a start-up file may be waiting for something.",
        )

    def ended(self) -> Problem:
        """Why the process ended without a sample."""
        return self._problem or Problem(
            self._hop,
            ErrorKind.NO_PROBE,
            f"The probe ended before its first sample{self._tail()}",
            f"Log in to {self._hop} and run: python3 --version",
        )

    async def _message(self, message: Json, size: int) -> Sample | None:
        if "full" in message or "patch" in message:
            try:
                document = self._follower.follow(message, size)
            except OutOfStepError:
                await self._say(b"full\n")
                return None
            return self._maker.make(document, time.time())
        if "problem" in message:
            self._problem = problem_of(message["problem"], self._hop)
        elif type(message.get("pong")) is int:
            sent = self._pinged.pop(message["pong"], None)
            if sent is not None and self._on_rtt is not None:
                self._on_rtt(time.monotonic() - sent)
        return None

    async def _deliver(self, message: Json) -> None:
        parcel = await asyncio.to_thread(payload)
        # What we announced, and once: anything else is noise.
        if message["need"] == parcel.digest and not self._delivered:
            self._delivered = True
            await self._say(parcel.message)

    def _foreign(self, line: bytes) -> Sample | None:
        """A line that is not JSON of ours: nvidia-smi's, or noise."""
        ignored = self._smi.ignored
        sample = self._smi.feed(line, time.time())
        if self._smi.ignored > ignored and line.strip():
            self._ignored += 1
            text = clean(line[:200].decode("utf-8", "replace"), 120)
            _LOG.debug("%s: ignored line %d: %s", self._hop, self._ignored, text)
        return sample

    async def _say(self, data: bytes) -> None:
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    def _tail(self) -> str:
        """The last that standard error said, as the end of a sentence."""
        lines = [clean(line, 300) for line in self._stderr.decode("utf-8", "replace").splitlines()]
        said = [line for line in lines if line]
        return f": {' / '.join(said[-3:])}" if said else ""
