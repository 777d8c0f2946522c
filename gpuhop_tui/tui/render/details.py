"""Every figure of one GPU, or why it is missing."""

from __future__ import annotations

from gpuhop_tui.fleet.summary import is_free_instance
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.tui.render.gpus import FIELD_NAMES
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit
from gpuhop_tui.tui.render.units import MISSING, figure, size

_LABEL = 18


def gpu_details(gpu: Gpu, width: int) -> list[Line]:
    """One line a figure; what is missing carries its reason."""
    if gpu.lost is not None:
        reason = clean(gpu.lost)
        words = reason if "lost" in reason.lower() else f"lost: {reason}"
        head = [_line("state", f"× {words}", Tone.BAD)]
        return head + [_line(name, text) for name, text in _identity(gpu) if text]
    lines = []
    for field, text in _figures(gpu):
        name = FIELD_NAMES.get(field, field)
        if text is not None:
            lines.append(_line(name, text))
        else:
            reason = clean(gpu.missing.get(field, "the node gave no reason"))
            lines.append(_line(name, f"{MISSING} {reason}", Tone.DIM))
    lines.append(_line("processes", _processes(gpu)))
    for instance in gpu.mig:
        state = "free" if is_free_instance(instance) else "in use"
        used, total = size(instance.memory_used_bytes), size(instance.memory_total_bytes)
        text = f"{clean(instance.name or MISSING)}  {state}  {used} of {total}"
        lines.append(_line(f"MIG instance {instance.index}", text))
        lines += [
            _line("", f"{MISSING} {FIELD_NAMES.get(name, name)}: {clean(reason)}", Tone.DIM)
            for name, reason in instance.missing.items()
        ]
    return [tuple(Span(cut(text, width), tone) for text, tone in line) for line in lines]


def _line(name: str, text: str, tone: Tone = Tone.PLAIN) -> Line:
    return (Span(fit(name, _LABEL), Tone.DIM), Span(text, tone))


def _identity(gpu: Gpu) -> list[tuple[str, str | None]]:
    return [
        ("name", clean(gpu.name) if gpu.name else None),
        ("uuid", clean(gpu.uuid) if gpu.uuid else None),
    ]


def _figures(gpu: Gpu) -> list[tuple[str, str | None]]:
    """Every field of the contract as text, or None where it is unknown."""

    def text(value: float | None, unit: str) -> str | None:
        return None if value is None else figure(value, unit)

    def amount(value: int | None) -> str | None:
        return None if value is None else size(value)

    throttled = gpu.throttle_reasons
    words = None if throttled is None else ", ".join(map(clean, throttled)) or "none: full speed"
    return [
        *_identity(gpu),
        ("utilization_percent", text(gpu.utilization_percent, " %")),
        ("memory_used_bytes", amount(gpu.memory_used_bytes)),
        ("memory_total_bytes", amount(gpu.memory_total_bytes)),
        ("temperature_celsius", text(gpu.temperature_celsius, " °C")),
        ("power_watts", text(gpu.power_watts, " W")),
        ("power_limit_watts", text(gpu.power_limit_watts, " W")),
        ("sm_clock_mhz", text(gpu.sm_clock_mhz, " MHz")),
        ("fan_percent", text(gpu.fan_percent, " %")),
        ("throttle_reasons", words),
        ("ecc_uncorrected", text(gpu.ecc_uncorrected, "")),
        ("pcie_generation", _of(gpu.pcie_generation, gpu.pcie_generation_max)),
        ("pcie_width", _of(gpu.pcie_width, gpu.pcie_width_max)),
    ]


def _of(value: int | None, most: int | None) -> str | None:
    """`3 of 4`; `4` where the most is not known."""
    if value is None:
        return None
    return f"{value}" if most is None else f"{value} of {most}"


def _processes(gpu: Gpu) -> str:
    if "processes" in gpu.missing:
        return f"{MISSING} {clean(gpu.missing['processes'])}"
    count = len(gpu.processes) + sum(len(one.processes) for one in gpu.mig)
    return str(count) if count else "none"
