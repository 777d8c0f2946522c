"""The lines of a container's log, out of the bytes that an engine sends."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from gpuhop_tui.containers.listing import read_time

Stream = Literal["stdout", "stderr"]

_LONGEST = 65536  # characters of a line; a longer one is cut into several
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?\d*(Z|[+-]\d\d:\d\d) ?")
_HEADER = struct.Struct(">BxxxL")
_STREAMS: dict[int, Stream] = {2: "stderr"}  # 0 is standard input's echo, 1 standard output


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `text` is as it was written, escape sequences and all."""

    at_ns: int | None  # nanoseconds since the epoch by the node's clock
    text: str
    stream: Stream = "stdout"  # a container with a terminal has no other

    @property
    def at(self) -> float | None:
        """Seconds since the epoch by the node's clock."""
        return None if self.at_ns is None else self.at_ns / 1e9


class LineSplitter:
    """Chunks of bytes of one stream in, whole lines with their times out."""

    def __init__(self, stream: Stream = "stdout") -> None:
        self._stream: Stream = stream
        self._rest = b""

    @property
    def is_amid(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._rest)

    def feed(self, chunk: bytes) -> list[LogLine]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LONGEST:
            whole.append(self._rest)
            self._rest = b""
        return [read_line(line, self._stream) for line in whole]

    def rest(self) -> list[LogLine]:
        rest, self._rest = self._rest, b""
        return [read_line(rest, self._stream)] if rest else []


class FrameSplitter:
    """Chunks of the engine's frames in, whole lines of both streams out.

    A frame is a byte for the stream, three of zero, and a length of four bytes, the highest first
    (Engine API, "Attach to a container": Stream format). A long line comes as several frames, each
    with a time stamp of its own.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._lines: dict[Stream, LineSplitter] = {
            "stdout": LineSplitter("stdout"),
            "stderr": LineSplitter("stderr"),
        }

    def feed(self, chunk: bytes) -> list[LogLine]:
        data, at = self._rest + chunk, 0
        lines: list[LogLine] = []
        while len(data) - at >= _HEADER.size:
            number, length = _HEADER.unpack_from(data, at)
            end = at + _HEADER.size + length
            if end > len(data):
                break
            splitter = self._lines[_STREAMS.get(number, "stdout")]
            payload = data[at + _HEADER.size : end]
            if splitter.is_amid and (found := _STAMP.match(payload)):
                payload = payload[found.end() :]
            lines += splitter.feed(payload)
            at = end
        self._rest = data[at:]
        return lines

    def rest(self) -> list[LogLine]:
        return [line for splitter in self._lines.values() for line in splitter.rest()]


def payloads(data: bytes) -> Iterator[bytes]:
    """What the frames of a whole answer hold, whichever stream it came by."""
    at = 0
    while len(data) - at >= _HEADER.size:
        _, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size + length
        yield data[at - length : at]


def read_line(raw: bytes, stream: Stream = "stdout") -> LogLine:
    """A line that begins with the engine's time stamp."""
    found = _STAMP.match(raw)
    at_ns = None
    if found is not None:
        seconds = _seconds(found[1] + found[3])
        if seconds is not None:
            at_ns = seconds * 1_000_000_000 + int((found[2] or b".")[1:].ljust(9, b"0"))
    text = raw[found.end() :] if found and at_ns is not None else raw
    return LogLine(at_ns, text.rstrip(b"\r").decode(errors="replace"), stream)


@lru_cache(maxsize=256)
def _seconds(stamp: bytes) -> int | None:
    at = read_time(stamp.decode())
    return None if at is None else int(at)


class Edge:
    """Where a log was read up to, so that a second reading that overlaps doubles no line."""

    def __init__(self) -> None:
        self.at_ns: int | None = None  # of the last line with a time
        self._last: Counter[tuple[Stream, str]] = Counter()  # lines of exactly that time
        self._again: Counter[tuple[Stream, str]] | None = None
        self.overlapped = True  # whether a second reading began before where the first ended

    def read_again(self) -> None:
        """The next lines come from a second reading, from `at_ns` on or from a little before."""
        self._again = self._last.copy() if self.at_ns is not None else None
        self.overlapped = self.at_ns is None

    def new(self, lines: Sequence[LogLine]) -> list[LogLine]:
        """Those of them that were not read before."""
        fresh = list(self._unseen(lines)) if self._again is not None else list(lines)
        for line in fresh:
            if line.at_ns is None:
                continue
            if line.at_ns != self.at_ns:
                self.at_ns = line.at_ns
                self._last.clear()
            self._last[line.stream, line.text] += 1
        return fresh

    def _unseen(self, lines: Iterable[LogLine]) -> Iterable[LogLine]:
        edge = self.at_ns
        for line in lines:
            if self._again is not None and line.at_ns is not None and edge is not None:
                if line.at_ns > edge:
                    self._again = None
                else:
                    self.overlapped = True
                    key = line.stream, line.text
                    if line.at_ns < edge:
                        continue
                    if self._again[key] > 0:
                        self._again[key] -= 1
                        continue
            yield line
