"""The GPUs of a node as a table, with what is missing and why below it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from gpuhop_tui.fleet.summary import free_instances, gpu_processes, is_free_instance, memory_percent
from gpuhop_tui.probe.sample import Gpu, MigInstance, Sample
from gpuhop_tui.tui.render.bars import bar, tone_of
from gpuhop_tui.tui.render.columns import GAP, Column, choose, heading, row
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit, plain, width_of
from gpuhop_tui.tui.render.reservations import reservation_lines, users_with_marks
from gpuhop_tui.tui.render.units import MISSING, figure, gib, plural

COLUMNS: tuple[Column, ...] = (
    Column("index", "#", 2, align="right"),
    Column("name", "GPU", 16, rank=3),
    Column("util", "UTIL", 10, comfort=16, grow=3, most=30),
    Column("memory", "MEMORY", 13, comfort=20, grow=3, most=34),
    Column("temp", "TEMP", 4, rank=1, align="right"),
    Column("power", "POWER", 9, rank=4, align="right"),
    Column("users", "USERS", 8, rank=2, grow=1, most=18),
    Column("clock", "CLOCK", 8, rank=6, align="right"),
    Column("fan", "FAN", 5, rank=7, align="right"),
    Column("notes", "NOTES", 12, rank=5, grow=2, most=32),
)

FIELD_NAMES: dict[str, str] = {
    "utilization_percent": "utilization",
    "memory_used_bytes": "memory used",
    "memory_total_bytes": "memory total",
    "temperature_celsius": "temperature",
    "power_watts": "power",
    "power_limit_watts": "power limit",
    "fan_percent": "fan",
    "sm_clock_mhz": "clock",
    "throttle_reasons": "throttle reasons",
    "ecc_uncorrected": "ECC errors",
    "pcie_generation": "PCIe generation",
    "pcie_width": "PCIe lanes",
    "processes": "processes",
    "name": "name",
    "uuid": "UUID",
    "mig": "MIG instances",
}

_BLANK = (Span(MISSING, Tone.DIM),)


@dataclass(frozen=True, slots=True)
class GpuTableLines:
    """The table: its heading, its rows each with the GPU it belongs to, its footnotes."""

    heading: Line
    rows: tuple[tuple[int, Line], ...]
    notes: tuple[Line, ...]


def gpu_table(sample: Sample, width: int, stale: bool) -> GpuTableLines:
    """All of a sample's GPUs in `width` cells; dimmed where the figures are old."""
    columns = choose(_sized(COLUMNS, sample.gpus), width)
    rows: list[tuple[int, Line]] = []
    for gpu in sample.gpus:
        rows += [(gpu.index, line) for line in _gpu_lines(gpu, columns, width)]
    if stale:
        rows = [(index, dimmed(line)) for index, line in rows]
    shown = {column.key for column in columns}
    notes = reservation_lines(sample.gpus, width, sample.sampled_at)
    notes += _footnotes(sample.gpus, shown, width)
    return GpuTableLines(heading(columns), tuple(rows), tuple(notes))


def _sized(columns: Sequence[Column], gpus: Sequence[Gpu]) -> list[Column]:
    """The columns with room for the longest name, within reason, and no more."""
    names = [short_name(clean(gpu.name or "")) for gpu in gpus]
    names += [f"  {clean(one.name or '')}" for gpu in gpus for one in gpu.mig]
    width = min(16, max((cell_len(name) for name in names), default=0))
    return [replace(c, width=max(4, width)) if c.key == "name" else c for c in columns]


def dimmed(line: Line) -> Line:
    """The line in the tone of old figures."""
    return tuple(Span(text, tone if tone is Tone.TRACK else Tone.OLD) for text, tone in line)


def _gpu_lines(gpu: Gpu, columns: Sequence[Column], width: int) -> list[Line]:
    if gpu.lost is not None:
        return [_lost_line(gpu, columns, width)]
    by_key = {column.key: column for column in columns}
    cells: dict[str, Line] = {
        "index": (Span(str(gpu.index), Tone.DIM),),
        "name": _text(gpu.name),
        "util": _util(gpu, by_key["util"].width),
        "memory": _memory(gpu, by_key["memory"].width),
        "temp": _number(gpu.temperature_celsius, "°C"),
        "power": _power(gpu),
        "users": _users(gpu),
        "clock": _number(gpu.sm_clock_mhz, " MHz"),
        "fan": _number(gpu.fan_percent, " %"),
        "notes": _notes(gpu),
    }
    lines = [row(columns, cells)]
    for number, instance in enumerate(gpu.mig):
        branch = "└" if number == len(gpu.mig) - 1 else "├"
        lines.append(_instance_line(instance, branch, columns))
    return lines


def _lost_line(gpu: Gpu, columns: Sequence[Column], width: int) -> Line:
    """A lost GPU has no figures: its reason takes their place."""
    start: list[Span] = []
    for column in columns:
        if column.key not in {"index", "name"}:
            break
        text = str(gpu.index) if column.key == "index" else short_name(clean(gpu.name or MISSING))
        start += [Span(fit(text, column.width, column.align), Tone.DIM), Span(" " * GAP)]
    reason = clean(gpu.lost or "")
    words = reason if "lost" in reason.lower() else f"lost: {reason}"
    return (*start, Span(fit(f"× {words}", width - width_of(start)), Tone.BAD))


