"""What a container uses, as graphs: each with its axis, its figure of now, and its peak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from gpuhop_tui.containers.following import FollowView
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.usage_points import UsagePoint
from gpuhop_tui.fleet.container_gpus import GpuUse
from gpuhop_tui.tui.render.bars import area, resample, tone_of
from gpuhop_tui.tui.render.following import follow_head
from gpuhop_tui.tui.render.line import (
    Line,
    Span,
    Tone,
    fit,
    fit_line,
    spread,
    width_of,
    wrap,
)
from gpuhop_tui.tui.render.units import MISSING, byte_rate, duration, fine_size, plural

UsagePoints = Sequence[tuple[float, UsagePoint | None]]
GpuPoints = Sequence[tuple[float, GpuUse | None]]
Points = Sequence[tuple[float, float | None]]

LEAST_WIDTH = 58  # cells of a graph that stands beside two others
SHORTEST = 60.0  # seconds that the time axis spans at least
_LABEL = 8  # cells for "99.9 M/s"
_GAP = 2
_NO_POINT = "no figures yet"


@dataclass(frozen=True, slots=True)
class Curve:
    """One filled line. `name` stands at its base where there are two in a graph."""

    points: Points
    name: str = ""
    tone: Callable[[float], Tone] = lambda _: Tone.LOW  # of its top, by percent of `most`
    body: Tone = Tone.AREA


@dataclass(frozen=True, slots=True)
class Graph:
    """Curves of one scale."""

    title: str
    curves: tuple[Curve, ...]
    words: Callable[[float], str]  # a value with its unit
    most: float | None = None  # the top of the axis; None: after the highest value
    note: str = ""  # beside the title
    why: str = ""  # why there is no figure now


def graphs(usage: UsagePoints, gpus: GpuPoints) -> list[Graph]:
    """All of a container's, in the order of reading."""
    last = usage[-1][1] if usage else None
    gpu = gpus[-1][1] if gpus else None

    def of(read: Callable[[UsagePoint], float | None]) -> Points:
        return [(at, None if each is None else read(each)) for at, each in usage]

    def of_pair(name: str, number: int) -> Points:
        def read(each: UsagePoint) -> float | None:
            pair: tuple[float, float] | None = getattr(each, name)
            return None if pair is None else pair[number]

        return of(read)

    def of_gpu(read: Callable[[GpuUse], float | None]) -> Points:
        return [(at, None if each is None else read(each)) for at, each in gpus]

    def why(figure: str) -> str:
        return _NO_POINT if last is None else last.missing.get(figure, "")

    def why_gpu(figure: str) -> str:
        return "no figures from the node's GPUs" if gpu is None else gpu.missing.get(figure, "")

    cpus = last.cpus if last else 1
    limit = last.memory_limit_bytes if last else None
    whole = gpu.memory_total_bytes if gpu else None
    on = f"GPU {','.join(map(str, gpu.gpus))}" if gpu and gpu.gpus else ""
    memory = Curve(of(lambda each: each.memory_bytes), "", _memory, Tone.MEMORY_AREA)
    gpu_memory = Curve(of_gpu(lambda each: each.memory_bytes), "", _memory, Tone.MEMORY_AREA)
    return [
        Graph("CPU", (Curve(of(lambda each: each.cpu_percent), "", _by_cores(cpus)),), _percent,
              note=f"of {100 * cpus} %", why=why("cpu_percent")),
        Graph("memory", (memory,), fine_size, note=f"of {fine_size(limit)}" if limit else "",
              why=why("memory_bytes")),
        Graph("network", (Curve(of_pair("network_rate", 0), "in"),
                          Curve(of_pair("network_rate", 1), "out")), byte_rate,
              why=why("network_rate")),
        Graph("disk", (Curve(of_pair("disk_rate", 0), "read"),
                       Curve(of_pair("disk_rate", 1), "written")), byte_rate, why=why("disk_rate")),
        Graph("GPU utilization", (Curve(of_gpu(lambda each: each.utilization_percent), "",
                                        tone_of),),
              _percent, 100.0, on, why_gpu("utilization_percent")),
        Graph("GPU memory", (gpu_memory,), fine_size,
              note=f"of {fine_size(whole)}" if whole else "",
              why=why_gpu("memory_bytes")),
    ]  # fmt: skip


def _by_cores(cpus: int) -> Callable[[float], Tone]:
    return lambda percent: tone_of(percent / cpus)


def _memory(_: float) -> Tone:
    return Tone.MEMORY


