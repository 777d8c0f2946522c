"""A line of progress on a terminal, gone when the answer is there."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TextIO


class Progress:
    """Shows "N of M nodes" on `stream` while its body runs; nothing where it is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None
        self._shown = ""

    def show(self, done: int, total: int) -> None:
        text = f"{done} of {total} nodes…"
        if text != self._shown:
            self._write(f"\r\x1b[K{text}")
            self._shown = text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
