"""What one container's processes use of the node's GPUs, by a sample."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuhop_tui.containers.model import Container
from gpuhop_tui.fleet.containers import why_no_figures
from gpuhop_tui.probe.sample import Gpu, Sample


@dataclass(frozen=True, slots=True)
class GpuUse:
    """A figure that is None has its reason in `missing`."""

    gpus: tuple[int, ...] = ()  # indexes of those that its processes are on
    memory_bytes: int | None = None  # of its processes, on all GPUs
    memory_total_bytes: int | None = None  # of those GPUs
    utilization_percent: float | None = None  # the mean of those GPUs, whoever uses them
    missing: dict[str, str] = field(default_factory=dict)


def gpu_use(container: Container, sample: Sample | None) -> GpuUse:
    """Of the container's processes, by a live sample."""
    reason = why_no_figures(sample)
    if sample is None or reason is not None:
        why = reason or "no figures from the node's GPUs"
        return GpuUse(missing=dict.fromkeys(("memory_bytes", "utilization_percent"), why))
    mine = [gpu for gpu in sample.gpus if _held(container, gpu)]
    if not mine:
        why = "no process of it is on a GPU"
        return GpuUse(memory_bytes=0, missing={"utilization_percent": why})
    missing: dict[str, str] = {}
    held = [memory for gpu in mine for memory in _held(container, gpu)]
    totals = [gpu.memory_total_bytes for gpu in mine]
    known = [gpu.utilization_percent for gpu in mine if gpu.utilization_percent is not None]
    if None in held:
        missing["memory_bytes"] = "the driver does not say for all of its processes"
    if not known:
        missing["utilization_percent"] = next(
            (each.missing["utilization_percent"] for each in mine
             if "utilization_percent" in each.missing),
            "the driver does not tell",
        )  # fmt: skip
    return GpuUse(
        tuple(gpu.index for gpu in mine),
        None if None in held else sum(memory or 0 for memory in held),
        None if None in totals else sum(total or 0 for total in totals),
        sum(known) / len(known) if known else None,
        missing,
    )


def _held(container: Container, gpu: Gpu) -> list[int | None]:
    """The GPU memory of each of its processes there, in bytes."""
    return [each.memory_bytes for each in gpu.processes if each.container_id == container.id]
