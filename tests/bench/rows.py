"""One line of the table of results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure, what it is held against, and what it should be."""

    what: str
    ours: str
    peer: str  # "" where it stands alone
    value: float  # the ratio to the peer, or the figure itself, in the target's unit
    limit: float | None  # at most; None: no target, told for its own sake
    unit: str = "×"  # of value and limit

    @property
    def target(self) -> str:
        return f"≤ {self.limit:g} {self.unit}" if self.limit is not None else "—"

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return "—"
        return "met" if self.value <= self.limit else "**missed**"


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| what | ours | peer | figure | target | |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        cells = (
            row.what, row.ours, row.peer or "—", f"{row.value:.3g} {row.unit}", row.target,
            row.verdict,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
