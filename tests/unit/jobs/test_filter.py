"""The filter of jobs, as it is typed."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.jobs.filter import NAMES, FilterError, parse
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.sessions.model import Progress

NOW = 10_000.0
G = 1 << 30
JOB = Job(
    node="gpu-01", pid=7, started_at=NOW - 3600, gpus=(0, 3), user="Ann", command="python train.py",
    container="box", session="main", memory_bytes=30 * G, utilization_percent=80.0,
    recent_percent=40.0, cpu_percent=250.0, state=JobState.STALLED,
    progress=Progress(percent=50.0), eta_seconds=7200.0, last_line="epoch 3",
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "user:ann", "user:an", "user:bob,ann", "-user:bob", "node:gpu", "train", "TRAIN",
        "mem>20g", "mem>=30g", "mem<31GB", "mem<31GiB", "memory=30g", "util>50%", "util10<50",
        "cpu>200", "gpus>=2", "gpu:0", "gpu:1-3", "gpu:5,3", "progress>=50", "eta<3h", "age>59m",
        "age<1d", "state:stalled", "state:st", "state:alive", "-state:over", "state:oom,stalled",
        "container:box", "session:main", "tmux:main", "line:epoch", '"train.py"', "line:'epoch 3'",
        "user:ann mem>20g state:stalled gpu:0 node:gpu-01 python",
    ],
)  # fmt: skip
def test_words_that_hold(text: str) -> None:
    assert parse(text, NOW).holds(JOB)


@pytest.mark.parametrize(
    "text",
    [
        "user:bob", "user:bob train", "-train", "mem>30g", "util>80", "gpus>2", "gpu:1", "gpu:4-9",
        "state:running", "state:over", "age>2h", "ram>1", "ram<1t", "nothing",
    ],
)  # fmt: skip
def test_words_that_do_not(text: str) -> None:
    assert not parse(text, NOW).holds(JOB)


def test_a_figure_that_is_not_known_is_neither_more_nor_less() -> None:
    unknown = replace(JOB, memory_bytes=None)
    assert not parse("mem>1", NOW).holds(unknown)
    assert not parse("mem<1t", NOW).holds(unknown)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("usr:ann", "did you mean user?"),
        ("flavour:x", "there are user"),
        ("mem:20g", "write mem>20g"),
        ("mem>lots", "is no amount of mem"),
        ("mem>5h", "is no amount of mem"),
        ("user>ann", "is no figure"),
        ("user:", "needs a value"),
        ("state:flying", "there are over, alive"),
        ("gpu:x", "write gpu:0"),
        ("gpu:0-", "write gpu:0"),
        ('"open', "quote"),
        ("-mem:5", "write mem>20g"),
    ],
)
def test_what_cannot_be_meant_says_what_can(text: str, words: str) -> None:
    with pytest.raises(FilterError, match=words.replace("?", r"\?")):
        parse(text, NOW)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_says_why_not(text: str) -> None:
    with contextlib.suppress(FilterError):
        parse(text, NOW).holds(JOB)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from([":", "=", ">", "<", ">=", "<="]),
            st.text(alphabet="0123456789.-,gmthx%", max_size=8),
        ),
        max_size=4,
    )
)
def test_anything_alike_is_a_filter_or_says_why_not(words: list[tuple[str, str, str]]) -> None:
    text = " ".join("".join(word) for word in words)
    with contextlib.suppress(FilterError):
        parse(text, NOW).holds(JOB)


@given(st.sampled_from(["user:ann", "mem>20g", "state:over", "gpu:0", "x"]))
def test_a_dash_turns_a_word_around(word: str) -> None:
    assert parse(word, NOW).holds(JOB) != parse(f"-{word}", NOW).holds(JOB)


def test_the_words_that_are_well_hold_beside_one_that_is_not() -> None:
    with pytest.raises(FilterError) as error:
        parse("user:bob mem:5", NOW)
    assert not error.value.others.holds(JOB)
