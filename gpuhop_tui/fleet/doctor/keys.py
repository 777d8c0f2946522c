"""The person's keys: old, weak, or lying about without a passphrase."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gpuhop_tui.fleet.doctor.finding import LAPTOP, Finding, ok, problem, unchecked, warning
from gpuhop_tui.ssh.key_care import KeysView, key_findings


def check_keys(view: KeysView, now: float, home: Path) -> Iterator[Finding]:
    """What is not well with the keys of ~/.ssh and of the agent. `now`: seconds since the epoch.

    Permissions and whether the agent answers are checks of their own.
    """
    faults = [
        fault
        for fault in key_findings(view, now, home=home)
        if fault.subject != "agent" and not fault.command.startswith("chmod")
    ]
    for fault in faults:
        judge = problem if "broken" in fault.message or "expired" in fault.message else warning
        why = "a key is worth what protects it" if judge is warning else "servers refuse it"
        yield judge("keys", LAPTOP, f"{fault.subject}: {fault.message}", why, fault.command)
    if faults:
        return
    if not view.files and not view.held:
        yield unchecked("keys", LAPTOP, "there is no key in ~/.ssh, and none in the agent")
        return
    kinds = sorted(
        {key.facts.kind for key in view.held} | {f.facts.kind for f in view.files if f.facts}
    )
    yield ok("keys", LAPTOP, f"strong, and protected: {', '.join(kinds) or 'locked files'}")
