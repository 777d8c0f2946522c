"""Work in the background: a list of jobs, the details of one, and a word for the top line."""

from __future__ import annotations

from collections.abc import Sequence

from gpuhop_tui.containers.build import BuildProgress
from gpuhop_tui.containers.copy import CopyProgress
from gpuhop_tui.containers.progress import Layer, PullProgress
from gpuhop_tui.tui.render.bars import bar
from gpuhop_tui.tui.render.line import (
    Line,
    Span,
    Tone,
    clean,
    cut,
    fit,
    fit_line,
    join,
    spread,
    width_of,
    wrap,
)
from gpuhop_tui.tui.render.units import brief, clock, duration, plural
from gpuhop_tui.tui.work import Job, JobState, Step, Transfer

JobRow = tuple[int | None, Line]
"""A line and the id of the job that it belongs to."""

_GLYPHS = {
    JobState.RUNNING: Span("● ", Tone.INFO),
    JobState.DONE: Span("✓ ", Tone.GOOD),
    JobState.FAILED: Span("✗ ", Tone.BAD),
    JobState.CANCELLED: Span("– ", Tone.WARN),
}
_TONES = {JobState.DONE: Tone.GOOD, JobState.FAILED: Tone.BAD, JobState.CANCELLED: Tone.WARN}
_INDENT = Span("  ")
_GAP = Span("  ")
_BAR_LEAST, _BAR_MOST = 8, 30
_LAYER, _STATUS = 12, 18


# The list


def job_rows(jobs: Sequence[Job], width: int, now: float) -> list[JobRow]:
    """Two lines a job: what and where, how far or how it ended."""
    rows: list[JobRow] = []
    for job in jobs:
        title = (
            _GLYPHS[job.state],
            Span(clean(job.title), Tone.STRONG),
            Span(f" on {clean(job.node)}", Tone.DIM),
        )
        rows.append((job.id, spread(title, (Span(_when(job, now), Tone.DIM),), width)))
        rows.append((job.id, fit_line((_INDENT, *job_line(job, width - 2)), width)))
    return rows


def _when(job: Job, now: float) -> str:
    if job.ended_at is None:
        return brief(now - job.began_at)
    return f"{clock(job.ended_at)}, took {duration(job.ended_at - job.began_at)}"


def job_line(job: Job, width: int) -> Line:
    """How far a job is, or how it ended, on one line."""
    if not job.is_running:
        return (Span(cut(clean(job.words), width), _TONES[job.state]),)
    return step_line(job.step, width, job.bytes_per_second)


def step_line(step: Step | None, width: int, bytes_per_second: float | None = None) -> Line:
    """`━━━━━━────  61 %  3/12 layers  1.2 of 3.4 GB  85.0 MB/s  eta 35 s`, as far as it is told."""
    if step is None:
        return (Span("beginning…", Tone.DIM),)
    if isinstance(step, str):
        return (Span(cut(clean(step), width)),)
    waiting = getattr(step, "waiting", None)
    if waiting:
        return (Span(cut(f"waiting: {clean(waiting)}", width), Tone.WARN),)
    facts = _facts(step, bytes_per_second)
    is_cut = isinstance(step, BuildProgress) and step.pulling is None  # its instruction, at the end
    while not is_cut and len(facts) > 1 and _BAR_LEAST + 8 + width_of(join(facts, _GAP)) > width:
        facts.pop(-2 if len(facts) > 2 else -1)
    return _with_bar(percent_of(step), facts, width)


