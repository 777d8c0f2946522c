"""Numbers that look random and follow from their key alone: the same demo tells the same story."""

from __future__ import annotations

import hashlib
import math


def fraction(*key: object) -> float:
    """From 0 to below 1."""
    return int(hashlib.sha256(repr(key).encode()).hexdigest()[:12], 16) / float(1 << 48)


def between(low: float, high: float, *key: object) -> float:
    return low + (high - low) * fraction(*key)


def identity(*key: object) -> str:
    """64 hexadecimal digits, as engines name things."""
    return hashlib.sha256(repr(key).encode()).hexdigest()


def wave(now: float, period: float, *key: object) -> float:
    """A smooth wander between 0 and 1 with `period` seconds from one value to the next."""
    step = math.floor(now / period)
    ease = (1 - math.cos(math.pi * (now / period - step))) / 2
    return fraction(*key, step) * (1 - ease) + fraction(*key, step + 1) * ease
