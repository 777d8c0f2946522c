"""The doctor's findings as lines: what is to be mended first, then every check, hop by hop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuhop_tui.fleet.doctor.finding import Finding, Severity, grouped
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit, wrap
from gpuhop_tui.tui.render.units import plural

# Beside each colour a mark: the severity is readable without any.
_MARKS = {
    Severity.OK: ("✓", Tone.GOOD),
    Severity.UNCHECKED: ("?", Tone.DIM),
    Severity.WARNING: ("!", Tone.WARN),
    Severity.PROBLEM: ("×", Tone.BAD),
}
_CHECK = 18
_INDENT = 2 + 2 + _CHECK + 1


@dataclass(frozen=True, slots=True)
class DoctorPage:
    """Lines, and the finding that each belongs to, where it begins one."""

    lines: tuple[Line, ...]
    findings: tuple[Finding | None, ...]


def doctor_page(
    findings: Sequence[Finding], subjects: Sequence[str], width: int, *, only_bad: bool
) -> DoctorPage:
    """`subjects` is the order of hops; with `only_bad` what is well or unchecked is left out."""
    shown = [f for f in findings if f.severity.is_finding or not only_bad]
    known = [name for name in subjects if any(f.subject == name for f in shown)]
    lines: list[tuple[Line, Finding | None]] = []
    for subject in dict.fromkeys((*known, *(f.subject for f in shown))):
        own = [finding for finding in shown if finding.subject == subject]
        own.sort(key=lambda finding: not finding.severity.is_finding)
        if lines:
            lines.append(((), None))
        lines.append(((Span(clean(subject), Tone.STRONG),), None))
        for checks, finding in grouped(own):
            lines += _lines(checks, finding, width)
    if not lines:
        words = "Nothing is to be mended." if findings else "The first checks are on their way…"
        lines.append(((Span(words, Tone.DIM),), None))
    return DoctorPage(tuple(line for line, _ in lines), tuple(finding for _, finding in lines))


def doctor_title(findings: Sequence[Finding], *, running: bool) -> str:
    """Such as "doctor: checking…  12 well, 1 to mend, 3 not checked"."""
    bad = sum(finding.severity.is_finding for finding in findings)
    unknown = sum(finding.severity is Severity.UNCHECKED for finding in findings)
    well = plural(len(findings) - bad - unknown, "check") + " well"
    counts = f"{well}, {bad} to mend, {unknown} not checked"
    return f"doctor: checking…  {counts}" if running else f"doctor: {counts}"


def _lines(
    checks: Sequence[str], finding: Finding, width: int
) -> Iterator[tuple[Line, Finding | None]]:
    mark, tone = _MARKS[finding.severity]
    room = max(width - _INDENT, 20)
    name, message = finding.check, finding.message
    if len(checks) > 1:
        name, message = f"{len(checks)} checks", f"{message} ({', '.join(checks)})"
    words = Tone.DIM if finding.severity is Severity.UNCHECKED else Tone.PLAIN
    first, *more = wrap(message, room, words)
    head = (Span(f"  {mark} ", tone), Span(fit(clean(name), _CHECK), tone), Span(" "))
    yield (*head, *first), finding
    indent = Span(" " * _INDENT)
    rest = list(more)
    if finding.severity.is_finding:
        rest += wrap(finding.cause, room, Tone.DIM) if finding.cause else []
        rest += wrap(f"> {finding.command}", room, Tone.INFO) if finding.command else []
    for line in rest:
        yield (indent, *line), None
