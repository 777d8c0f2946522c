"""Both directions of the conversation with the laptop, and its end. See `probe/protocol.py`."""

import json
import os
import select
import threading
import time
from typing import Any, Dict, Optional

from .delta import Document, merge_patch
from .workers import Bell

MIN_INTERVAL, MAX_INTERVAL = 0.2, 3600.0
LONGEST_COMMAND = 4096  # bytes; the laptop's lines are a few


class Output:
    """Writes lines of JSON: a full document first, then only what changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._last: Optional[Document] = None
        # Whatever a start-up file printed without a line end must not spoil our first line. Not
        # written yet: that can block, and nobody watches over it so far.
        self._lead = b"\n"

    def document(self, document: Document) -> None:
        """Sends `document`: whole the first time, later as a patch on the one before."""
        with self._lock:
            last, self._last = self._last, document
            if last is None:
                self._number({"full": document})
            else:
                self._number({"patch": merge_patch(last, document)})

    def full(self) -> None:
        """Sends the last document again, whole, if there has been one."""
        with self._lock:
            if self._last is not None:
                self._number({"full": self._last})

    def pong(self, number: int) -> None:
        with self._lock:
            self._line({"pong": number})

    def _number(self, message: Dict[str, Any]) -> None:
        self._sequence += 1
        self._line(dict(message, seq=self._sequence))

    def _line(self, message: Dict[str, Any]) -> None:
        message = dict(message, gpuhop=1)
        line = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        lead, self._lead = self._lead, b""
        self._write(lead + line.encode("utf-8", "backslashreplace") + b"\n")

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            os._exit(0)  # nobody reads any more


class Listener:
    """Reads the laptop's lines: `ping N`, `full`, `interval SECONDS`; others are ignored."""

    def __init__(self, interval: float, bell: Bell, output: Output) -> None:
        self.interval = min(max(interval, MIN_INTERVAL), MAX_INTERVAL)
        self.heard_at = time.monotonic()
        self._bell = bell
        self._output = output
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        rest = b""
        while True:
            try:
                data = os.read(0, 65536)
            except OSError:
                data = b""
            if not data:
                os._exit(0)  # the laptop is gone
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-LONGEST_COMMAND:]
            for line in lines:
                self.heard_at = time.monotonic()
                self._obey(line.split())

    def _obey(self, words: Any) -> None:
        try:
            if words[:1] == [b"ping"]:
                self._output.pong(int(words[1]))
            elif words[:1] == [b"full"]:
                self._output.full()
            elif words[:1] == [b"interval"]:
                self.interval = min(max(float(words[1]), MIN_INTERVAL), MAX_INTERVAL)
                self._bell.ring()
        except (IndexError, ValueError):
            pass  # not a line of ours


def start_watchdog(listener: Listener, heartbeat: float) -> None:
    """Ends the process when the laptop has been silent for `heartbeat` seconds.

    In a thread of its own: the listener may be stuck writing to a link that takes nothing more.
    """

    def watch() -> None:
        while True:
            left = listener.heard_at + heartbeat - time.monotonic()
            if left <= 0:
                os._exit(0)
            select.select([], [], [], left)  # sleeps by the monotonic clock

    threading.Thread(target=watch, daemon=True).start()