def _with_bar(percent: float | None, facts: Sequence[Line], width: int) -> Line:
    told = join(facts, _GAP)
    if percent is None:
        return fit_line(told, width)
    room = min(_BAR_MOST, width // 4, max(_BAR_LEAST, width - 8 - width_of(told)))
    figure = Span(f"{percent:4.0f} %  ", Tone.STRONG)
    return fit_line((*bar(percent, room, Tone.GOOD), figure, *told), width)


def percent_of(step: Step | None) -> float | None:
    """0 to 100; None where it is not known how much there is to do."""
    done: float
    total: float | None
    match step:
        case PullProgress():
            done, total = step.downloaded_bytes, step.total_bytes
        case BuildProgress(steps=0):
            done, total = step.sent_bytes, step.context_bytes
        case BuildProgress():
            done, total = step.steps if step.done else step.step - 1, step.steps
        case CopyProgress() | Transfer():
            done, total = step.done_bytes, step.total_bytes
        case _:
            return None
    return min(100.0, 100 * done / total) if total else None


def _facts(step: Step, speed: float | None) -> list[Line]:
    facts: list[Line] = []
    match step:
        case PullProgress():
            done = sum(layer.done for layer in step.layers)
            facts.append((Span(f"{done}/{len(step.layers)} layers"),))
            facts += _traffic(
                step.downloaded_bytes, step.total_bytes, step.bytes_per_second, step.eta_seconds
            )
        case BuildProgress(steps=0):
            facts.append((Span("sent"),))
            facts += _traffic(step.sent_bytes, step.context_bytes, None, None)
        case BuildProgress():
            facts.append((Span(f"step {step.step}/{step.steps}", Tone.STRONG),))
            facts.append((Span(clean(step.instruction)),))
            if step.pulling is not None:
                facts[1:] = [(Span("base image"),), *_facts(step.pulling, None)[1:]]
        case CopyProgress() | Transfer():
            total = step.total_bytes
            rest = None if total is None or not speed else (total - step.done_bytes) / speed
            facts.append((Span(clean(step.name)),))
            facts += _traffic(step.done_bytes, total, speed, rest)
    return facts


def _traffic(done: int, total: int | None, speed: float | None, eta: float | None) -> list[Line]:
    of = f" of {amount(total)}" if total else ""
    facts: list[Line] = [(Span(f"{amount(done)}{of}"),)]
    if speed is not None:
        facts.append((Span(f"{amount(speed)}/s"),))
    if eta is not None:
        facts.append((Span("eta ", Tone.DIM), Span(duration(eta))))
    return facts


def amount(value: float) -> str:
    """Bytes in powers of 1000, as registries and networks count: `1.2 GB`."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


# One job


def job_details(job: Job, width: int) -> list[Line]:
    """All that is known of a job: its outcome, its layers, what it wrote."""
    lines: list[Line] = []
    if not job.is_running:
        lines += wrap(job.words, width, _TONES[job.state])
        if job.advice:
            lines += wrap(f"→ {job.advice}", width, Tone.INFO)
        lines.append(())
    step = job.step
    if isinstance(step, PullProgress):
        lines += pull_lines(step, width)
    elif isinstance(step, BuildProgress):
        lines += build_lines(step, width)
    elif isinstance(step, CopyProgress) and step.skipped:
        lines.append((Span(f"Left out, {plural(len(step.skipped), 'name')}:", Tone.WARN),))
        lines += [(Span(cut(f"  {clean(name)}", width), Tone.DIM),) for name in step.skipped]
    if job.lines and not isinstance(step, BuildProgress):
        lines += output_lines(job.lines, width)
    return lines


def pull_lines(step: PullProgress, width: int) -> list[Line]:
    """A line a layer."""
    lines: list[Line] = []
    if step.attempt > 1:
        lines.append((Span(f"attempt {step.attempt}", Tone.WARN),))
    return [*lines, *(_layer_line(layer, width) for layer in step.layers)]


def _layer_line(layer: Layer, width: int) -> Line:
    status = fit(clean(layer.status), _STATUS)
    head = [Span(fit(clean(layer.id), _LAYER), Tone.DIM), _GAP]
    if layer.done:
        return fit_line((*head, Span(status, Tone.GOOD)), width)
    fraction = layer.fraction
    told: list[Line] = []
    if layer.current_bytes is not None and layer.total_bytes:
        told.append((Span(f"{amount(layer.current_bytes)} of {amount(layer.total_bytes)}"),))
    percent = None if fraction is None else 100 * fraction
    rest = _with_bar(percent, told, width - width_of(head) - _STATUS - 2)
    return fit_line((*head, Span(status), _GAP, *rest), width)


def build_lines(step: BuildProgress, width: int) -> list[Line]:
    """What it does now, then the last that it wrote."""
    lines: list[Line] = []
    if step.secrets:
        names = ", ".join(step.secrets[:5])
        words = f"These look like secrets, and are sent to the node: {names}"
        lines += [*wrap(words, width, Tone.WARN), ()]
    if step.attempt > 1:
        lines.append(
            (Span(f"attempt {step.attempt}: finished steps are not done again", Tone.WARN),)
        )
    lines += output_lines(step.lines, width)
    if step.pulling is not None and not step.done:
        lines += [(), *pull_lines(step.pulling, width)]
    return lines


def output_lines(written: Sequence[str], width: int) -> list[Line]:
    """What a program wrote, wrapped."""
    lines: list[Line] = []
    for text in written:
        tone = Tone.STRONG if text.startswith("Step ") else Tone.PLAIN
        lines += wrap(text, width, tone) or [()]
    return lines


# For other screens


def indicator(jobs: Sequence[Job], width: int) -> Line:
    """What runs, for the top line: `⇣ pull 34 %`, `⇣ 3 under way`; nothing where nothing runs."""
    running = [job for job in jobs if job.is_running]
    if not running:
        return ()
    if len(running) > 1:
        return (Span(cut(f"⇣ {len(running)} under way", width), Tone.INFO),)
    percent = percent_of(running[0].step)
    far = "" if percent is None else f" {percent:.0f} %"
    return (Span(cut(f"⇣ {running[0].kind.value}{far}", width), Tone.INFO),)


def loss_words(job: Job) -> str:
    """What breaks off where the app is left."""
    percent = percent_of(job.step)
    far = "" if percent is None else f", at {percent:.0f} %"
    return f"{job.title} on {job.node}{far}"
