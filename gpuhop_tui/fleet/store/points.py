"""The past of one GPU as points with their lengths, so that a gap is told from a pause; what was
kept on disk joined with what is in memory, which is finer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpuhop_tui.fleet.store.bins import Figures, Row, Tier

SPARSE_STEPS = 3  # samples rarer than the bins: so many of their usual distances are no gap
RAREST_SECONDS = 60.0  # between two samples that nothing was missed between


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """One GPU over `seconds` from `at` (seconds since the epoch) on: means, and the highest that
    was measured. None of `figures`: a gap."""

    at: float
    seconds: float
    figures: Figures | None
    peaks: Figures | None = None


def points_of(tier: Tier, rows: Sequence[tuple[int, Row]], index: int) -> list[StoredPoint]:
    """The bins of one GPU side by side, and the gaps between them."""
    bins = [(at, row[index]) for at, row in rows if index in row]
    reach = _reach(tier, [at for at, _ in bins], [binned.count for _, binned in bins])
    points: list[StoredPoint] = []
    for number, (at, binned) in enumerate(bins):
        end = at + tier.step
        following = bins[number + 1][0] if number + 1 < len(bins) else end
        seconds = following - at if following - at <= reach else tier.step
        points.append(StoredPoint(at, seconds, binned.figures, binned.peaks))
        if following - at > reach:
            points.append(StoredPoint(end, following - end, None))
    return points


def _reach(tier: Tier, times: Sequence[int], counts: Sequence[int]) -> float:
    """Seconds from one bin to the next that are no gap. Where samples are rarer than bins, some
    bins have none though nothing was missed."""
    sparse = sorted(counts)[len(counts) // 2] <= 1 if counts else False
    distances = sorted(b - a for a, b in pairwise(times))
    if not sparse or not distances:
        return tier.step
    usual = min(distances[len(distances) // 2], RAREST_SECONDS)
    return max(tier.step, SPARSE_STEPS * usual)


def joined(
    kept: Sequence[StoredPoint], recent: Sequence[StoredPoint], since: float, until: float
) -> list[StoredPoint]:
    """Both from `since` to `until`, each moment once. A bin that began before what is in memory
    stays whole."""
    begin = recent[0].at if recent else until
    old = [point for point in kept if point.at < begin and point.at + point.seconds > since]
    if old and recent:
        last = old[-1]
        if last.figures is None:  # a gap ends where memory begins
            old[-1] = StoredPoint(last.at, begin - last.at, None)
        else:
            begin = max(begin, last.at + last.seconds)
            old += _gap(last, recent[0].at)
    new = [
        point
        for point in recent
        if point.at >= begin and point.at <= until and point.at + point.seconds > since
    ]
    return [*old, *new]


def _gap(last: StoredPoint, until: float) -> list[StoredPoint]:
    end = last.at + last.seconds
    return [StoredPoint(end, until - end, None)] if until > end else []


def gap_at(points: Sequence[StoredPoint], at: float) -> tuple[float, float] | None:
    """From when to when nothing is known, around a moment; None where something is, or where the
    moment is before or after all that is known."""
    around = [each for each in points if each.figures is not None]
    for one, other in pairwise(around):
        if one.at + one.seconds <= at < other.at:
            return one.at + one.seconds, other.at
    return None
