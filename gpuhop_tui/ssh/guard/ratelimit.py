"""So much in a burst, and so much a second after it."""

from __future__ import annotations

import time
from collections.abc import Callable


class Bucket:
    """Holds up to `capacity` tokens and gets `per_second` back. Full when made."""

    def __init__(
        self, capacity: float, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity, self._per_second, self._clock = capacity, per_second, clock
        self._level = capacity
        self._at = clock()

    def take(self) -> bool:
        """Takes a token, where there is one."""
        if self._filled() < 1:
            return False
        self._level -= 1
        return True

    def borrow(self) -> float:
        """Takes a token in any case. Returns the seconds to wait for it."""
        self._level = self._filled() - 1
        return max(0.0, -self._level / self._per_second)

    def _filled(self) -> float:
        now = self._clock()
        self._level = min(self._capacity, self._level + (now - self._at) * self._per_second)
        self._at = now
        return self._level
