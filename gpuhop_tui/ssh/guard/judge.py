"""One decision after the other: locked, limits, rules, grants, and at last the person."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gpuhop_tui.ssh.guard.grants import Grants
from gpuhop_tui.ssh.guard.model import SignatureFacts
from gpuhop_tui.ssh.guard.policy import Decision, Policy
from gpuhop_tui.ssh.guard.questions import Questions
from gpuhop_tui.ssh.prompts import SignatureAnswer

LOCKED = "the agent is locked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a signature, and why."""

    allowed: bool
    reason: str
    asked: bool = False


class Judge:
    """Decides for every lending of one program."""

    def __init__(
        self, policy: Policy, questions: Questions, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock`: seconds since the epoch."""
        self.policy = policy
        self.grants = Grants(clock)
        self.locked = False
        self._questions = questions
        self._clock = clock

    def lock(self, locked: bool) -> None:
        """Locked, everything is denied, open questions too, and all grants are gone."""
        self.locked = locked
        if locked:
            self.grants.clear()
            self._questions.drop()

    async def judge(self, lending: int, facts: SignatureFacts) -> Verdict:
        """Cancelling it takes its question back."""
        if self.locked:
            return Verdict(False, LOCKED)
        if facts.forbidden:
            return Verdict(False, facts.forbidden)
        ruling = self.policy.rule_on(facts)
        if ruling.decision is not Decision.ASK:
            return Verdict(ruling.decision is Decision.ALLOW, ruling.reason)
        grant = self.grants.find(lending, facts)
        if grant is not None:
            how_long = "while it is lent" if grant.until is None else "for some minutes"
            return Verdict(True, f"allowed by you {how_long}")
        said = await self._questions.ask(lending, facts)
        if said.reason or self.locked:
            return Verdict(False, said.reason or LOCKED, asked=True)
        if said.answer is SignatureAnswer.ONCE:
            return Verdict(True, "allowed by you once", asked=True)
        minutes = self._questions.minutes
        for_minutes = said.answer is SignatureAnswer.MINUTES
        if self.grants.find(lending, facts) is None:  # one question may have had several askers
            until = self._clock() + 60 * minutes if for_minutes else None
            self.grants.add(lending, facts, until)
        how_long = f"for {minutes} min" if for_minutes else "while it is lent"
        return Verdict(True, f"allowed by you {how_long}", asked=True)
