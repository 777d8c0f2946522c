"""The recent past of every GPU, in bounded memory: what the graphs draw."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpuhop_tui.fleet.state import HistoryPoint
from gpuhop_tui.probe.sample import Gpu, Sample

POINTS = 900  # half an hour at one sample in two seconds


@dataclass(slots=True)
class _Series:
    """Columns of one GPU; 16 bytes a point. A gap is NaN."""

    at: array[float] = field(default_factory=lambda: array("d"))
    utilization: array[float] = field(default_factory=lambda: array("f"))
    memory: array[float] = field(default_factory=lambda: array("f"))

    def append(self, at: float, utilization: float | None, memory: float | None) -> None:
        columns = ((self.at, at), (self.utilization, utilization), (self.memory, memory))
        for column, value in columns:
            column.append(math.nan if value is None else value)
            if len(column) >= 2 * POINTS:  # trimmed by halves: cheap on average
                del column[:POINTS]

    def points(self) -> list[HistoryPoint]:
        rows = zip(
            self.at[-POINTS:], self.utilization[-POINTS:], self.memory[-POINTS:], strict=True
        )
        return [(at, _or_none(utilization), _or_none(memory)) for at, utilization, memory in rows]


class History:
    """Utilization and memory of each GPU of each node, oldest first."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, int], _Series] = {}

    def record(self, node: str, sample: Sample) -> None:
        """Adds one point for each GPU of `sample`; a figure that is missing is a gap."""
        for gpu in sample.gpus:
            series = self._series.setdefault((node, gpu.index), _Series())
            series.append(sample.sampled_at, gpu.utilization_percent, memory_percent(gpu))

    def gap(self, node: str, at: float) -> None:
        """Marks that nothing is known of `node` from `at` (seconds since the epoch) on."""
        for (name, _), series in self._series.items():
            if name == node:
                series.append(at, None, None)

    def points(self, node: str, gpu_index: int) -> Sequence[HistoryPoint]:
        series = self._series.get((node, gpu_index))
        return series.points() if series else ()


def memory_percent(gpu: Gpu) -> float | None:
    """Used memory in percent of the total, or None where either is not known."""
    if gpu.memory_used_bytes is None or not gpu.memory_total_bytes:
        return None
    return 100.0 * gpu.memory_used_bytes / gpu.memory_total_bytes


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
