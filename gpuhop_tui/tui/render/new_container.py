"""The form for a container: the GPUs to pick from, and what stands in the way of its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from gpuhop_tui.containers.checks import Finding
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.tui.render.gpus import gpu_table
from gpuhop_tui.tui.render.line import Line, Span, Tone, wrap
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.render.work import job_line
from gpuhop_tui.tui.starting.pick import Mark
from gpuhop_tui.tui.work import Job

PickRow = tuple[str | None, Line]
"""A line and what it picks: a GPU's index or a MIG instance's UUID; None: a heading or a note."""

_TONES = {Mark.YES: Tone.GOOD, Mark.FREEST: Tone.INFO, Mark.NO: Tone.DIM}
_MARK = 4


def gpu_rows(
    sample: Sample | None, problem: str, marks: Mapping[str, Mark], width: int
) -> list[PickRow]:
    """The GPUs with their load, memory and users of now. `problem`: why there is no live sample."""
    if sample is None or not sample.gpus:
        why = problem or "this node has no GPU"
        lines = wrap(f"No GPUs to pick from: {why}", width, Tone.WARN)
        return [(None, line) for line in lines]
    table = gpu_table(sample, width - _MARK, stale=False)
    rows: list[PickRow] = [(None, (Span(" " * _MARK), *table.heading))]
    lines = [line for _, line in table.rows]
    for gpu in sample.gpus:
        instances = () if gpu.lost is not None else gpu.mig
        for identity in (str(gpu.index), *(each.uuid for each in instances)):
            mark = marks.get(identity or "", Mark.NO)
            shown = mark.value if identity else "   "
            rows.append((identity, (Span(f"{shown} ", _TONES[mark]), *lines.pop(0))))
    return [*rows, *((None, line) for line in table.notes)]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the panel beside the form tells."""

    node: str
    run_line: str
    copy_key: str = ""
    plan: str = ""  # what a start will do
    job: Job | None = None  # a start that goes on
    job_keys: str = ""
    failure: tuple[str, str] = ("", "")  # of the last start: what happened, and what to do
    mistakes: tuple[str, ...] = ()  # of fields
    findings: tuple[Finding, ...] = ()
    is_checked: bool = False
    problem: tuple[str, str] = ("", "")  # why it is not checked: what happened, and what to do


def outlook_lines(outlook: Outlook, width: int) -> list[Line]:
    """What happens, what went wrong, what stands in the way, and the line for a shell."""
    lines: list[Line] = []
    if outlook.job is not None:
        lines += [job_line(outlook.job, width), *wrap(outlook.job_keys, width, Tone.DIM), ()]
    if outlook.failure[0]:
        lines += [*_told("✗", *outlook.failure, Tone.BAD, width), ()]
    lines += _verdict(outlook, width)
    for words in outlook.mistakes:
        lines += _told("✗", words, "", Tone.BAD, width)
    for finding, following in zip_longest(outlook.findings, outlook.findings[1:]):
        glyph, tone = ("✗", Tone.BAD) if finding.stops else ("!", Tone.WARN)
        is_same = following is not None and following.advice == finding.advice
        lines += _told(glyph, finding.message, "" if is_same else finding.advice, tone, width)
    if outlook.plan:
        lines += _told("→", outlook.plan, "", Tone.INFO, width)
    copies = f" ({outlook.copy_key} copies it)" if outlook.copy_key else ""
    lines += [(), (Span(f"The same by hand{copies}:", Tone.DIM),)]
    return [*lines, *wrap(outlook.run_line, width)]


def _verdict(outlook: Outlook, width: int) -> list[Line]:
    """Whether it can be started, in one line."""
    stops = sum(finding.stops for finding in outlook.findings) + len(outlook.mistakes)
    if outlook.problem[0]:
        message, advice = outlook.problem
        return _told("?", f"not checked: {message}", advice, Tone.WARN, width)
    if stops:
        stand = "stand" if stops > 1 else "stands"
        return wrap(f"{plural(stops, 'thing')} {stand} in the way of a start", width, Tone.BAD)
    if not outlook.is_checked:
        return [(Span(f"checking on {outlook.node}…", Tone.DIM),)]
    return [(Span("Nothing stands in the way", Tone.GOOD),)]


def _told(glyph: str, message: str, advice: str, tone: Tone, width: int) -> list[Line]:
    lines = wrap(message, width - 2, tone)
    told: list[Line] = [(Span(f"{glyph} ", tone), *lines[0])] if lines else []
    told += [(Span("  "), *line) for line in lines[1:]]
    return [*told, *((Span("  "), *line) for line in wrap(advice, width - 2, Tone.DIM))]
