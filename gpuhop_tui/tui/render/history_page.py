"""The history of a node's GPUs on a whole screen: every figure of one, or one figure of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from gpuhop_tui.fleet.store.columns import Column, columns
from gpuhop_tui.fleet.store.points import StoredPoint
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.tui.render.bars import tone_of
from gpuhop_tui.tui.render.history_plot import axis, cursor_words, plot
from gpuhop_tui.tui.render.history_window import Window
from gpuhop_tui.tui.render.line import Line, Span, Tone, fit, fit_line, join, spread, width_of
from gpuhop_tui.tui.render.units import MISSING, duration, moment

LABEL = 7  # cells for "100 °C" and a space
GAP = 2  # cells between graphs side by side
_LEAST_WIDTH, _LEAST_HEIGHT = 36, 4  # of one graph among several
NOTHING = "no figures in this time"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that is drawn."""

    name: str  # of `Figures`
    title: str
    unit: str
    short: str
    missing: str  # what `Gpu.missing` calls it
    body: Tone = Tone.AREA

    def words(self, value: float | None) -> str:
        return MISSING if value is None else f"{value:.0f} {self.unit}"

    def top(self, most: float, gpu: Gpu | None) -> float:
        """The top of the axis: of power the limit, unless more was drawn."""
        if self.unit != "W":
            return 100.0 if most <= 100 else 150.0
        limit = gpu.power_limit_watts if gpu is not None else None
        return nice_watts(max(most, limit or 0.0))

    def tone(self, top: float) -> Callable[[float], Tone]:
        if self.name == "memory_percent":
            return lambda _: Tone.MEMORY
        if self.name == "temperature_celsius":
            return lambda value: Tone.LOW if value < 60 else Tone.MID if value < 80 else Tone.HIGH
        return lambda value: tone_of(100 * value / top)


METRICS = (
    Metric("utilization_percent", "utilization", "%", "util", "utilization_percent"),
    Metric("memory_percent", "memory", "%", "mem", "memory_used_bytes", Tone.MEMORY_AREA),
    Metric("power_watts", "power", "W", "power", "power_watts"),
    Metric("temperature_celsius", "temperature", "°C", "temp", "temperature_celsius"),
)


