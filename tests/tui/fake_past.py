"""A past of seven days that is made up: waves by the hour and the day, and a night without."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gpuhop_tui.fleet.past_jobs import PastJob
from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.fleet.store.bins import Figures, tier_for
from gpuhop_tui.fleet.store.points import StoredPoint
from gpuhop_tui.fleet.summary import memory_percent

KeptPast = Callable[[str, int, float, float], list[StoredPoint]]

GAP = (2400.0, 3640.0)  # seconds ago: twenty minutes without figures
NIGHT = (2 * 86400.0, 2.5 * 86400.0)


def kept_past(state: FleetState, now: float) -> KeptPast:
    """Waves for every GPU of the state that end at its figures."""

    def points(node_name: str, index: int, since: float, until: float) -> list[StoredPoint]:
        node = state.node(node_name)
        found = [g for g in node.sample.gpus if g.index == index] if node and node.sample else []
        if not found or found[0].lost:
            return []
        gpu, step = found[0], tier_for(since, until, now).step
        util = gpu.utilization_percent
        memory = memory_percent(gpu)
        first = int(max(since, now - 7 * 86400) // step)
        told = []
        for number in range(first, int(min(until, now) // step) + 1):
            at = float(number * step)
            ago = now - at
            if GAP[0] <= ago <= GAP[1] or NIGHT[0] <= ago <= NIGHT[1]:
                told.append(StoredPoint(at, step, None))
                continue
            near = min(1.0, ago / 60)
            wave = 0.6 * math.sin(at / 1500 + index) + 0.4 * math.sin(at / 19000)
            busy = None if util is None else _within(util + near * (35 * wave - 10) * bool(util))
            full = None if memory is None else memory * (1 if ago < 30000 or index % 2 else 0.5)
            power = gpu.power_watts
            watts = None if power is None else 60 + (power - 60) * (busy or 0) / max(1, util or 1)
            celsius = None if busy is None else 31 + busy / 3
            means = Figures(busy, full, watts, celsius)
            peaks = Figures(
                None if busy is None else _within(busy * 1.15), full,
                None if watts is None else watts * 1.1, celsius,
            )  # fmt: skip
            told.append(StoredPoint(at, step, means, peaks))
        return told

    return points


def _within(percent: float) -> float:
    return min(100.0, max(0.0, percent))


def ended_jobs(now: float) -> Sequence[PastJob]:
    """Two that ended on gpu-01, and one elsewhere."""

    def job(node: str, pid: int, hours: tuple[float, float], state: str, *gpus: int) -> PastJob:
        return PastJob(
            node, pid, now - hours[0] * 3600, now - hours[1] * 3600, gpus, "python train.py",
            "python train.py --config big.yaml", "marie", "llm-pretrain", state, "", 0, None,
        )  # fmt: skip

    return (
        job("gpu-01", 811, (9, 4), "finished", 0, 1, 2, 3),
        job("gpu-01", 402, (90, 70), "out of memory", 6),
        job("gpu-02", 77, (30, 20), "failed", 0),
    )
