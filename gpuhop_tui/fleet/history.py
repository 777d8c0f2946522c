"""The recent past of every GPU, in bounded memory: what the graphs of the dashboard draw."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from gpuhop_tui.fleet.state import HistoryPoint
from gpuhop_tui.fleet.store.bins import NAMES, Figures, figures_of
from gpuhop_tui.fleet.store.points import StoredPoint
from gpuhop_tui.probe.sample import Sample

POINTS = 900  # half an hour at one sample in two seconds
_SPARE = POINTS // 4  # trimmed by so many: cheap on average


def _floats() -> array[float]:
    return array("f")


@dataclass(slots=True)
class _Series:
    """Columns of one GPU; 24 bytes a point. A gap is NaN in all of them."""

    at: array[float] = field(default_factory=lambda: array("d"))
    columns: tuple[array[float], ...] = field(
        default_factory=lambda: tuple(_floats() for _ in NAMES)
    )
    begun: float = -math.inf  # what is older came from the store

    def append(self, at: float, figures: Figures | None) -> None:
        self.at.append(at)
        for column, name in zip(self.columns, NAMES, strict=True):
            value = None if figures is None else getattr(figures, name)
            column.append(math.nan if value is None else value)
        self._trim()

    def prepend(self, older: _Series) -> None:
        """Puts what is older before what is there."""
        self.begun = self.at[0] if self.at else math.inf
        end = next((n for n, at in enumerate(older.at) if self.at and at >= self.at[0]), None)
        self.at = older.at[:end] + self.at
        pairs = zip(older.columns, self.columns, strict=True)
        self.columns = tuple(old[:end] + new for old, new in pairs)
        self._trim()

    def _trim(self) -> None:
        if len(self.at) >= POINTS + _SPARE:
            for column in (self.at, *self.columns):
                del column[:-POINTS]

    def rows(self) -> Iterator[tuple[float, Figures | None]]:
        for at, *values in zip(*(c[-POINTS:] for c in (self.at, *self.columns)), strict=True):
            known = Figures(*map(_or_none, values))
            yield at, None if known == Figures() else known


class History:
    """Utilization, memory, power and temperature of each GPU of each node, oldest first."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, int], _Series] = {}

    def record(self, node: str, sample: Sample) -> None:
        """Adds one point for each GPU of `sample`; a figure that is missing is a gap."""
        for gpu in sample.gpus:
            series = self._series.setdefault((node, gpu.index), _Series())
            series.append(sample.sampled_at, figures_of(gpu))

    def gap(self, node: str, at: float) -> None:
        """Marks that nothing is known of `node` from `at` (seconds since the epoch) on."""
        for (name, _), series in self._series.items():
            if name == node:
                series.append(at, None)

    def seed(self, node: str, gpu_index: int, kept: Sequence[StoredPoint]) -> None:
        """Puts what a store has kept of a GPU before what is there of it. Between them, nothing is
        known."""
        newer = self._series.get((node, gpu_index))
        if newer is None or not kept:
            return
        older = _Series()
        for point in kept:
            older.append(point.at, point.figures)
        older.append(kept[-1].at + kept[-1].seconds, None)
        newer.prepend(older)

    def points(self, node: str, gpu_index: int) -> Sequence[HistoryPoint]:
        series = self._series.get((node, gpu_index))
        if series is None:
            return ()
        utilization, memory = series.columns[:2]
        rows = zip(series.at[-POINTS:], utilization[-POINTS:], memory[-POINTS:], strict=True)
        return [(at, _or_none(one), _or_none(other)) for at, one, other in rows]

    def past(self, node: str, gpu_index: int) -> list[StoredPoint]:
        """All that was seen of one GPU, each for as long as it held; gaps as such. What came from
        the store is left out: there it has its peaks, too."""
        series = self._series.get((node, gpu_index))
        rows = [row for row in series.rows() if row[0] >= series.begun] if series else []
        if not rows:
            return []
        steps = sorted(b[0] - a[0] for a, b in pairwise(rows))
        usual = steps[len(steps) // 2] if steps else 0.0
        ends = [at for at, _ in rows[1:]]
        ends.append(rows[-1][0] + (usual if rows[-1][1] is not None else 0.0))
        return [
            StoredPoint(at, max(0.0, end - at), figures, figures)
            for (at, figures), end in zip(rows, ends, strict=True)
        ]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
