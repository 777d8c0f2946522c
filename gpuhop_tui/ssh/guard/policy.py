"""Whether a signature is allowed, denied, or a question: rules, in the order they were written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gpuhop_tui.ssh.guard.model import Purpose, SignatureFacts


class Decision(StrEnum):
    ASK = "ask"
    ALLOW = "allow"
    DENY = "deny"


RulePurpose = Literal["any", "login", "unbound", "signature", "git", "unknown"]

_LOGINS = (Purpose.LOGIN, Purpose.UNBOUND)


@dataclass(frozen=True, slots=True)
class Rule:
    """Holds where every part matches. Patterns have `*` and `?`, and ignore case."""

    decision: Decision
    destination: str = "*"  # name or host key fingerprint; anything but "*" needs a proven one
    user: str = "*"  # anything but "*" matches logins only
    key: str = "*"  # fingerprint or comment
    purpose: RulePurpose = "any"
    node: str = "*"  # that the agent is lent to

    def matches(self, facts: SignatureFacts) -> bool:
        return (
            self.concerns(facts.node)
            and self.names_key(facts.key, facts.key_comment)
            and self._is_for(facts)
            and self._leads_to(facts)
            and (self.user == "*" or (facts.purpose in _LOGINS and _like(self.user, facts.user)))
        )

    def concerns(self, node: str) -> bool:
        """Whether it holds for a node; it does for the containers there too ("node/container")."""
        return _like(self.node, node) or _like(self.node, node.partition("/")[0])

    def names_key(self, key: str, comment: str) -> bool:
        return self.key in ("*", key) or _like(self.key, comment)

    @property
    def is_whole(self) -> bool:
        """Whether it holds for whatever its keys are used for."""
        return (self.destination, self.user, self.purpose) == ("*", "*", "any")

    def _is_for(self, facts: SignatureFacts) -> bool:
        if self.purpose == "git":
            return facts.purpose is Purpose.SIGNATURE and facts.namespace == "git"
        return self.purpose in ("any", facts.purpose.value)

    def _leads_to(self, facts: SignatureFacts) -> bool:
        if self.destination == "*":
            return True
        names = (*facts.destination, facts.host_key)
        return facts.purpose is Purpose.LOGIN and any(
            _like(self.destination, name) for name in names if name
        )

    def __str__(self) -> str:
        parts = ("destination", "user", "key", "purpose", "node")
        said = [f"{part} {getattr(self, part)}" for part in parts]
        chosen = [words for words in said if not words.endswith((" *", "purpose any"))]
        return f"rule: {self.decision.value} {', '.join(chosen) or 'everything'}"


@dataclass(frozen=True, slots=True)
class Ruling:
    decision: Decision
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The first rule that matches, else what the node says, else the default."""

    default: Decision = Decision.ASK
    rules: tuple[Rule, ...] = ()
    nodes: tuple[tuple[str, Decision], ...] = ()  # guard = "…" of nodes and bastions, by name

    def rule_on(self, facts: SignatureFacts) -> Ruling:
        for rule in self.rules:
            if rule.matches(facts):
                return Ruling(rule.decision, str(rule))
        own = self._own(facts.node)
        if own is not None:
            return Ruling(own, f"guard of {facts.node}: {own.value}")
        return Ruling(self.default, f"default: {self.default.value}")

    def lends_key(self, node: str, key: str, comment: str) -> bool:
        """Whether a node may know of a key: whether any signature with it could be allowed."""
        for rule in self.rules:
            if rule.concerns(node) and rule.names_key(key, comment):
                if rule.decision is not Decision.DENY:
                    return True
                if rule.is_whole:
                    return False
        return (self._own(node) or self.default) is not Decision.DENY

    def _own(self, node: str) -> Decision | None:
        own = dict(self.nodes)
        return own.get(node) or own.get(node.partition("/")[0])


def _like(pattern: str, text: str) -> bool:
    """As ssh's own patterns (ssh_config(5), PATTERNS); brackets of `[host]:port` are no pattern."""
    if pattern == "*":
        return True
    source = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(source, text.lower(), re.DOTALL) is not None
