"""Figures of GPUs averaged over bins of time, and packed for the store.

Young figures are kept in fine bins, old ones in coarse bins: enough for a graph of any span, in
bounded space.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from gpuhop_tui.fleet.summary import memory_percent
from gpuhop_tui.probe.sample import Gpu, Sample


@dataclass(frozen=True, slots=True)
class Tier:
    """Bins of `step` seconds, kept for `keep` seconds."""

    step: int
    keep: int

    @property
    def reach(self) -> float:
        """Seconds back from now that it is asked for: a little more, so that a graph of just that
        span, which begins at a round time, is drawn in these bins."""
        return 1.05 * self.keep


TIERS = (Tier(10, 2 * 3600), Tier(60, 24 * 3600), Tier(600, 7 * 24 * 3600))


@dataclass(frozen=True, slots=True)
class Figures:
    """One GPU over one bin, each the mean of what was measured; None: nothing was."""

    utilization_percent: float | None = None
    memory_percent: float | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None


NAMES = tuple(each.name for each in fields(Figures))

_SCALES = (100, 100, 10, 10)  # of the figures in their order: two digits hold what is measured
_NONE = -(1 << 15)
_MOST = (1 << 15) - 1
_ENTRY = struct.Struct("<HH4h4h")  # index, count of samples, means and peaks times their scales


@dataclass(frozen=True, slots=True)
class Binned:
    """Means and highest figures of a GPU, from so many samples."""

    count: int
    figures: Figures
    peaks: Figures

    def joined(self, other: Binned) -> Binned:
        """Both as one, the means weighted by their samples."""
        count = self.count + other.count

        def mean(one: float, two: float) -> float:
            return (one * self.count + two * other.count) / count

        means = _combined(self.figures, other.figures, mean)
        return Binned(count, means, _combined(self.peaks, other.peaks, max))


def _combined(one: Figures, two: Figures, how: Callable[[float, float], float]) -> Figures:
    """Figure by figure; one that only one of them has is taken as it is."""
    values: list[float | None] = []
    for name in NAMES:
        first, second = getattr(one, name), getattr(two, name)
        if first is None or second is None:
            values.append(second if first is None else first)
        else:
            values.append(how(first, second))
    return Figures(*values)


Row = dict[int, Binned]
"""The GPUs of a node over one bin, by index."""


def row_of(sample: Sample) -> Row:
    """One sample as a row; a GPU of which nothing is known is left out."""
    row = {}
    for gpu in sample.gpus:
        figures = figures_of(gpu)
        if figures != Figures():
            row[gpu.index] = Binned(1, figures, figures)
    return row


def figures_of(gpu: Gpu) -> Figures:
    """What is kept of one GPU of a sample."""
    return Figures(
        gpu.utilization_percent, memory_percent(gpu), gpu.power_watts, gpu.temperature_celsius
    )


def joined(rows: Iterable[Row]) -> Row:
    """Several rows of one node as one."""
    result: Row = {}
    for row in rows:
        for index, binned in row.items():
            before = result.get(index)
            result[index] = binned if before is None else before.joined(binned)
    return result


def pack(row: Row) -> bytes:
    return b"".join(
        _ENTRY.pack(index, min(each.count, 0xFFFF), *_scaled(each.figures), *_scaled(each.peaks))
        for index, each in sorted(row.items())
        if 0 <= index <= 0xFFFF
    )


def unpack(data: bytes, only: int | None = None) -> Row:
    """What `pack` made, or no more of it than one GPU. Raises ValueError where it is something
    else."""
    if len(data) % _ENTRY.size:
        raise ValueError("not a row of figures")
    row = {}
    for index, count, *values in _ENTRY.iter_unpack(data):
        if only is None or index == only:
            row[index] = Binned(max(1, count), _figures(values[:4]), _figures(values[4:]))
    return row


def _scaled(figures: Figures) -> Iterator[int]:
    for name, scale in zip(NAMES, _SCALES, strict=True):
        value = getattr(figures, name)
        yield _NONE if value is None else max(-_MOST, min(_MOST, round(value * scale)))


def _figures(scaled: Sequence[int]) -> Figures:
    values = zip(scaled, _SCALES, strict=True)
    return Figures(*(None if value == _NONE else value / scale for value, scale in values))


class OpenBins:
    """The bins of one node that time has not passed yet, one a tier."""

    def __init__(self) -> None:
        self._open: dict[Tier, tuple[int, Row]] = {}

    def add(self, at: float, row: Row) -> Iterator[tuple[Tier, int, Row]]:
        """Takes a sample of the time `at` (seconds since the epoch) in; gives (tier, start of the
        bin, row) of each bin that this ends."""
        for tier in TIERS:
            start = int(at) // tier.step * tier.step
            before = self._open.get(tier)
            if before is not None and before[0] == start:
                self._open[tier] = (start, joined((before[1], row)))
                continue
            if before is not None:
                yield tier, *before
            self._open[tier] = (start, row)

    def of(self, tier: Tier) -> tuple[int, Row] | None:
        """The open bin of a tier, as far as it is."""
        return self._open.get(tier)

    def end(self) -> Iterator[tuple[Tier, int, Row]]:
        """All of them, as far as they are."""
        for tier, (start, row) in self._open.items():
            yield tier, start, row
        self._open.clear()


def tier_for(since: float, until: float, now: float, most: int = 2000) -> Tier:
    """The finest tier that reaches back to `since` and has at most `most` bins up to `until`."""
    for tier in TIERS:
        if now - since <= tier.reach and (until - since) / tier.step <= most:
            return tier
    return TIERS[-1]
