"""Whether two ways lead to the same account of the same server, however they were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuhop_tui.config.hops import Hop


def same_way(one: Sequence[Hop], other: Sequence[Hop]) -> bool:
    """Whether both are the same logins, one after the other. Names, the order of keys, and how a
    new host key would be written down are no part of it."""
    return list(map(_nameless, one)) == list(map(_nameless, other))


def same_login(one: Hop, other: Hop) -> bool:
    """Whether both are one login: as `same_way`, of one hop."""
    return _nameless(one) == _nameless(other)


def _nameless(hop: Hop) -> Hop:
    return replace(
        hop,
        name="",
        identity_files=tuple(sorted(hop.identity_files)),
        certificate_files=tuple(sorted(hop.certificate_files)),
        hash_known_hosts=False,  # as Debian's own ssh_config has it, for aliases alone
    )
