"""The wire between laptop and probe: one JSON object a line, and its reader on the laptop.

Probe to laptop, on its standard output:

    {"gpuhop":1,"need":DIGEST}            the loader wants the payload (see `delivery`)
    {"gpuhop":1,"seq":1,"full":{...}}     a whole document
    {"gpuhop":1,"seq":2,"patch":{...}}    an RFC 7396 merge patch on the document before
    {"gpuhop":1,"pong":N}                 the answer to `ping N`
    {"gpuhop":1,"problem":{...}}          there can be no probe on this node

A document never holds a null: a figure that is not known is absent, and `missing` of its owner
says why.

    source      "nvml" | "simulated"
    driver      "550.54.15"
    cuda        "12.4"
    problem     {kind, message, advice}, then there are no gpus
    time        the node's clock, seconds since the epoch
    host        {hostname, boot_time, cpu_count, cpu_percent, memory_used_bytes,
                memory_total_bytes, load_1, disks: {path: [free, total]}, missing}
    gpus        {index: {uuid, name, utilization_percent, memory_used_bytes, memory_total_bytes,
                temperature_celsius, power_watts, power_limit_watts, fan_percent, sm_clock_mhz,
                throttle_reasons: [words], ecc_uncorrected, pcie_generation,
                pcie_generation_max, pcie_width, pcie_width_max, lost,
                mig: {index: {uuid, name, memory_used_bytes, memory_total_bytes, processes,
                missing}}, processes: {pid: bytes held, -1 where not known}, missing}}
    reservations {UUID/uid: {gpu: UUID, user, until: the node's clock, note}}
    processes   {pid: {user, command, started_at, container_id, container, tmux_session, tmux}}

Laptop to probe, on its standard input: `payload LENGTH` and that many bytes, once and only when
asked for; `ping N`; `full` (send a whole document again); `interval SECONDS`.

A line that is not one of these is not ours (start-up files print what they like): it is counted
and ignored. A line lost shows as a gap in `seq`: the last document stays, and a whole one is asked
for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

LONGEST_LINE = 4 << 20
"""Bytes; what is longer is thrown away as it comes."""

FULL_AFTER = 16 << 20
"""Bytes of patches after which a whole document is asked for, so that none can grow for ever."""

Json = dict[str, Any]


class Lines:
    """Cuts a stream of bytes into lines, holding no more than `LONGEST_LINE` of it."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._held = bytearray()  # the beginning of a line that has not ended
        self._skipping = False
        self.too_long = 0  # lines thrown away

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends."""
        *ends, rest = data.split(b"\n")
        lines = []
        for end in ends:
            self._hold(end)
            if not self._skipping:
                lines.append(bytes(self._held))
            self._clear()
        self._hold(rest)
        return lines

    def _hold(self, part: bytes) -> None:
        if self._skipping:
            return
        if len(self._held) + len(part) > self._longest:
            self.too_long += 1
            self._clear()
            self._skipping = True
        else:
            self._held += part

    def _clear(self) -> None:
        self._held, self._skipping = bytearray(), False


def parse_line(line: bytes) -> Json | None:
    """The message in a line, or None where the line is not ours. Never raises."""
    line = line.strip()
    if not line.startswith(b"{") or not line.endswith(b"}"):
        return None
    try:
        message = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, NaN, an endless number, too deep
        return None
    if isinstance(message, dict) and message.get("gpuhop") == 1:
        return message
    return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def merge(document: Any, patch: Any) -> Any:
    """RFC 7396: `document` with `patch` applied, as a new value.

    Parts that the patch does not touch are the same objects as before.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


class OutOfStepError(Exception):
    """A line was lost or made no sense: a whole document has to be asked for."""


@dataclass(slots=True)
class Follower:
    """Keeps the probe's document up to date from its lines."""

    document: Json | None = None
    _sequence: int = 0
    _patched: int = 0  # bytes of patches since the last whole document

    def follow(self, message: Json, size: int) -> Json:
        """The document after `message`, a line of `size` bytes; raises `OutOfStepError`."""
        sequence = message.get("seq")
        if type(sequence) is not int:
            raise OutOfStepError
        try:
            if isinstance(message.get("full"), dict):
                document: Json = merge({}, message["full"])
                self._patched = 0
            else:
                document = self._patch(message.get("patch"), sequence, size)
        except RecursionError:
            raise OutOfStepError from None
        self.document, self._sequence = document, sequence
        return document

    def _patch(self, patch: Any, sequence: int, size: int) -> Json:
        self._patched += size
        in_step = sequence == self._sequence + 1 and self._patched <= FULL_AFTER
        if self.document is None or not in_step or not isinstance(patch, dict):
            raise OutOfStepError
        patched: Json = merge(self.document, patch)
        return patched
