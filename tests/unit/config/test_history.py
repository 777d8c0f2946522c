"""[history]: whether the past is kept, and in how much room."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gpuhop_tui.config.schema import Config, HistoryConfig


def test_it_is_kept_unless_said_otherwise() -> None:
    assert Config().history == HistoryConfig(keep=True, limit=64 << 20)


@pytest.mark.parametrize(
    ("limit", "size"),
    [("64mb", 64 << 20), ("1.5 GiB", 3 << 29), ("2m", 2 << 20), (1 << 20, 1 << 20)],
)
def test_a_limit_is_a_size(limit: object, size: int) -> None:
    assert HistoryConfig.model_validate({"limit": limit}).limit == size


@pytest.mark.parametrize("limit", ["much", "1kb", "-3mb", 12, True, "64mbit"])
def test_what_is_no_size_is_refused(limit: object) -> None:
    with pytest.raises(ValidationError):
        HistoryConfig.model_validate({"limit": limit})
