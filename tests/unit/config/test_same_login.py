"""What makes two ways one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.config.same_login import same_login, same_way

HOP = Hop("gpu-01", "10.0.0.50", 22, "mira", identity_files=(Path("/a"), Path("/b")))


def test_names_orders_and_hashing_make_no_other_login() -> None:
    other = replace(
        HOP, name="alias", identity_files=(Path("/b"), Path("/a")), hash_known_hosts=True
    )
    assert same_login(HOP, other)
    assert same_way((HOP, other), (other, HOP))


def test_who_where_and_with_what_do() -> None:
    for other in (
        replace(HOP, user="jonas"),
        replace(HOP, port=2222),
        replace(HOP, host="10.0.0.51"),
        replace(HOP, identity_files=(Path("/a"),)),
    ):
        assert not same_login(HOP, other)
    assert not same_way((HOP,), (HOP, HOP))
