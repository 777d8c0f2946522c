"""The machine around the GPUs: CPU, memory, load, disks."""

from __future__ import annotations

from gpuhop_tui.probe.sample import Host, Sample
from gpuhop_tui.tui.render.bars import bar
from gpuhop_tui.tui.render.gpus import dimmed
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit
from gpuhop_tui.tui.render.units import MISSING, duration, figure, plural, size

_LABEL = 9
_BAR_MOST = 32


def machine(sample: Sample, width: int, now: float, stale: bool) -> list[Line]:
    """One line a figure, each with its bar where it has a whole."""
    host = sample.host
    bar_width = min(_BAR_MOST, max(6, width - _LABEL - 26))
    lines = [
        _cpu(host, bar_width),
        _memory(host, bar_width),
        _load(host),
        *(
            _fraction(
                clean(disk.path),
                disk.total_bytes - disk.free_bytes,
                disk.total_bytes,
                f"{size(disk.free_bytes)} free of {size(disk.total_bytes)}",
                bar_width,
            )
            for disk in host.disks
        ),
        _uptime(host, now),
    ]
    if stale:
        lines = [dimmed(line) for line in lines]
    lines += [
        (Span(cut(f"{MISSING} {name.replace('_', ' ')}: {clean(reason)}", width), Tone.DIM),)
        for name, reason in host.missing.items()
    ]
    return lines


def _label(text: str) -> Span:
    return Span(fit(text, _LABEL), Tone.DIM)


def _cpu(host: Host, width: int) -> Line:
    count = plural(host.cpu_count, "core") if host.cpu_count else ""
    return (
        _label("CPU"),
        *bar(host.cpu_percent, width, Tone.LOW),
        Span(fit(figure(host.cpu_percent, " %"), 6, "right")),
        Span(f"  {count}", Tone.DIM),
    )


def _memory(host: Host, width: int) -> Line:
    used, total = host.memory_used_bytes, host.memory_total_bytes
    return _fraction("memory", used, total, f"{size(used)} of {size(total)}", width)


def _fraction(label: str, used: int | None, total: int | None, words: str, width: int) -> Line:
    percent = 100.0 * used / total if used is not None and total else None
    tone = Tone.WARN if percent is not None and percent >= 95 else Tone.MEMORY
    return (
        Span(fit(label, _LABEL - 1) + " ", Tone.DIM),
        *bar(percent, width, tone),
        Span(fit(figure(percent, " %"), 6, "right")),
        Span(f"  {words}", Tone.DIM),
    )


def _load(host: Host) -> Line:
    value = MISSING if host.load_1 is None else f"{host.load_1:.1f}"
    return (_label("load"), Span(value), Span("  over the last minute", Tone.DIM))


def _uptime(host: Host, now: float) -> Line:
    value = MISSING if host.boot_time is None else duration(now - host.boot_time)
    name = f"  {clean(host.hostname)}" if host.hostname else ""
    return (_label("uptime"), Span(value), Span(name, Tone.DIM))
