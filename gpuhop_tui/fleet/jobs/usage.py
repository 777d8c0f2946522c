"""A job's utilization over the last minutes, in bounded memory."""

from __future__ import annotations

from collections import deque

from gpuhop_tui.fleet.jobs.model import TREND_POINTS, TREND_SECONDS

BUSY_PERCENT = 2.0  # from here on a GPU works: monitors alone make it flicker at 1 %
_BIN_SECONDS = TREND_SECONDS / TREND_POINTS


class Usage:
    """Means of half minutes, and when the GPUs last worked."""

    def __init__(self, now: float) -> None:
        self.idle_since = now  # or that nothing is known before
        self.last_busy_at: float | None = None
        self._bins: deque[list[float]] = deque(maxlen=TREND_POINTS)  # number, sum, count

    def add(self, now: float, percent: float | None) -> None:
        """One figure; None: there is none, which is neither busy nor idle."""
        if percent is None:
            self.idle_since = now
            return
        if percent >= BUSY_PERCENT:
            self.idle_since = self.last_busy_at = now
        number = now // _BIN_SECONDS
        if self._bins and self._bins[-1][0] >= number:  # a clock may be set back
            self._bins[-1][1] += percent
            self._bins[-1][2] += 1
        else:
            self._bins.append([number, percent, 1])

    def gap(self, now: float) -> None:
        """Nothing is known of the time until `now`."""
        self.idle_since = now

    def mean(self, now: float) -> float | None:
        """Percent over the last `TREND_SECONDS`, each half minute counting the same."""
        known = [value for value in self.trend(now) if value is not None]
        return sum(known) / len(known) if known else None

    def trend(self, now: float) -> tuple[float | None, ...]:
        """The last `TREND_SECONDS` in `TREND_POINTS` means, oldest first; None is a gap. What was
        before the first figure is left out."""
        last = now // _BIN_SECONDS
        known = {number: total / count for number, total, count in self._bins}
        recent = [number for number in known if number > last - TREND_POINTS]
        if not recent:
            return ()
        return tuple(known.get(last - back) for back in range(int(last - min(recent)), -1, -1))
