"""Which container a word means."""

from __future__ import annotations

import pytest

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.fleet.container_hops import chosen

NAMES = {
    "aa11" * 16: ["train"],
    "aa22" * 16: ["web", "front/web"],  # the latter by a link of another container
    "bb33" * 16: ["aa22"],
}


@pytest.mark.parametrize(
    ("word", "begins"),
    [("train", "aa11"), ("aa11", "aa11"), ("BB", "bb33"), ("aa22", "bb33"), ("aa22aa", "aa22")],
)
def test_a_name_or_the_beginning_of_an_id(word: str, begins: str) -> None:
    assert chosen("gpu-01", word, NAMES).startswith(begins)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("trein", "Did you mean 'train'?"),
        ("zzz", "There are: aa22, train, web"),
        ("", "There are: aa22, train, web"),
        ("aa", "may be train, web"),
    ],
)
def test_what_is_none_or_several(word: str, says: str) -> None:
    with pytest.raises(ContainerError) as caught:
        chosen("gpu-01", word, NAMES)
    assert says in str(caught.value)


def test_a_node_without_containers() -> None:
    with pytest.raises(ContainerError) as caught:
        chosen("gpu-01", "train", {})
    assert "gpuhop-tui run TEMPLATE gpu-01" in caught.value.advice
