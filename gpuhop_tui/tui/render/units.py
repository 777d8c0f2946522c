"""Figures as people read them."""

from __future__ import annotations

import time
from collections.abc import Iterable

MISSING = "–"  # stands for a figure that is not known; its reason is shown beside the table
_GIB = 1 << 30
_MIB = 1 << 20


def gib(value: int | None) -> str:
    """Bytes as GiB: `54`, `1.5` below ten, `0`."""
    if value is None:
        return MISSING
    amount = value / _GIB
    if amount and amount < 9.95:
        return f"{amount:.1f}"
    return f"{amount:.0f}"


def size(value: int | None) -> str:
    """Bytes with a unit: `812 M`, `54 G`, `1.8 T`."""
    if value is None:
        return MISSING
    if value < _GIB:
        return f"{value / _MIB:.0f} M"
    if value >= 1000 * _GIB:
        return f"{value / (_GIB << 10):.1f} T"
    return f"{gib(value)} G"


def fine_size(value: float | None) -> str:
    """Bytes in at most six cells: `812 B`, `1.2 K`, `34 M`, `80 G`."""
    if value is None:
        return MISSING
    amount, unit = float(value), 0
    while amount >= 999.5 and unit < 4:
        amount, unit = amount / 1024, unit + 1
    figure = f"{amount:.1f}" if unit and amount < 9.95 else f"{amount:.0f}"
    return f"{figure.removesuffix('.0')} {'BKMGT'[unit]}"


def byte_rate(value: float | None) -> str:
    """Bytes a second: `1.2 M/s`."""
    return MISSING if value is None else f"{fine_size(value)}/s"


def figure(value: float | None, unit: str = "") -> str:
    """A whole number and its unit, or the mark of a missing one."""
    return MISSING if value is None else f"{value:.0f}{unit}"


def duration(seconds: float) -> str:
    """The two largest units of a span of time: `41 s`, `12 min`, `3 h 12 min`, `2 d 4 h`."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 60:
        return f"{whole} s"
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        rest = minutes % 60
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    rest = hours % 24
    return f"{days} d {rest} h" if rest else f"{days} d"


def brief(seconds: float) -> str:
    """A span of time in at most seven cells, for tables: `41s`, `12m`, `3h 12m`, `2d 4h`."""
    words = duration(seconds).replace("min", "m").split()
    pairs = zip(words[::2], words[1::2], strict=True)
    parts = [number + unit for number, unit in pairs]
    return parts[0] if len(parts[0]) > 3 else " ".join(parts)


def age(seconds: float) -> str:
    """How old a figure is: `12 s old`."""
    return f"{duration(seconds)} old"


def rtt(seconds: float | None) -> str:
    """A round-trip time: `0.8 ms`, `18 ms`, `1.2 s`."""
    if seconds is None:
        return MISSING
    millis = seconds * 1000
    if millis < 1:
        return f"{millis:.1f} ms"
    return f"{millis:.0f} ms" if millis < 1000 else f"{seconds:.1f} s"


def clock(at: float) -> str:
    """The time of day, in the user's time zone: `14:02:11`."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def moment(at: float, now: float) -> str:
    """The time of day, with the date before it where it was on another day."""
    then = time.localtime(at)
    same_day = then[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M:%S" if same_day else "%d %b %H:%M", then)


def plural(count: int, noun: str) -> str:
    """`1 GPU`, `2 GPUs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def ranges(numbers: Iterable[int]) -> str:
    """`0-3,5` for 0, 1, 2, 3, 5."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
