"""What limits a GPU, as lines."""

from __future__ import annotations

from rich.cells import cell_len

from gpuhop_tui.fleet.explain import Explanation
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, wrap

_MARK = "▸ "


def explanation_lines(found: Explanation, width: int, head: str = "what limits it") -> list[Line]:
    """Each limit with its evidence below it; then what could not be looked at."""
    lines: list[Line] = [(Span(cut(head, width), Tone.STRONG),)]
    indent = Span(" " * len(_MARK))
    for limit in found.limits:
        for number, line in enumerate(wrap(limit.words, width - len(_MARK), Tone.WARN)):
            lines.append((indent if number else Span(_MARK, Tone.WARN), *line))
        lines += [(indent, *line) for line in wrap(limit.evidence, width - len(_MARK), Tone.DIM)]
    if not found.limits and found.state:
        lines += [(indent, *line) for line in wrap(found.state, width - len(_MARK))]
    if found.unknown:
        words = f"not known: {'; '.join(map(clean, found.unknown))}"
        lines += [(indent, *line) for line in wrap(words, width - len(_MARK), Tone.DIM)]
    return lines


def limit_line(index: int, found: Explanation, width: int) -> Line | None:
    """The limit of a GPU that weighs most, on one line; None where none is found."""
    if not found.limits:
        return None
    first, *others = found.limits
    more = f"  +{len(others)} more" if others else ""
    head = f" {_MARK}GPU {index}: "
    room = width - len(head) - len(more)
    words = cut(clean(first.words), room)
    evidence = cut(f" ({clean(first.evidence)})", room - cell_len(words))
    return (
        Span(head, Tone.WARN),
        Span(words, Tone.WARN),
        Span(evidence, Tone.DIM),
        Span(more, Tone.DIM),
    )
