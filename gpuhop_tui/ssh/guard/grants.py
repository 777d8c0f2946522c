"""What a person has allowed for a while, so that it is not asked again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from gpuhop_tui.ssh.guard.model import Grant, SignatureFacts

Subject = tuple[str, str, str, str, str]


def subject(facts: SignatureFacts) -> Subject:
    """What makes two signatures the same to a person: destination, user, key and purpose."""
    return facts.purpose.value, facts.host_key, facts.namespace, facts.user, facts.key


@dataclass(frozen=True, slots=True)
class _Held:
    lending: int
    subject: Subject
    grant: Grant


class Grants:
    """Grants of every lending. One that has run out is gone."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds since the epoch."""
        self._clock = clock
        self._numbers = itertools.count(1)
        self._held: list[_Held] = []

    def add(self, lending: int, facts: SignatureFacts, until: float | None) -> None:
        grant = Grant(next(self._numbers), facts.what, facts.key, facts.key_comment, until)
        self._held.append(_Held(lending, subject(facts), grant))

    def find(self, lending: int, facts: SignatureFacts) -> Grant | None:
        wanted = (lending, subject(facts))
        return next((h.grant for h in self._live() if (h.lending, h.subject) == wanted), None)

    def of(self, lending: int) -> tuple[Grant, ...]:
        return tuple(held.grant for held in self._live() if held.lending == lending)

    def revoke(self, grant: int) -> None:
        self._held = [held for held in self._held if held.grant.id != grant]

    def end(self, lending: int) -> None:
        """The lending is over, and all that was allowed to it."""
        self._held = [held for held in self._held if held.lending != lending]

    def clear(self) -> None:
        self._held.clear()

    def _live(self) -> list[_Held]:
        now = self._clock()
        self._held = [h for h in self._held if h.grant.until is None or h.grant.until > now]
        return self._held
