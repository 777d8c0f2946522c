"""Lines of a pane at a width, and pages of them: pure."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gpuhop_tui.sessions.tail_screen import PLAIN_STYLE, Line, Run, Style
from gpuhop_tui.sessions.tail_view import TailState, TailView
from gpuhop_tui.tui.render.tail import MATCH, marked, painted, plain, rich_style, window, wrapped
from gpuhop_tui.tui.render.tail_pager import Pager
from tests.tui.fake_sessions import FakeTail, pane, session, text_line
from tests.tui.fakes import NOW

RED = Style(foreground=1)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
lines = st.lists(st.tuples(texts, st.sampled_from([PLAIN_STYLE, RED])), max_size=4).map(
    lambda runs: tuple(Run(text, style) for text, style in runs)
)


@given(lines, st.integers(2, 40))
def test_wrapping_keeps_all_and_fits(line: Line, width: int) -> None:
    rows = wrapped(line, width)
    assert "".join(map(plain, rows)) == plain(line)
    assert all(cell_len(plain(row)) <= width for row in rows)


@given(lines, st.integers(0, 50), st.integers(1, 40))
def test_a_window_is_part_of_the_line_and_fits(line: Line, start: int, width: int) -> None:
    shown = plain(window(line, start, width))
    assert shown in plain(line)
    assert cell_len(shown) <= width
    if plain(line).isascii():
        assert shown == plain(line)[start : start + width]


@given(lines, st.text("ab", min_size=1, max_size=3))
def test_marking_changes_no_text(line: Line, needle: str) -> None:
    assert plain(marked(line, needle, MATCH)) == plain(line)


def test_marking_marks() -> None:
    line = (Run("lo", RED), Run("ss and Loss", PLAIN_STYLE))
    assert marked(line, "loss", MATCH) == (
        Run("lo", MATCH), Run("ss", MATCH), Run(" and ", PLAIN_STYLE), Run("Loss", MATCH),
    )  # fmt: skip
    assert painted(text_line("abcd"), [(1, 3)], RED) == (
        Run("a", PLAIN_STYLE), Run("bc", RED), Run("d", PLAIN_STYLE),
    )  # fmt: skip


@given(lines)
def test_nothing_harmful_is_left(line: Line) -> None:
    assert plain(line).isprintable()
    for row in wrapped(line, 7):
        assert all(run.text.isprintable() for run in row)


def test_hostile_text_is_harmless() -> None:
    evil = (Run("a\x1b]52;c;aGk=\x07\u202eb\r\n\x9b31m", PLAIN_STYLE),)
    assert plain(evil) == "a]52;c;aGk=b  31m"


def test_nothing_blinks_or_hides() -> None:
    style = rich_style(Style(blink=True, conceal=True, foreground=(1, 2, 3), background=200))
    assert not style.blink
    assert not style.conceal


# Pages


def tail_of(count: int, rows: int = 10) -> FakeTail:
    tail = FakeTail(session("it", NOW), pane(rows=rows))
    tail.print(*(f"line {number}" for number in range(count)))
    return tail


def shown(pager: Pager) -> list[str]:
    return [plain(line) for line in pager.page()]


def pager_of(tail: FakeTail, width: int = 40, height: int = 5, wrap: bool = True) -> Pager:
    pager = Pager(tail, wrap=wrap)
    pager.resize(width, height)
    return pager


async def test_it_follows_the_newest() -> None:
    tail = tail_of(30)
    pager = pager_of(tail, height=15)
    assert shown(pager) == [f"line {number}" for number in range(15, 30)]
    tail.print("new")
    assert shown(pager)[-2:] == ["line 29", "new"]


async def test_unused_rows_are_not_shown() -> None:
    tail = tail_of(2)
    tail.set(lines=(*tail.view.lines, *[()] * 8), cursor=(0, 2))
    assert shown(pager_of(tail)) == ["line 0", "line 1", ""]
    tail.set(dead=True)
    assert shown(pager_of(tail)) == ["line 0", "line 1"]


async def test_scrolled_up_it_holds_still() -> None:
    tail = tail_of(30)
    pager = pager_of(tail)
    pager.scroll(-3)
    assert shown(pager) == [f"line {number}" for number in range(22, 27)]
    tail.print(*["flood"] * 6000)
    assert shown(pager) == [f"line {number}" for number in range(22, 27)]
    pager.scroll(2)
    assert not pager.following
    pager.scroll(1)
    assert pager.following
    assert shown(pager) == ["flood"] * 5


async def test_paused_it_follows_only_when_told() -> None:
    tail = tail_of(30)
    pager = pager_of(tail)
    pager.hold()
    pager.paused = True
    tail.print("new")
    pager.scroll(-1)
    pager.scroll(10)
    assert shown(pager)[-1] == "line 29"
    pager.follow()
    assert shown(pager)[-1] == "new"


async def test_far_up_and_back() -> None:
    pager = pager_of(tail_of(30))
    pager.scroll_to(-1)
    assert shown(pager)[0] == "line 0"
    pager.scroll(-5)
    assert shown(pager)[0] == "line 0"
    pager.scroll_to(1)
    assert pager.following


async def test_wrapped_lines_scroll_by_rows() -> None:
    tail = FakeTail(session("it", NOW), pane(rows=4))
    tail.print("a" * 25, "b" * 25, "c")
    pager = pager_of(tail, width=10, height=3)
    assert shown(pager) == ["b" * 10, "b" * 5, "c"]
    pager.scroll(-1)
    assert shown(pager) == ["b" * 10, "b" * 10, "b" * 5]
    pager.scroll(-1)
    assert shown(pager) == ["a" * 5, "b" * 10, "b" * 10]
    pager.scroll(-9)
    assert shown(pager) == ["a" * 10, "a" * 10, "a" * 5]
    pager.wrap = False
    pager.settle()
    assert shown(pager) == ["a" * 10, "b" * 10, "c"]
    pager.slide(20)
    assert shown(pager) == ["a" * 5, "b" * 5, ""]
    pager.slide(-99)
    assert pager.column == 0


@pytest.mark.parametrize("wrap", [True, False])
async def test_searching(wrap: bool) -> None:
    pager = pager_of(tail_of(30), wrap=wrap)
    assert pager.search("LINE 1")
    assert len(pager.matches) == 11
    assert "line 19" in shown(pager)
    pager.step(-1)
    assert pager.matches[pager.match or 0] == 18
    pager.step(1)
    pager.step(1)  # round about
    assert pager.match == 0
    assert "line 1" in shown(pager)
    pager.follow()
    assert pager.needle == ""
    assert not pager.search("nowhere")
    assert pager.match is None


@given(
    st.lists(st.integers(0, 30), max_size=30),
    st.lists(st.integers(-20, 20), max_size=12),
    st.integers(1, 12),
    st.integers(2, 20),
)
def test_pages_are_whole_wherever_it_is(
    widths: list[int], moves: list[int], height: int, width: int
) -> None:
    view = TailView(TailState.LIVE, lines=tuple(text_line("x" * n) for n in widths[-6:]))
    before = [text_line("x" * n) for n in widths[:-6]]
    view = TailView(TailState.LIVE, lines=view.lines, scrollback=len(before), gone=len(before))
    source = SimpleNamespace(view=view, history=lambda a, b: before[max(0, a) : max(0, b)])
    pager = Pager(source, wrap=True)
    pager.resize(width, height)
    used = len(before) + max((n + 1 for n, line in enumerate(view.lines) if line), default=0)
    every = [row for line in [*before, *view.lines][:used] for row in wrapped(line, width)]
    for move in moves:
        pager.scroll(move)
        page = pager.page()
        assert len(page) == min(height, len(every))
        if pager.following:
            assert page == every[-height:]