def nice_watts(most: float) -> float:
    """The next round number."""
    return next((top for top in (50, 100, 150, 200, 300, 400, 500, 750, 1000) if top >= most), 2000)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure of one GPU in the columns of a graph."""

    metric: Metric
    gpu_index: int
    values: Sequence[Column | None]
    gpu: Gpu | None  # as it is now

    @property
    def why_nothing(self) -> str:
        reason = self.gpu.missing.get(self.metric.missing) if self.gpu is not None else None
        return f"not measured: {reason}" if reason else NOTHING


@dataclass(frozen=True, slots=True)
class View:
    """A window at a moment, on so many columns."""

    window: Window
    now: float
    width: int  # columns of a graph

    @property
    def since(self) -> float:
        return self.window.since(self.now, self.width)

    @property
    def until(self) -> float:
        return self.window.until(self.now, self.width)

    @property
    def column_seconds(self) -> float:
        return self.window.column_seconds(self.width)

    @property
    def cursor(self) -> int | None:
        return self.window.cursor_column(self.now, self.width)


def columns_of(metric: Metric, points: Sequence[StoredPoint], view: View) -> list[Column | None]:
    """One figure in the columns of a view."""
    return columns(points, metric.name, view.since, view.column_seconds, view.width)


def grid(count: int, width: int, height: int) -> tuple[int, int]:
    """In how many columns so many graphs stand, and how wide each is, without its labels."""
    beside = 1
    while (
        beside < count
        and (height - 1) // -(-count // beside) < _LEAST_HEIGHT
        and (width + GAP) // (beside + 1) - GAP >= _LEAST_WIDTH
    ):
        beside += 1
    return beside, max(1, (width - GAP * (beside - 1)) // beside - LABEL)


def page(
    graphs: Sequence[Drawn], view: View, beside: int, height: int, chosen: int | None = None
) -> list[Line]:
    """The graphs in `height` lines, so many beside each other, the times below them. Where there
    are several GPUs, `chosen` is the selected one."""
    rows = [graphs[start : start + beside] for start in range(0, len(graphs), beside)]
    if not rows or height < 2:
        return []
    tall, more = divmod(height - 1, len(rows))
    lines: list[Line] = []
    for number, row in enumerate(rows):
        blocks = [graph(one, view, tall + (number < more), chosen) for one in row]
        for parts in zip_longest(*blocks, fillvalue=()):
            lines.append(_beside(parts))
    below = axis(view.since, view.window.seconds, view.width, _cursor_at(view))
    indented = (Span(" " * LABEL), *below)
    return [*lines[: height - 1], _beside([indented] * min(beside, len(graphs)))]


def _beside(parts: Sequence[Line]) -> Line:
    line: list[Span] = []
    for number, part in enumerate(parts):
        line += [Span(" " * GAP), *part] if number else part
    return tuple(line)


def graph(drawn: Drawn, view: View, height: int, chosen: int | None = None) -> list[Line]:
    """A title with the figure that is read, and the graph with its values at the left."""
    width = LABEL + view.width
    known = [value for value in drawn.values if value is not None]
    metric = drawn.metric
    name = metric.title
    if chosen is not None:
        mark = "▸" if drawn.gpu_index == chosen else " "
        name = f"{mark}GPU {drawn.gpu_index} {metric.title}"
    most = max((value.peak for value in known), default=0.0)
    top = metric.top(most, drawn.gpu)
    tone = metric.tone(top)
    mean = sum(value.mean for value in known) / len(known) if known else None
    facts = [Span(f"mean {metric.words(mean)}  peak {metric.words(most)}", Tone.DIM)]
    lines = [_title(name, facts if known else [], _read(drawn, view.cursor, tone), width)]
    rows = plot(drawn.values, top, height - 1, tone, metric.body, view.cursor)
    if not known and rows:
        middle = (len(rows) - 1) // 2
        rows[middle] = fit_line((Span(f"  {drawn.why_nothing}", Tone.DIM),), view.width)
    for number, row in enumerate(rows):
        lines.append((Span(_label(number, len(rows), top, metric), Tone.DIM), *row))
    return lines


def _title(name: str, facts: list[Span], read: Span, width: int) -> Line:
    left: list[Span] = [Span(name, Tone.STRONG)]
    full = [*left, Span("  "), *facts]
    if facts and width_of(full) + 2 + width_of([read]) <= width:
        left = full
    return fit_line(spread(left, [read], width), width)


def _label(row: int, rows: int, top: float, metric: Metric) -> str:
    value: float | None = None
    if row == 0:
        value = top
    elif row == rows - 1:
        value = 0.0
    elif rows >= 7 and row == rows // 2:
        value = top * (rows - row) / rows
    return fit("" if value is None else metric.words(value), LABEL - 1, "right") + " "


def _read(drawn: Drawn, cursor: int | None, tone: Callable[[float], Tone]) -> Span:
    """The figure under the cursor; the newest without one."""
    column = drawn.values[cursor] if cursor is not None else _newest(drawn.values)
    if column is None:
        return Span(MISSING, Tone.DIM)
    return Span(drawn.metric.words(column.mean), tone(column.mean))


def _newest(values: Sequence[Column | None]) -> Column | None:
    """Of the last two columns: the very last may have just begun."""
    return next((value for value in reversed(values[-2:]) if value is not None), None)


def _cursor_at(view: View) -> float | None:
    """The beginning of the column under the cursor."""
    cursor = view.cursor
    return None if cursor is None else view.since + (cursor + 0.01) * view.column_seconds


# Above and below them


def head(what: str, name: str, view: View, reading: bool, width: int) -> Line:
    """`history of GPU 0 on gpu-01  A100-SXM4-80GB         30 min  13:32:11 – now`"""
    window = view.window
    left = [Span("history of ", Tone.DIM), Span(what, Tone.STRONG), Span(f"  {name}", Tone.DIM)]
    until = "now" if window.end is None else moment(view.until, view.now)
    right = [
        Span("reading…  " if reading else "", Tone.WARN),
        Span(duration(window.seconds), Tone.STRONG),
        Span(f"  {moment(view.since, view.now)} – {until}"),
    ]
    if width_of(left) + 1 + width_of(right) > width:
        left = left[:2]
    return fit_line(spread(left, right, width), width)


def reading_line(graphs: Sequence[Drawn], view: View, why_gap: str, width: int) -> Line:
    """What is under the cursor: `13:41:20  util 63 % ·99 %  mem 67 %  power 271 W ·402 W`."""
    cursor = view.cursor
    if cursor is None:
        return _hints(width)
    at = view.since + cursor * view.column_seconds
    words = cursor_words(at, view.window.seconds)
    if view.column_seconds >= 60:
        words += f" – {cursor_words(at + view.column_seconds, view.window.seconds)}"
    parts: list[Line] = [(Span(words, Tone.INFO),)]
    known = [(drawn, drawn.values[cursor]) for drawn in graphs]
    if all(column is None for _, column in known):
        parts.append((Span(f"no figures then: {why_gap}", Tone.WARN),))
    else:
        one = len({drawn.gpu_index for drawn, _ in known}) == 1
        for drawn, column in known:
            label = drawn.metric.short if one else f"{drawn.gpu_index}:"
            parts.append(_told(drawn.metric, label, column))
    return fit_line(join(parts, Span("  ")), width)


def _told(metric: Metric, label: str, column: Column | None) -> Line:
    name = Span(f"{label} ", Tone.DIM)
    if column is None:
        return (name, Span(MISSING, Tone.DIM))
    spans = [name, Span(metric.words(column.mean))]
    if round(column.peak) > round(column.mean):
        spans.append(Span(f" ·{metric.words(column.peak)}", Tone.DIM))
    return tuple(spans)


def _hints(width: int) -> Line:
    words = "← → read a moment  shift+← → move in time  ▅ mean  · peak  empty: no figures"
    return fit_line((Span(words, Tone.DIM),), width)
