"""Cleaning, cutting and wrapping of text that may be hostile."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gpuhop_tui.tui.render.line import (
    Span,
    Tone,
    clean,
    cut,
    fit,
    fit_line,
    join,
    plain,
    spread,
    width_of,
    wrap,
)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("python train.py", "python train.py"),
        ("[red]not markup[/]", "[red]not markup[/]"),
        ("a\x1b[31mb", "a[31mb"),
        ("a\x9b31mb", "a31mb"),
        ("two\nlines\tand tab", "two lines and tab"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("訓練", "訓練"),
        ("\x07\x00", ""),
    ],
)
def test_clean(given_: str, expected: str) -> None:
    assert clean(given_) == expected


@given(st.text())
def test_clean_leaves_nothing_that_a_terminal_obeys(text: str) -> None:
    assert not {unicodedata.category(char) for char in clean(text)} & {"Cc", "Cf", "Cs", "Zl"}


@given(st.text(), st.integers(0, 40))
def test_fit_is_exact(text: str, width: int) -> None:
    text = clean(text)
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, "right")) == width
    assert cell_len(cut(text, width)) <= width


def test_cut_marks_what_is_missing() -> None:
    assert cut("train.py", 8) == "train.py"
    assert cut("train.py", 6) == "train…"
    assert cut("訓練訓練", 4) == "訓…"


def test_fit_line_cuts_in_the_middle_of_spans() -> None:
    line = fit_line([Span("abc", Tone.BAD), Span("def")], 4)
    assert line == (Span("abc", Tone.BAD), Span("…"))
    assert plain(fit_line([Span("ab")], 4, "right")) == "  ab"


def test_spread_leaves_the_right_out_where_there_is_no_room() -> None:
    assert plain(spread([Span("ab")], [Span("cd")], 6)) == "ab  cd"
    assert plain(spread([Span("ab")], [Span("cd")], 4)) == "ab  "


def test_join_skips_what_is_empty() -> None:
    assert plain(join([[Span("a")], [], [Span("b")]], Span("-"))) == "a-b"


@given(st.text(), st.integers(2, 30))
def test_wrap_loses_nothing_and_fits(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(width_of(line) <= width for line in lines)
    whole = "".join(plain(line) for line in lines)
    assert whole.replace(" ", "") == "".join(clean(text).split())


def test_wrap_breaks_at_spaces() -> None:
    assert [plain(line) for line in wrap("one two three", 8)] == ["one two", "three"]
    assert [plain(line) for line in wrap("abcdefghij kl", 4)] == ["abcd", "efgh", "ij", "kl"]
