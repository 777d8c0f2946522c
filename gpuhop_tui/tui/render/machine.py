"""The machine around the GPUs: CPU, memory, load, disks."""

from __future__ import annotations

from rich.cells import cell_len

from gpuhop_tui.probe.sample import Disk, Host, Sample
from gpuhop_tui.tui.render.bars import bar
from gpuhop_tui.tui.render.gpus import dimmed
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit, fit_line
from gpuhop_tui.tui.render.units import MISSING, duration, figure, plural, size

_LABEL_LEAST, _LABEL_MOST = 7, 22
_BAR_MOST = 32
_WORDS = 28  # cells beside a bar, such as ` 52 %  211 G free of 439 G`


def machine(sample: Sample, width: int, now: float, stale: bool) -> list[Line]:
    """One line a figure, each with its bar where it has a whole."""
    host = sample.host
    label = max((cell_len(clean(disk.path)) for disk in host.disks), default=0)
    label = 2 + min(max(label, _LABEL_LEAST), _LABEL_MOST)
    bar_width = min(_BAR_MOST, max(8, width - label - _WORDS))
    lines = [
        (_label("CPU", label), *_cpu(host, bar_width)),
        (_label("memory", label), *_memory(host, bar_width)),
        *((_label(clean(disk.path), label), *_disk(disk, bar_width)) for disk in host.disks),
        (_label("load", label), *_load(host)),
        (_label("uptime", label), *_uptime(host, now)),
    ]
    lines = [fit_line(line, width) for line in lines]
    if stale:
        lines = [dimmed(line) for line in lines]
    lines += [
        (Span(cut(f"{MISSING} {name.replace('_', ' ')}: {clean(reason)}", width), Tone.DIM),)
        for name, reason in host.missing.items()
    ]
    return lines


def _label(text: str, width: int) -> Span:
    return Span(fit(text, width - 2) + "  ", Tone.DIM)


def _cpu(host: Host, width: int) -> Line:
    count = plural(host.cpu_count, "core") if host.cpu_count else ""
    return _bar(host.cpu_percent, count, width, Tone.LOW)


def _memory(host: Host, width: int) -> Line:
    used, total = host.memory_used_bytes, host.memory_total_bytes
    percent = 100.0 * used / total if used is not None and total else None
    words = "" if percent is None else f"{size(used)} of {size(total)}"
    return _bar(percent, words, width, Tone.MEMORY)


def _disk(disk: Disk, width: int) -> Line:
    used = disk.total_bytes - disk.free_bytes
    percent = 100.0 * used / disk.total_bytes if disk.total_bytes else None
    words = f"{size(disk.free_bytes)} free"
    if width >= 12:
        words += f" of {size(disk.total_bytes)}"
    return _bar(percent, words, width, Tone.MEMORY)


def _bar(percent: float | None, words: str, width: int, tone: Tone) -> Line:
    """A bar, its figure, and words. What is nearly full is told by its colour too."""
    if percent is not None and percent >= 95:
        tone = Tone.WARN
    return (
        *bar(percent, width, tone),
        Span(fit(figure(percent, " %"), 6, "right")),
        Span(f"  {words}", Tone.DIM),
    )


def _load(host: Host) -> Line:
    value = MISSING if host.load_1 is None else f"{host.load_1:.1f}"
    return (Span(value), Span("  over the last minute", Tone.DIM))


def _uptime(host: Host, now: float) -> Line:
    value = MISSING if host.boot_time is None else duration(now - host.boot_time)
    name = f"  {clean(host.hostname)}" if host.hostname else ""
    return (Span(value), Span(name, Tone.DIM))
