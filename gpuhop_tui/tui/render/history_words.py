"""What is said about a history: why there are no figures, and which jobs there were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.past_jobs import PastJob
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.fleet.store.points import StoredPoint, gap_at
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit, fit_line
from gpuhop_tui.tui.render.states import label
from gpuhop_tui.tui.render.units import brief, moment

_BEFORE_GAP = 15.0  # seconds: a loss is noticed after the last figure
_STATE, _USER, _GPUS, _TIME = 13, 10, 8, 13


def why_no_figures(node: NodeState | None, points: Sequence[StoredPoint], at: float) -> str:
    """Why nothing is known of a moment, as far as that can be told."""
    name = clean(node.name) if node is not None else "the node"
    events = node.events if node is not None else ()
    start, end = gap_at(points, at) or (at, at)
    problems = [
        event.problem
        for event in events
        if event.problem is not None and start - _BEFORE_GAP <= event.at <= max(end, at)
    ]
    if problems:
        return f"no link to {name} ({label(problems[0].kind)})"
    before = [event for event in events if event.at <= at]
    if before and before[-1].problem is not None:
        return f"no link to {name} ({label(before[-1].problem.kind)})"
    if before:
        return f"{name} sent none"
    return f"gpuhop was not running, or had no link to {name}"


def all_jobs(node: NodeState, past: Iterable[PastJob]) -> list[Job | PastJob]:
    """A node's jobs, those that go on first, then those that ended, the newest first; each once."""
    live = [job for job in node.jobs if not job.is_over]
    ended = {PastJob.of(job).key: PastJob.of(job) for job in node.jobs if job.is_over}
    kept = {each.key: each for each in past if each.node == node.name}
    over = sorted((kept | ended).values(), key=lambda job: job.ended_at, reverse=True)
    return [*live, *over]


def span_of(job: Job | PastJob, now: float) -> tuple[float, float]:
    """When it began and ended; one that goes on has not ended before now."""
    if isinstance(job, PastJob):
        return job.began_at, job.ended_at
    began = job.started_at if job.started_at is not None else job.first_seen
    return began, job.ended_at if job.ended_at is not None else now


def index_ranges(indexes: Iterable[int]) -> str:
    """`0-3,6`"""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "–"


def job_line(job: Job | PastJob, now: float, width: int) -> Line:
    """`running       marie      0,1       today 10:50   3h 12m  python train.py --config big`"""
    began, ended = span_of(job, now)
    state = job.state if isinstance(job, PastJob) else job.state.value
    over = isinstance(job, PastJob) or job.is_over
    gpus = index_ranges(job.gpus)
    bad = state in ("failed", "killed", "out of memory")
    line = (
        Span(fit(clean(state), _STATE), Tone.BAD if bad else Tone.DIM if over else Tone.GOOD),
        Span(fit(f" {clean(job.user or '?')}", _USER)),
        Span(fit(f" GPU {gpus}", _GPUS), Tone.INFO),
        Span(fit(f" {moment(began, now)}", _TIME), Tone.DIM),
        Span(fit(brief(max(0.0, ended - began)), 8, "right"), Tone.DIM),
        Span(f"  {clean(job.name or job.command or '?')}"),
    )
    return fit_line(line, width)
