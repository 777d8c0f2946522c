"""Names that containers and images may have."""

from __future__ import annotations

import pytest

from gpuhop_tui.containers.names import check_container_name, check_image_name


@pytest.mark.parametrize("name", ["ab", "train-llm", "a.b_c-9", "9lives", "A" * 200])
def test_good_container_names(name: str) -> None:
    assert check_container_name(name) is None


@pytest.mark.parametrize("name", ["", "a", "-a", ".ab", "a b", "a/b", "ä1", "ab\n", "訓練"])
def test_bad_container_names(name: str) -> None:
    assert check_container_name(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        "busybox",
        "team/train:v2",
        "registry.example.org:5000/team/train",
        "localhost:5000/a__b.c-d:2.8.0-cuda12.6",
        "train:" + "x" * 128,
    ],
)
def test_good_image_names(name: str) -> None:
    assert check_image_name(name) is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("", "small letters"),
        ("Team/Train", "small letters"),
        ("a//b", "small letters"),
        ("-a", "small letters"),
        ("a b", "small letters"),
        ("train:", "a tag"),
        ("train:-x", "a tag"),
        ("train:" + "x" * 129, "a tag"),
        ("train\n", "small letters"),
    ],
)
def test_bad_image_names(name: str, part: str) -> None:
    assert part in (check_image_name(name) or "")