def stats(all_graphs: Sequence[Graph], width: int, height: int, now: float) -> list[Line]:
    """The graphs side by side, as many as there is room for, in `height` lines."""
    columns = max(1, min(3, (width + _GAP) // (LEAST_WIDTH + _GAP)))
    columns = max(columns, 2) if width >= 64 else 1
    rows = -(-len(all_graphs) // columns)
    room = (width - _GAP * (columns - 1)) // columns
    tall = max(3, height // rows)
    began = min(
        (curve.points[0][0] for graph in all_graphs for curve in graph.curves if curve.points),
        default=now,
    )
    span = max(SHORTEST, now - began)
    lines: list[Line] = []
    for start in range(0, len(all_graphs), columns):
        blocks = [_graph(each, room, tall, now, span) for each in all_graphs[start:][:columns]]
        for parts in zip_longest(*blocks, fillvalue=()):
            line: list[Span] = []
            for number, part in enumerate(parts):
                line += [Span(" " * _GAP), *part] if number else part
            lines.append(tuple(line))
    return lines


def _graph(graph: Graph, width: int, height: int, now: float, span: float) -> list[Line]:
    """Title, curves and time axis in `height` lines; the last is left empty where that is room."""
    values = [value for curve in graph.curves for _, value in curve.points if value is not None]
    title = _title(graph, values, width)
    if not values:
        why = graph.why or _NO_POINT
        words = wrap(f"not measured: {why}", width - 2, Tone.DIM)[: height - 1]
        body = [(Span("  "), *line) for line in words]
        return [title, *body, *([()] * (height - 1 - len(body)))]
    most = graph.most or nice_top(max(values), graph.words is _percent)
    spare = 1 if height >= 7 else 0
    plots = height - 2 - spare
    lines = [title]
    for number, curve in enumerate(graph.curves):
        tall = plots // len(graph.curves) + (number < plots % len(graph.curves))
        lines += _curve(curve, most, graph.words, width, tall, now, span)
    ago = spread([Span(f"{duration(span)} ago", Tone.DIM)], [Span("now", Tone.DIM)],
                 width - _LABEL - 1)  # fmt: skip
    return [*lines, (Span(" " * (_LABEL + 1)), *ago), *([()] * spare)]


def _curve(
    curve: Curve, most: float, words: Callable[[float], str], width: int, height: int, now: float,
    span: float,
) -> list[Line]:  # fmt: skip
    plot = width - _LABEL - 1
    scaled = [(at, None if value is None else 100 * value / most) for at, value in curve.points]
    rows = area(
        resample(scaled, now, span, plot), height,
        lambda percent: curve.tone(percent * most / 100), curve.body,
    )  # fmt: skip
    lines: list[Line] = []
    for number, row in enumerate(rows):
        label = words(most) if number == 0 else ""
        if number == height - 1 and height > 1:
            label = curve.name or "0"
        lines.append((Span(fit(label, _LABEL, "right") + " ", Tone.DIM), *row))
    return lines


def _title(graph: Graph, values: Sequence[float], width: int) -> Line:
    """`memory of 64 G                  peak 13 G  12.1 G`"""
    left = [Span(graph.title, Tone.STRONG)]
    if graph.note:
        left.append(Span(f" {graph.note}", Tone.DIM))
    newest = [_newest(curve, graph.words) for curve in graph.curves]
    right = [
        span
        for number, span in enumerate(newest)
        for span in ((Span("  "), span) if number else (span,))
    ]
    peak = [Span(f"peak {graph.words(max(values))}  ", Tone.DIM)] if values else []
    for attempt in ((left, [*peak, *right]), (left[:1], [*peak, *right]), (left[:1], right)):
        if width_of(attempt[0]) + 1 + width_of(attempt[1]) <= width:
            return spread(*attempt, width)
    return fit_line([*left[:1], Span(" "), *right], width)


def _newest(curve: Curve, words: Callable[[float], str]) -> Span:
    value = curve.points[-1][1] if curve.points else None
    name = f"{curve.name} " if curve.name else ""
    if value is None:
        return Span(f"{name}{MISSING}", Tone.DIM)
    return Span(f"{name}{words(value)}", curve.tone(value))


# Above and below them


def stats_head(container: Container, view: FollowView, now: float, width: int) -> Line:
    """`stats of train-llm on gpu-01  pytorch-ssh:2.8                ● live`"""
    return follow_head("stats", container, view, now, width)


def stats_foot(usage: UsagePoints, gpus: GpuPoints, width: int) -> Line:
    """Processes, and why figures of now are missing."""
    last = usage[-1][1] if usage else None
    parts: list[Span] = []
    if last is not None and last.pids is not None:
        known = [each.pids for _, each in usage if each is not None and each.pids is not None]
        words = "1 process" if last.pids == 1 else f"{last.pids} processes"
        parts.append(Span(f"{words}, peak {max(known)}", Tone.PLAIN))
    elif last is not None:
        parts.append(Span(f"processes: {last.missing.get('pids', '')}", Tone.DIM))
    for graph in graphs(usage, gpus):
        had = any(value is not None for curve in graph.curves for _, value in curve.points)
        if had and graph.why:
            parts.append(Span(f"{graph.title}: {graph.why}", Tone.DIM))
    line: list[Span] = []
    for part in parts:
        line += [Span(" · ", Tone.DIM), part] if line else [part]
    return spread(line, [Span(plural(len(usage), "point"), Tone.DIM)], width)


# Figures


def nice_top(value: float, is_percent: bool) -> float:
    """The least round number that is not below the value: 1, 2 or 5 times a power of ten; of bytes
    a power of two."""
    if is_percent:
        step = 10.0
        while step < value:
            for factor in (2, 5, 10):
                if step * factor >= value:
                    return step * factor
            step *= 10
        return step
    top = 1024.0
    while top < value:
        top *= 2
    return top


def _percent(value: float) -> str:
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"
