"""Values of a document, taken only where they are what they should be: a node may be hostile."""

from __future__ import annotations

import math
from typing import Any, cast

from gpuhop_tui.probe.clean import clean
from gpuhop_tui.probe.protocol import Json
from gpuhop_tui.probe.secrets import mask_secrets

MAX_PID = 1 << 22  # PID_MAX_LIMIT of Linux
MAX_LIST = 16  # throttle reasons, disks


def integer(value: Any, low: int, high: int) -> int | None:
    return value if type(value) is int and low <= value <= high else None


def number(value: Any, low: float, high: float) -> float | None:
    if type(value) not in (int, float) or not low <= value <= high:
        return None
    return value if math.isfinite(value) else None


def table(value: Any) -> Json:
    """A JSON object; an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def indices(value: Json, most: int, highest: int = 1 << 16) -> list[int]:
    """The keys of `value` that are numbers as we write them, in order, at most `most`."""
    numbers = [
        int(key)
        for key in value
        if len(key) < 10 and key.isascii() and key.isdecimal() and str(int(key)) == key
    ]
    return sorted(number for number in numbers if number <= highest)[:most]


def words(value: Any) -> tuple[str, ...] | None:
    """A short list of short words; None where one of them is no text."""
    if not isinstance(value, list) or len(value) > MAX_LIST:
        return None
    found = tuple(clean(word, 64) for word in value)
    return cast("tuple[str, ...]", found) if all(found) else None


def command(value: Any) -> str | None:
    """A command line, without the secrets in it."""
    line = clean(value)
    return None if line is None else mask_secrets(line)
