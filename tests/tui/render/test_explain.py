"""What limits a GPU, as lines of a width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.explain import Explanation, Limit
from gpuhop_tui.tui.render.explain import explanation_lines, limit_line
from gpuhop_tui.tui.render.line import plain, width_of

HOT = Limit("heat holds its clock down", "thermal (hardware), 89 °C, 1095 MHz")
SHARED = Limit("2 jobs share it", "python a.py of ann, python b.py of bob")


def test_each_limit_with_its_evidence_and_what_is_not_known() -> None:
    found = Explanation((HOT, SHARED), "", ("PCIe: not supported",))
    assert [plain(line) for line in explanation_lines(found, 60)] == [
        "what limits it",
        "▸ heat holds its clock down",
        "  thermal (hardware), 89 °C, 1095 MHz",
        "▸ 2 jobs share it",
        "  python a.py of ann, python b.py of bob",
        "  not known: PCIe: not supported",
    ]


def test_where_nothing_limits_its_state_is_told() -> None:
    lines = explanation_lines(Explanation(state="it is free"), 60)
    assert plain(lines[1]) == "  it is free"
    assert limit_line(0, Explanation(state="it is free"), 60) is None


def test_the_line_below_the_table() -> None:
    line = limit_line(3, Explanation((HOT, SHARED)), 100)
    assert line is not None
    assert plain(line) == (
        " ▸ GPU 3: heat holds its clock down (thermal (hardware), 89 °C, 1095 MHz)  +1 more"
    )


@given(st.integers(30, 200), st.text(), st.text())
def test_no_line_is_too_wide(width: int, words: str, evidence: str) -> None:
    found = Explanation((Limit(words, evidence), HOT), "x", (words,))
    line = limit_line(127, found, width)
    assert line is not None
    assert width_of(line) <= width
    assert all(width_of(each) <= width for each in explanation_lines(found, width))
