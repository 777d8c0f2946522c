"""Jobs as rows of a table, and all that is known of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuhop_tui.fleet.jobs.ends import signal_name
from gpuhop_tui.fleet.jobs.filter import age_of
from gpuhop_tui.fleet.jobs.groups import Group, Grouping
from gpuhop_tui.fleet.jobs.model import Job, JobKey, JobState
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.tui.render.bars import bar, mini, tone_of
from gpuhop_tui.tui.render.columns import Column, choose, heading, row
from gpuhop_tui.tui.render.gpus import dimmed
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, join, spread, width_of, wrap
from gpuhop_tui.tui.render.units import MISSING, brief, duration, figure, plural, ranges, size

JobRow = tuple[JobKey | None, Line]

_NODE = Column("node", "NODE", 8, grow=1, most=16)
COLUMNS: tuple[Column, ...] = (
    Column("state", "STATE", 10, most=14, grow=1),
    Column("gpus", "GPU", 4),
    Column("user", "USER", 7, grow=1, most=12),
    Column("name", "JOB", 15, comfort=24, grow=6, most=60),
    Column("memory", "MEMORY", 6, rank=3, align="right"),
    Column("use", "USE", 5, rank=1, grow=1, most=14, align="right"),
    Column("recent", "10 MIN", 10, rank=6),
    Column("progress", "DONE", 5, rank=2, grow=2, most=20, align="right"),
    Column("eta", "LEFT", 7, rank=4, align="right"),
    Column("time", "TIME", 7, rank=3, align="right"),
    Column("place", "CONTAINER", 10, rank=7, grow=2, most=24),
    Column("session", "SESSION", 8, rank=7, grow=1, most=16),
    Column("cpu", "CPU", 6, rank=8, align="right"),
    Column("ram", "RAM", 6, rank=8, align="right"),
    Column("line", "LAST LINE", 16, rank=9, grow=6),
)
FLEET_COLUMNS = (COLUMNS[0], _NODE, *COLUMNS[1:])
_SAID_BY = {Grouping.NODE: "node", Grouping.USER: "user", Grouping.CONTAINER: "place"}
_BAR_LEAST = 10  # cells from which on a figure has a bar before it
_GAP = Span("  ")

_STATES: dict[JobState, tuple[str, Tone]] = {
    JobState.STARTING: ("◌", Tone.INFO),
    JobState.RUNNING: ("●", Tone.GOOD),
    JobState.STALLED: ("◐", Tone.WARN),
    JobState.OFF_GPU: ("○", Tone.DIM),
    JobState.FINISHED: ("✓", Tone.GOOD),
    JobState.FAILED: ("✗", Tone.BAD),
    JobState.KILLED: ("✗", Tone.BAD),
    JobState.OUT_OF_MEMORY: ("✗", Tone.BAD),
    JobState.ENDED: ("–", Tone.WARN),
}


def state_words(job: Job, now: float) -> tuple[str, Tone]:
    """`● running`, `◐ stalled 41m`, `✗ exit 1`, `✗ SIGKILL`."""
    glyph, tone = _STATES[job.state]
    words = job.state.value
    match job.state:
        case JobState.STALLED if job.last_busy_at is not None:
            words = f"stalled {brief(now - job.last_busy_at)}"
        case JobState.FAILED if job.exit_code is not None:
            words = f"exit {job.exit_code}"
        case JobState.KILLED if job.signal is not None:
            words = signal_name(job.signal)
        case JobState.OUT_OF_MEMORY:
            words = "no memory"
        case JobState.OFF_GPU:
            words = "off GPU"
    return f"{glyph} {words}", tone


# In the title, as far as there is room: what somebody should look at comes first.
_TOLD = (
    JobState.STALLED,
    JobState.OUT_OF_MEMORY,
    JobState.FAILED,
    JobState.KILLED,
    JobState.STARTING,
    JobState.OFF_GPU,
    JobState.FINISHED,
    JobState.ENDED,
)

# One node's jobs


def node_job_rows(node: NodeState, width: int, now: float) -> list[JobRow]:
    """The heading and a line a job; a sentence where there is none."""
    if not node.jobs:
        return [(None, (Span(_why_none(node), Tone.DIM),))]
    columns = choose(COLUMNS, width)
    rows: list[JobRow] = [(None, heading(columns))]
    return rows + [(job.key, _line(job, columns, now, node.stale)) for job in node.jobs]


def _why_none(node: NodeState) -> str:
    gpus = node.sample.gpus if node.sample else ()
    reasons = {gpu.missing["processes"] for gpu in gpus if "processes" in gpu.missing}
    if reasons:
        return f"Who is on the GPUs is not known: {', '.join(sorted(map(clean, reasons)))}"
    return "No job on any GPU"


# The fleet's


def fleet_job_rows(
    groups: Sequence[Group], by: Grouping, stale: frozenset[str], width: int, now: float
) -> list[JobRow]:
    """The heading, then each group under its own, which a column need not say again; `stale` nodes'
    figures are old."""
    columns = choose([each for each in FLEET_COLUMNS if each.key != _SAID_BY.get(by)], width)
    rows: list[JobRow] = [(None, heading(columns))]
    for group in groups:
        if group.name:
            rows.append((None, _group_line(group, width)))
        rows += [(job.key, _line(job, columns, now, job.node in stale)) for job in group.jobs]
    return rows


def _group_line(group: Group, width: int) -> Line:
    going = [job for job in group.jobs if not job.is_over]
    facts = [plural(len(going), "job"), f"on {plural(group.gpus, 'GPU')}"]
    if ended := len(group.jobs) - len(going):
        facts.append(f"{ended} ended")
    line = [
        Span("── ", Tone.TRACK),
        Span(clean(group.name), Tone.STRONG),
        Span(f"  {', '.join(facts)} ", Tone.DIM),
    ]
    return (*line, Span("─" * max(0, width - width_of(line)), Tone.TRACK))


def _line(job: Job, columns: Sequence[Column], now: float, stale: bool) -> Line:
    cells = {each.key: _CELLS[each.key](job, each.width, now) for each in columns}
    line = row(columns, cells)
    return dimmed(line) if stale else line


def _state(job: Job, width: int, now: float) -> Line:
    words, tone = state_words(job, now)
    if len(words) > width and job.state is JobState.STALLED:
        words = f"{_STATES[job.state][0]} {job.state.value}"
    return (Span(words, tone),)


def _with_bar(percent: float | None, width: int, tone: Tone) -> Line:
    told = f"{figure(percent, ' %'):>5}"
    if percent is None or width < _BAR_LEAST:
        return (Span(told.strip(), Tone.DIM if percent is None else Tone.PLAIN),)
    return (*bar(percent, width - 6, tone), Span(f" {told}"))


def _use(job: Job, width: int, now: float) -> Line:
    if job.is_over:
        return ()
    return _with_bar(job.utilization_percent, width, tone_of(job.utilization_percent))


def _recent(job: Job, width: int, now: float) -> Line:
    """Its ten minutes, a character a minute."""
    points = job.trend[-2 * width :]
    if len(points) % 2:
        points = (None, *points)
    spans = []
    for one, two in zip(points[::2], points[1::2], strict=True):
        known = [each for each in (one, two) if each is not None]
        mean = sum(known) / len(known) if known else None
        spans.append(Span(" " if mean is None else mini(mean), tone_of(mean)))
    return (Span(" " * (width - len(spans))), *spans)


def _progress(job: Job, width: int, now: float) -> Line:
    if job.progress is None or job.progress.percent is None:
        done = job.progress.done if job.progress else None
        return () if done is None else (Span(f"{done:g}"),)
    return _with_bar(job.progress.percent, width, Tone.GOOD)


def _eta(job: Job, width: int, now: float) -> Line:
    return () if job.eta_seconds is None or job.is_over else (Span(brief(job.eta_seconds)),)


def _time(job: Job, width: int, now: float) -> Line:
    ran = age_of(job, now)
    return (Span(MISSING if ran is None else brief(ran), Tone.DIM),)


def _text(value: str | None, tone: Tone = Tone.PLAIN) -> Line:
    return (Span(clean(value), tone),) if value else (Span(MISSING, Tone.DIM),)


def _place(value: str | None) -> Line:
    """A container or session; most jobs are in none, which is no missing figure."""
    return (Span(clean(value), Tone.INFO),) if value else ()


def _user(job: Job, width: int, now: float) -> Line:
    return _text(job.user, Tone.WARN if job.user_from and job.user == "root" else Tone.PLAIN)


_CELLS: dict[str, Callable[[Job, int, float], Line]] = {
    "state": _state,
    "node": lambda job, width, now: _text(job.node),
    "gpus": lambda job, width, now: (Span(ranges(job.gpus), Tone.STRONG),),
    "user": _user,
    "name": lambda job, width, now: _text(job.name or job.command),
    "memory": lambda job, width, now: () if job.is_over else (Span(size(job.memory_bytes)),),
    "use": _use,
    "recent": _recent,
    "progress": _progress,
    "eta": _eta,
    "time": _time,
    "place": lambda job, width, now: _place(job.where),
    "session": lambda job, width, now: _place(job.session),
    "cpu": lambda job, width, now: () if job.is_over else (Span(figure(job.cpu_percent, " %")),),
    "ram": lambda job, width, now: () if job.is_over else (Span(size(job.host_memory_bytes)),),
    "line": lambda job, width, now: (Span(clean(job.last_line or "").strip(), Tone.DIM),),
}


# One job


def job_details(job: Job, width: int, now: float) -> list[Line]:
    """What a row has no room for, and why what is missing is missing."""
    words, tone = state_words(job, now)
    title = (Span(words, tone), _GAP, Span(clean(job.name or "a process"), Tone.STRONG))
    place = f"process {job.pid} on {clean(job.node)}"
    lines: list[Line] = [spread(title, (Span(place, Tone.DIM),), width)]
    if job.reason:
        lines += wrap(job.reason, width, tone)
    lines += _labelled("command", job.command, width)
    facts = [
        _fact("in", job.cwd),
        _fact("user", _whose(job)),
        _fact("container", job.where),
        _fact("session", job.session),
        _fact("uses", _uses(job)),
        _fact("left", None if job.eta_seconds is None else duration(job.eta_seconds)),
    ]
    lines += _packed([fact for fact in facts if fact], width)
    if job.last_line and job.last_line.strip():
        lines += _labelled("said", job.last_line.strip(), width)[:1]
    if job.missing and not job.is_over:
        reasons: dict[str, list[str]] = {}
        for name, why in job.missing.items():
            reasons.setdefault(why, []).append(_NAMES.get(name, name))
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
        lines += _labelled("not known", told, width)
    return lines


_NAMES = {
    "utilization_percent": "use",
    "memory_bytes": "memory",
    "host_memory_bytes": "RAM",
    "cpu_percent": "CPU",
    "busiest_percent": "busiest process",
    "waiting": "waiting for a disk",
    "last_line": "last line",
}


def _whose(job: Job) -> str | None:
    if not job.user_from:
        return job.user
    return f"{job.user or '?'} ({job.user_from})"


def _uses(job: Job) -> str | None:
    parts = []
    if job.processes is not None:
        parts.append("1 process" if job.processes == 1 else f"{job.processes} processes")
    if job.cpu_percent is not None:
        parts.append(f"{job.cpu_percent:.0f} % CPU")
    if job.host_memory_bytes is not None:
        parts.append(f"{size(job.host_memory_bytes)} RAM")
    if job.recent_percent is not None:
        parts.append(f"{job.recent_percent:.0f} % of its GPUs over 10 min")
    if job.shared:
        parts.append("others are on them, too")
    return ", ".join(parts) or None


def _fact(label: str, value: str | None) -> Line:
    return (Span(f"{label} ", Tone.DIM), Span(clean(value))) if value else ()


def _packed(facts: Sequence[Line], width: int) -> list[Line]:
    """As many facts on a line as have room."""
    lines: list[Line] = []
    for fact in facts:
        joined = join([lines[-1], fact], Span("   ")) if lines else fact
        if lines and width_of(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(fact)
    return lines


def _labelled(label: str, value: str | None, width: int) -> list[Line]:
    if not value:
        return []
    indent = len(label) + 1
    first, *rest = wrap(value, max(8, width - indent)) or [()]
    return [(Span(f"{label} ", Tone.DIM), *first), *((Span(" " * indent), *each) for each in rest)]


# The fleet's, around the rows


def jobs_title(
    shown: Sequence[Job], everything: Sequence[Job], only_mine: bool, by: Grouping, width: int
) -> Line:
    """`Jobs  12 of 40  3 stalled  1 failed      mine, by node`."""
    count = f"{len(shown)} of {len(everything)}" if len(shown) < len(everything) else len(shown)
    way = f"{'mine' if only_mine else 'everyone'}, "
    way += "not grouped" if by is Grouping.NONE else f"by {by.value}"
    spans = [Span("Jobs", Tone.STRONG), _GAP, Span(str(count))]
    room = width - len(way) - 2
    for state in _TOLD:
        number = sum(job.state is state for job in shown)
        part = [_GAP, Span(f"{number} {state.value}", _STATES[state][1])]
        if number and width_of([*spans, *part]) <= room:
            spans += part
    return spread(spans, (Span(way, Tone.DIM),), width)


def no_jobs_lines(nodes: Sequence[NodeState], hidden: bool, width: int) -> list[Line]:
    """Why there is no row."""
    if hidden:
        return [(Span("No job is like that; escape ends the filter", Tone.DIM),)]
    if not any(node.sample for node in nodes):
        return [(Span("No node has told of its GPUs yet", Tone.DIM),)]
    reasons = {
        gpu.missing["processes"]
        for node in nodes
        for gpu in (node.sample.gpus if node.sample else ())
        if "processes" in gpu.missing
    }
    lines: list[Line] = [(Span("No job on any GPU", Tone.DIM),)]
    for reason in sorted(map(clean, reasons)):
        lines += wrap(f"Of some GPUs it is not known: {reason}", width, Tone.DIM)
    return lines
