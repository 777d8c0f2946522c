"""When a job will be done, where its own lines tell only how far it is."""

from __future__ import annotations

from collections import deque

from gpuhop_tui.sessions.model import Progress

_LEAST_SECONDS = 5.0  # between two observations: less says nothing
_KEPT = 12  # observations: the speed of late counts, not that of the beginning


class Pace:
    """Observes the fraction that is done."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # when, fraction
        self._what: tuple[str, float | None] = ("", None)

    def observe(self, now: float, progress: Progress) -> float | None:
        """Seconds until all is done: what the line says, else by the speed between the fractions
        seen so far; None where that is not known yet."""
        if progress.eta_seconds is not None:
            return progress.eta_seconds
        fraction = _fraction(progress)
        what = (progress.label, progress.total)
        if fraction is None:
            return None
        if what != self._what or (self._seen and fraction < self._seen[-1][1]):
            self._seen.clear()  # another bar, or it began anew
            self._what = what
        if not self._seen or fraction > self._seen[-1][1]:
            if len(self._seen) < 2 or now - self._seen[-2][0] >= _LEAST_SECONDS:
                self._seen.append((now, fraction))
            else:
                self._seen[-1] = (now, fraction)
        first, last = self._seen[0], self._seen[-1]
        if last[0] - first[0] < _LEAST_SECONDS or last[1] <= first[1]:
            return None
        speed = (last[1] - first[1]) / (last[0] - first[0])
        return max(0.0, (1.0 - last[1]) / speed - (now - last[0]))


def _fraction(progress: Progress) -> float | None:
    """From 0 to 1. Counts are finer than percents."""
    if progress.done is not None and progress.total:
        return progress.done / progress.total
    return None if progress.percent is None else progress.percent / 100.0
