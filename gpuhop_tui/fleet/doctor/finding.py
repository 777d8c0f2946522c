"""What the doctor says: one finding a check, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SCHEMA = 1
LAPTOP = "laptop"  # the subject of what is on this machine


class Severity(StrEnum):
    """How it stands. `UNCHECKED` says that nobody knows, and is never taken for well."""

    OK = "ok"
    UNCHECKED = "unchecked"
    WARNING = "warning"  # works, but not as well or as safely as it could
    PROBLEM = "problem"  # something does not work

    @property
    def is_finding(self) -> bool:
        """Whether somebody should do something."""
        return self in (Severity.WARNING, Severity.PROBLEM)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check of one hop."""

    check: str  # a stable word, such as "clock"
    subject: str  # name of the bastion or node, or "laptop"
    severity: Severity
    message: str  # what was found
    cause: str = ""  # why it is so or matters, where that is not plain
    command: str = ""  # what mends it, to be typed; it says where, unless that is the laptop


def counted(count: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def ok(check: str, subject: str, message: str) -> Finding:
    return Finding(check, subject, Severity.OK, message)


def unchecked(check: str, subject: str, reason: str) -> Finding:
    return Finding(check, subject, Severity.UNCHECKED, f"not checked: {reason}")


def warning(check: str, subject: str, message: str, cause: str, command: str) -> Finding:
    return Finding(check, subject, Severity.WARNING, message, cause, command)


def problem(check: str, subject: str, message: str, cause: str, command: str) -> Finding:
    return Finding(check, subject, Severity.PROBLEM, message, cause, command)


def grouped(findings: Iterable[Finding]) -> list[tuple[tuple[str, ...], Finding]]:
    """To be shown: checks that nobody made for one reason as one, with all their words."""
    groups: list[tuple[tuple[str, ...], Finding]] = []
    places: dict[tuple[str, str], int] = {}
    for finding in findings:
        key = finding.subject, finding.message
        if finding.severity is Severity.UNCHECKED and key in places:
            checks, first = groups[places[key]]
            groups[places[key]] = (*checks, finding.check), first
        else:
            places[key] = len(groups)
            groups.append(((finding.check,), finding))
    return groups


def report_findings(findings: Iterable[Finding]) -> dict[str, Any]:
    """The contract of `doctor --json`: how many of each severity, and every finding."""
    listed = list(findings)
    counts = {each.value: sum(f.severity is each for f in listed) for each in Severity}
    return {
        "schema": SCHEMA,
        "well": not any(f.severity.is_finding for f in listed),
        "counts": counts,
        "findings": [{**asdict(f), "severity": f.severity.value} for f in listed],
    }
