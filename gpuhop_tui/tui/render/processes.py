"""The processes on a node's GPUs as a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpuhop_tui.fleet.summary import gpu_processes
from gpuhop_tui.probe.sample import Process, Sample
from gpuhop_tui.tui.render.columns import Column, choose, heading, row
from gpuhop_tui.tui.render.gpus import dimmed
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean
from gpuhop_tui.tui.render.units import MISSING, brief, size

COLUMNS: tuple[Column, ...] = (
    Column("gpus", "GPU", 4),
    Column("pid", "PID", 7, rank=3),
    Column("user", "USER", 8, grow=1, most=12),
    Column("command", "COMMAND", 18, grow=8),
    Column("memory", "MEMORY", 6, align="right"),
    Column("time", "TIME", 7, rank=2, align="right"),
    Column("container", "CONTAINER", 12, rank=4, grow=3, most=28),
    Column("tmux", "TMUX", 8, rank=5, grow=1, most=20),
)


ProcessKey = tuple[int, float | None]
"""Process id and start: a pid is used again in time."""


@dataclass(frozen=True, slots=True)
class Job:
    """A process with every GPU that it is on."""

    process: Process  # memory_bytes: the sum of what is known
    gpus: tuple[int, ...]

    @property
    def key(self) -> ProcessKey:
        return self.process.pid, self.process.started_at


def jobs(sample: Sample) -> list[Job]:
    """The sample's processes, each once, in the order of their first GPU; the biggest first."""
    found: dict[tuple[int, float | None], Job] = {}
    for gpu in sample.gpus:
        for process in gpu_processes(gpu):
            key = process.pid, process.started_at
            before = found.get(key)
            if before is None:
                found[key] = Job(process, (gpu.index,))
                continue
            known = [before.process.memory_bytes, process.memory_bytes]
            total = None if None in known else sum(m for m in known if m is not None)
            gpus = tuple(dict.fromkeys((*before.gpus, gpu.index)))
            found[key] = Job(replace(before.process, memory_bytes=total), gpus)
    return sorted(found.values(), key=lambda job: (job.gpus[0], -(job.process.memory_bytes or 0)))


def process_rows(
    sample: Sample, width: int, now: float, stale: bool
) -> list[tuple[ProcessKey | None, Line]]:
    """The heading and one line a process, with its key; a sentence where there is none."""
    found = jobs(sample)
    if not found:
        return [(None, (Span(_why_none(sample), Tone.DIM),))]
    columns = choose(COLUMNS, width)
    rows: list[tuple[ProcessKey | None, Line]] = [(None, heading(columns))]
    for job in found:
        line = row(columns, _cells(job, now))
        rows.append((job.key, dimmed(line) if stale else line))
    return rows


def _why_none(sample: Sample) -> str:
    reasons = {gpu.missing["processes"] for gpu in sample.gpus if "processes" in gpu.missing}
    if reasons:
        return f"Processes are not known: {', '.join(sorted(map(clean, reasons)))}"
    return "No process on any GPU"


def _cells(job: Job, now: float) -> dict[str, Line]:
    process = job.process
    started = process.started_at
    return {
        "gpus": (Span(ranges(job.gpus), Tone.STRONG),),
        "pid": (Span(str(process.pid), Tone.DIM),),
        "user": _text(process.user),
        "command": _text(process.command),
        "memory": (Span(size(process.memory_bytes)),),
        "time": (Span(MISSING if started is None else brief(now - started), Tone.DIM),),
        "container": _place(process.container or (process.container_id or "")[:12]),
        "tmux": _place(process.tmux_session),
    }


def _text(value: str | None) -> Line:
    return (Span(clean(value)),) if value else (Span(MISSING, Tone.DIM),)


def _place(value: str | None) -> Line:
    """A container or session; most processes are in none, which is no missing figure."""
    return (Span(clean(value), Tone.INFO),) if value else ()


def ranges(numbers: tuple[int, ...]) -> str:
    """`0-3,5` for 0, 1, 2, 3, 5."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
