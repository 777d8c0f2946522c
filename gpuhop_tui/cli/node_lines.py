"""What every table says of a node before its own lines: its head, and its problem."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len

from gpuhop_tui.cli.text import clean, fit, paint, wrap
from gpuhop_tui.problem import Problem


def node_head(
    name: str, facts: list[str], *, room: int, well: bool, width: int, colour: bool
) -> str:
    """The node's name and `facts` in one line of at most `width` columns; `room` is for facts."""
    said = fit(clean("  ".join(facts)), room).rstrip()
    name = fit(clean(name), width - cell_len(said) - 2).rstrip()
    return f"{paint(name, 'bold', wanted=colour)}  " + paint(
        said, "green" if well else "red", wanted=colour
    )


def problem_lines(problem: Problem, width: int) -> Iterator[str]:
    """What happened, where, and below it what to do next."""
    where = f"{problem.kind.value} at {problem.hop}: {problem.message}"
    yield from wrap(where, width, "  ")
    yield from wrap(problem.advice, width, "    ")
