"""The filter of jobs: `user:ann mem>20g state:stalled gpu:0 python`. All words have to hold.

    NAME:TEXT      the field holds TEXT; several with commas: any of them; a `-` before it: not
    NAME>AMOUNT    a figure is more (`<` less, `>=` and `<=` as well); one not known never is
    TEXT           any of node, user, command, container, session, last line holds it

A pure function of text; what cannot be meant raises `FilterError`, which says what would be right.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from gpuhop_tui.fleet.jobs.model import Job, JobState

Test = Callable[[Job], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """The words of a filter; without any, every job holds."""

    tests: tuple[Test, ...] = ()

    def holds(self, job: Job) -> bool:
        return all(test(job) for test in self.tests)


class FilterError(ValueError):
    """What is wrong with a filter, and what would be right. `others`: the words that are well."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.others = Filter()


_G = float(1 << 30)
_BYTES = {"": 1.0, "k": 2.0**10, "m": 2.0**20, "g": _G, "t": 2.0**40}
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PERCENT = {"": 1.0, "%": 1.0}
_COUNT = {"": 1.0}

_TEXTS: dict[str, Callable[[Job], str | None]] = {
    "user": lambda job: job.user,
    "node": lambda job: job.node,
    "command": lambda job: job.command,
    "container": lambda job: job.where,
    "session": lambda job: job.session,
    "line": lambda job: job.last_line,
}
_FIGURES: dict[str, tuple[Callable[[Job, float], float | None], dict[str, float], str]] = {
    "mem": (lambda job, _: job.memory_bytes, _BYTES, "20g"),
    "ram": (lambda job, _: job.host_memory_bytes, _BYTES, "64g"),
    "util": (lambda job, _: job.utilization_percent, _PERCENT, "50"),
    "util10": (lambda job, _: job.recent_percent, _PERCENT, "50"),
    "cpu": (lambda job, _: job.cpu_percent, _PERCENT, "100"),
    "gpus": (lambda job, _: len(job.gpus), _COUNT, "2"),
    "progress": (lambda job, _: job.progress.percent if job.progress else None, _PERCENT, "90"),
    "eta": (lambda job, _: job.eta_seconds, _SECONDS, "2h"),
    "age": (lambda job, now: age_of(job, now), _SECONDS, "2h"),
}
_ALIASES = {
    "memory": "mem",
    "cmd": "command",
    "utilization": "util",
    "time": "age",
    "tmux": "session",
}
_OTHER = ("state", "gpu")
NAMES = (*_TEXTS, *_OTHER, *_FIGURES)

_WORD = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9]*)(?P<sign>:|>=|<=|>|<|=)(?P<value>.*)", re.DOTALL)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z%]?)(?:i?b)?", re.IGNORECASE)
_STATES = {state.value.replace(" ", "-").lower(): state for state in JobState}
_STATES |= {"oom": JobState.OUT_OF_MEMORY, "off": JobState.OFF_GPU, "off-gpu": JobState.OFF_GPU}
_GROUPS: dict[str, Callable[[JobState], bool]] = {
    "over": lambda state: state.is_over,
    "alive": lambda state: not state.is_over,
}


def parse(text: str, now: float) -> Filter:
    """What `text` asks for; `now` is what ages are measured from. Raises FilterError."""
    tests: list[Test] = []
    wrong: FilterError | None = None
    for word in _words(text):
        try:
            tests.append(_test(word, now))
        except FilterError as error:
            wrong = wrong or error
    if wrong is not None:
        wrong.others = Filter(tuple(tests))
        raise wrong
    return Filter(tuple(tests))


def _words(text: str) -> list[str]:
    """Words as a shell has them, so that blanks can be quoted."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="")
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        raise FilterError("a quote is not closed") from None
    return [word for word in words if word not in ("", "-")]


def _test(word: str, now: float) -> Test:
    if word.startswith("-"):
        inner = _test(word[1:], now)
        return lambda job: not inner(job)
    found = _WORD.fullmatch(word)
    if found is None:
        return _anywhere(word.casefold())
    name, sign, value = found["name"].lower(), found["sign"], found["value"]
    name = _ALIASES.get(name, name)
    if name not in NAMES:
        near = difflib.get_close_matches(name, [*NAMES, *_ALIASES], n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
        raise FilterError(f"there is no {name}: {hint}")
    if not value:
        raise FilterError(f"{name}{sign} needs a value, such as {_example(name, sign)}")
    if name in _FIGURES:
        return _figure(name, sign, value, now)
    if sign not in (":", "="):
        raise FilterError(f"{name} is no figure: write {_example(name, ':')}")
    options = [option for option in value.split(",") if option]
    if name == "state":
        return _states(options)
    return _gpus(value) if name == "gpu" else _text(name, [each.casefold() for each in options])


def _anywhere(needle: str) -> Test:
    def holds(job: Job) -> bool:
        texts = (read(job) for read in _TEXTS.values())
        return any(needle in text.casefold() for text in texts if text)

    return holds


def _text(name: str, needles: list[str]) -> Test:
    read = _TEXTS[name]

    def holds(job: Job) -> bool:
        text = (read(job) or "").casefold()
        return any(needle in text for needle in needles)

    return holds


def _figure(name: str, sign: str, value: str, now: float) -> Test:
    read, units, example = _FIGURES[name]
    if sign == ":":
        raise FilterError(f"{name} is a figure: write {name}>{example}")
    amount = _AMOUNT.fullmatch(value)
    if amount is None or amount[2].lower() not in units:
        raise FilterError(f"{value} is no amount of {name}: write {name}{sign}{example}")
    wanted = float(amount[1]) * units[amount[2].lower()]
    compare = _COMPARISONS[sign]

    def holds(job: Job) -> bool:
        figure = read(job, now)
        return figure is not None and compare(figure, wanted)

    return holds


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    "=": lambda one, other: one == other,
}


def age_of(job: Job, now: float) -> float | None:
    """Seconds that a job runs, or ran."""
    return None if job.started_at is None else max(0.0, (job.ended_at or now) - job.started_at)


def _states(options: list[str]) -> Test:
    tests: list[Callable[[JobState], bool]] = []
    for option in map(str.lower, options):
        if option in _GROUPS:
            tests.append(_GROUPS[option])
        elif named := {state for name, state in _STATES.items() if name.startswith(option)}:
            tests.append(named.__contains__)
        else:
            known = ", ".join(name for name in [*_GROUPS, *_STATES])
            raise FilterError(f"there is no state {option}: there are {known}")
    return lambda job: any(test(job.state) for test in tests)


def _gpus(value: str) -> Test:
    wanted: set[int] = set()
    for part in value.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(first + last) > 8:
            raise FilterError(f"{part or 'nothing'} is no GPU: write gpu:0 or gpu:0-3,7")
        wanted |= set(range(int(first), min(int(last or first), 4096) + 1))
    return lambda job: not wanted.isdisjoint(job.gpus)


def _example(name: str, sign: str) -> str:
    if name in _FIGURES:
        return f"{name}{'>' if sign == ':' else sign}{_FIGURES[name][2]}"
    return {"state": "state:stalled", "gpu": "gpu:0", "user": "user:ann"}.get(name, f"{name}:TEXT")