def _instance_line(instance: MigInstance, branch: str, columns: Sequence[Column]) -> Line:
    by_key = {column.key: column for column in columns}
    name = clean(instance.name or MISSING)
    users = sorted({clean(p.user) for p in instance.processes if p.user})
    free = is_free_instance(instance)
    title = Span(f"{branch} {name}", Tone.DIM)
    state = Span("free", Tone.GOOD) if free else Span("in use", Tone.MID)
    cells: dict[str, Line] = {
        "index": (Span("", Tone.DIM),),
        "name": (title,),
        "util": (state,) if "name" in by_key else (title, Span(" "), state),
        "memory": _memory(instance, by_key["memory"].width),
        "users": (Span(", ".join(users)),),
        "notes": (Span(f"instance {instance.index}", Tone.DIM),),
    }
    return row(columns, cells)


def _text(value: str | None) -> Line:
    return _BLANK if value is None else (Span(short_name(clean(value))),)


def short_name(name: str) -> str:
    """A GPU's name without its maker and the size of its memory, which has a column of its own."""
    short = re.sub(r"^(NVIDIA )?(GeForce )?|[- ]\d+GB( HBM\w*)?$|[ ]Generation$", "", name)
    return short.strip() or name


def _number(value: float | None, unit: str) -> Line:
    return _BLANK if value is None else (Span(figure(value, unit)),)


def _util(gpu: Gpu, width: int) -> Line:
    if gpu.mig:
        free = free_instances(gpu)
        return (Span(f"{free}/{len(gpu.mig)} free", Tone.GOOD if free else Tone.DIM),)
    value = gpu.utilization_percent
    text = MISSING if value is None else f"{value} %"
    tone = tone_of(value)
    return (*bar(value, width - 6, tone), Span(fit(text, 6, "right"), tone))


def _memory(item: Gpu | MigInstance, width: int) -> Line:
    used, total = item.memory_used_bytes, item.memory_total_bytes
    text = f"{gib(used)}/{gib(total)} G"
    if used is None and total is None:
        text = MISSING
    room = max(8, len(text))
    bar_line = bar(memory_percent(item), width - room - 1, Tone.MEMORY)
    return (*bar_line, Span(fit(text, room + 1, "right")))


def _power(gpu: Gpu) -> Line:
    if gpu.power_watts is None:
        return _BLANK
    limit = "" if gpu.power_limit_watts is None else f"/{gpu.power_limit_watts:.0f}"
    return (Span(f"{gpu.power_watts:.0f}"), Span(f"{limit} W", Tone.DIM))


def _users(gpu: Gpu) -> Line:
    if "processes" in gpu.missing:
        return _BLANK
    users = sorted({clean(process.user) for process in gpu_processes(gpu) if process.user})
    return users_with_marks(users, gpu)


def _notes(gpu: Gpu) -> Line:
    notes = []
    if gpu.ecc_uncorrected:
        notes.append(plural(gpu.ecc_uncorrected, "ECC error"))
    notes += [clean(reason) for reason in gpu.throttle_reasons or ()]
    if notes:
        return (Span(", ".join(notes), Tone.WARN),)
    return _BLANK if gpu.throttle_reasons is None else (Span("full speed", Tone.DIM),)


_COLUMN_FIELDS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "util": ("utilization_percent",),
    "memory": ("memory_used_bytes", "memory_total_bytes"),
    "temp": ("temperature_celsius",),
    "power": ("power_watts",),
    "users": ("processes",),
    "clock": ("sm_clock_mhz",),
    "fan": ("fan_percent",),
    "notes": ("throttle_reasons",),
}


def missing_by_reason(gpus: Sequence[Gpu], fields: set[str]) -> dict[str, dict[str, list[int]]]:
    """Reason → field → indexes of the GPUs that lack it, for these fields."""
    found: dict[str, dict[str, list[int]]] = {}
    for gpu in gpus:
        if gpu.lost is not None:
            continue
        for name, reason in gpu.missing.items():
            if name in fields:
                found.setdefault(clean(reason), {}).setdefault(name, []).append(gpu.index)
    return found


def _footnotes(gpus: Sequence[Gpu], shown: set[str], width: int) -> tuple[Line, ...]:
    """Why figures are blank: `– fan: not supported`."""
    fields = {field for key in shown for field in _COLUMN_FIELDS.get(key, ())}
    alive = [gpu.index for gpu in gpus if gpu.lost is None]
    lines: list[Line] = []
    for reason, by_field in missing_by_reason(gpus, fields).items():
        parts = []
        for name, indexes in by_field.items():
            which = "" if indexes == alive else f" of {', '.join(map(str, indexes))}"
            parts.append(FIELD_NAMES.get(name, name) + which)
        text = f" {MISSING} {', '.join(parts)}: {reason}"
        lines.append((Span(cut(text, width), Tone.DIM),))
    return tuple(line for line in lines if plain(line).strip())
