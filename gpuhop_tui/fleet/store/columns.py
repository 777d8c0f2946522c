"""The past of one GPU added up for the columns of a graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gpuhop_tui.fleet.store.points import StoredPoint


class Column(NamedTuple):
    """What was measured in a column's time."""

    mean: float
    peak: float


def columns(
    points: Sequence[StoredPoint], name: str, since: float, seconds: float, width: int
) -> list[Column | None]:
    """One figure of `points` in `width` columns of `seconds` each, from `since` on: the mean over
    the time that is known, and the highest. A column of which nothing is known is None: nothing is
    drawn across a gap."""
    weights, sums = [0.0] * width, [0.0] * width
    peaks = [-math.inf] * width
    for point in points:
        value = None if point.figures is None else getattr(point.figures, name)
        if value is None:
            continue
        peak = value if point.peaks is None else (getattr(point.peaks, name) or value)
        start = (point.at - since) / seconds
        end = start + max(point.seconds, 1e-3) / seconds
        for column in range(max(0, math.floor(start)), min(width, math.ceil(end))):
            weight = min(end, column + 1) - max(start, column)
            if weight > 0:
                weights[column] += weight
                sums[column] += weight * value
                peaks[column] = max(peaks[column], peak)
    return [
        Column(total / weight, max(peak, total / weight)) if weight else None
        for total, weight, peak in zip(sums, weights, peaks, strict=True)
    ]
