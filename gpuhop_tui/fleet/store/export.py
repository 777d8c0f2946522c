"""The past of GPUs as CSV or JSON, for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gpuhop_tui.fleet.store.bins import NAMES, Figures
from gpuhop_tui.fleet.store.points import StoredPoint

Past = Mapping[tuple[str, int], Sequence[StoredPoint]]
"""By node and index of the GPU."""

PEAKS = tuple(f"{name}_max" for name in NAMES)
COLUMNS = ("node", "gpu", "at", "time", "seconds", *NAMES, *PEAKS)


def to_csv(past: Past) -> str:
    """A head, then a line a point (RFC 4180): `at` in seconds since the epoch, `time` the same in
    UTC (RFC 3339). A figure that was not measured is empty; gaps have no line."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for (node, index), points in past.items():
        for point in points:
            if point.figures is None:
                continue
            times = (point.at, _utc(point.at), point.seconds)
            means, peaks = _values(point.figures), _values(point.peaks or Figures())
            writer.writerow((node, index, *times, *means, *peaks))
    return text.getvalue()


def to_json(past: Past) -> str:
    """`{"schema": 1, "nodes": [{"name", "gpus": [{"index", "points": […]}]}]}`. A gap is a point
    whose figures are null."""
    nodes: dict[str, list[dict[str, Any]]] = {}
    for (node, index), points in past.items():
        told = [_point(point) for point in points]
        nodes.setdefault(node, []).append({"index": index, "points": told})
    whole = {"schema": 1, "nodes": [{"name": name, "gpus": gpus} for name, gpus in nodes.items()]}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _point(point: StoredPoint) -> dict[str, Any]:
    means = asdict(point.figures or Figures())
    peaks = dict(zip(PEAKS, _values(point.peaks or Figures()), strict=True))
    return {"at": point.at, "seconds": point.seconds, **_rounded(means), **peaks}


def _values(figures: Figures) -> list[float | None]:
    return list(_rounded(asdict(figures)).values())


def _rounded(figures: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if each is None else round(each, 2) for name, each in figures.items()}


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
