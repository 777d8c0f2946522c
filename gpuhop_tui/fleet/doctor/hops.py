"""One hop: name, TCP, banner, host key, login, by what its link says. No connection is made."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterator

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.fleet.doctor.finding import Finding, ok, problem, unchecked, warning
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.status import LinkState, LinkStatus

STEPS = ("name", "tcp", "banner", "host-key", "login")  # in the order of a login

_FAILS_AT = {
    ErrorKind.UNRESOLVED: "name",
    ErrorKind.UNREACHABLE: "tcp",
    ErrorKind.REFUSED: "tcp",
    ErrorKind.TIMEOUT: "tcp",
    ErrorKind.OVERLOADED: "banner",
    ErrorKind.HOST_KEY_UNKNOWN: "host-key",
    ErrorKind.HOST_KEY_CHANGED: "host-key",
    ErrorKind.AUTH_DENIED: "login",
    ErrorKind.AGENT_MISSING: "login",
    ErrorKind.AGENT_EMPTY: "login",
    ErrorKind.FORWARDING_DENIED: "forwarding",
}


def check_route(name: str, route: Route | Problem) -> Iterator[Finding]:
    """Whether the config leads anywhere."""
    if isinstance(route, Problem):
        yield problem("route", name, route.message, route.advice, "gpuhop-tui ssh-config")


def check_link(route: Route, status: LinkStatus, version: str | None) -> Iterator[Finding]:
    """Every step of the login of the last hop, up to the one that failed."""
    hop, fault = route.target, status.problem
    if status.state is LinkState.UP:
        if hop.proxy_command is None and not _is_address(hop.host):
            yield ok("name", hop.name, f"{hop.host} resolves")
        yield ok("tcp", hop.name, f"{hop.address} answers{_seconds(status)}")
        yield ok("banner", hop.name, version or "an SSH server")
        yield ok("host-key", hop.name, "its host key is the known one")
        yield ok("login", hop.name, f"logged in as {hop.user}")
        return
    if fault is None:
        waited = status.step or "the connection"
        for step in STEPS:
            yield unchecked(step, hop.name, f"still waiting for {waited}")
        return
    if fault.hop != hop.name:
        for step in STEPS:
            yield unchecked(step, hop.name, f"{fault.hop} is in the way: {fault.message}")
        return
    failed = _FAILS_AT.get(fault.kind, "login")
    if fault.kind is ErrorKind.TIMEOUT and status.step:
        failed = _step_of(status.step) or failed
    steps = STEPS[1:] if _is_address(hop.host) else STEPS
    for step in steps:
        if step == failed:
            yield problem(step, hop.name, fault.message, fault.advice, _mend(route, fault.kind))
        elif failed in STEPS and STEPS.index(step) < STEPS.index(failed):
            yield ok(step, hop.name, f"{_PASSED[step]} ({hop.address})")
        else:
            yield unchecked(step, hop.name, f"the step before failed ({failed})")


_PASSED = {
    "name": "its name resolves",
    "tcp": "it answers",
    "banner": "an SSH server",
    "host-key": "its host key is the known one",
}


def check_forwarding(route: Route, behind: list[LinkStatus], granted: bool | None) -> Finding:
    """Whether a bastion lets others through: by what happened to the links behind it, else by
    having asked. `granted` is the answer; None: not asked."""
    hop = route.target
    for status in behind:
        fault = status.problem
        denied = fault is not None and fault.kind is ErrorKind.FORWARDING_DENIED
        if fault is not None and denied and fault.hop == hop.name:
            return _denied(hop, fault.message)
    if any(status.state is LinkState.UP for status in behind):
        by = "a relay command" if hop.transport == "exec" else "TCP forwarding"
        return ok("forwarding", hop.name, f"leads on by {by}")
    if granted is None:
        return unchecked("forwarding", hop.name, "no host behind it was reached")
    return ok("forwarding", hop.name, "allows TCP forwarding") if granted else _denied(hop, "")


def check_node_forwarding(hop: Hop, granted: bool) -> Finding:
    """Whether a node lets ports be forwarded, which `p`, containers' sshds and editors need."""
    if granted:
        return ok("forwarding", hop.name, "allows TCP forwarding")
    return warning(
        "forwarding",
        hop.name,
        f"{hop.name} does not allow TCP forwarding",
        "forwarded ports, the sshd of containers and editors over SSH do not work there",
        f"on {hop.name}: set `AllowTcpForwarding yes` in /etc/ssh/sshd_config",
    )


def _denied(hop: Hop, message: str) -> Finding:
    return problem(
        "forwarding",
        hop.name,
        message or f"{hop.name} does not allow TCP forwarding",
        "AllowTcpForwarding, PermitOpen or DisableForwarding in its sshd_config forbids it",
        f'transport = "exec"  # for "{hop.name}" in the config',
    )


def check_sessions(hop: Hop, refused_after: int | None) -> Finding:
    """Whether there is room for a probe, shells and an engine on one connection."""
    if refused_after is None:
        return ok("sessions", hop.name, "opens as many sessions as gpuhop uses")
    return warning(
        "sessions",
        hop.name,
        f"the server opens {refused_after} session{'' if refused_after == 1 else 's'} at once",
        "MaxSessions in its sshd_config is below the default of 10: shells, lists and figures "
        "get in each other's way",
        f"on {hop.name}: set `MaxSessions 10` in /etc/ssh/sshd_config",
    )


def check_settings(hop: Hop) -> Iterator[Finding]:
    """Settings of ssh_config that weaken the login, or that are not followed here."""
    if "StrictHostKeyChecking" in hop.not_followed:
        yield warning(
            "host-key-checking",
            hop.name,
            "ssh_config has StrictHostKeyChecking no or accept-new for it",
            "ssh would log in to a server that nobody has checked; gpuhop asks all the same",
            f"ssh -G {shlex.quote(hop.host)} | grep -i stricthostkeychecking  # then set it to ask",
        )
    if "UserKnownHostsFile" in hop.not_followed:
        yield warning(
            "host-key-checking",
            hop.name,
            "ssh_config keeps no known_hosts file for it",
            "ssh would take any server for it; gpuhop uses ~/.ssh/known_hosts all the same",
            "remove UserKnownHostsFile from its entry in ~/.ssh/config",
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _seconds(status: LinkStatus) -> str:
    rtt = status.rtt_seconds
    return f", round trip {rtt * 1000:.0f} ms" if rtt is not None else ""


def _step_of(step: str) -> str | None:
    words = {"TCP": "tcp", "banner": "banner", "key": "host-key", "auth": "login"}
    return next((check for word, check in words.items() if word in step), None)


def _mend(route: Route, kind: ErrorKind) -> str:
    hop, parent = route.target, route.parent
    before = f"from {parent.target.name}: " if parent else ""
    login = f"{hop.user}@{hop.host}"
    port = f" -p {hop.port}" if hop.port != 22 else ""
    jump = f" -o ProxyJump={_jumps(parent)}" if parent else ""
    match kind:
        case ErrorKind.UNRESOLVED:
            return f"{before}getent hosts {shlex.quote(hop.host)}"
        case ErrorKind.HOST_KEY_CHANGED:
            name = hop.host_key_alias or (
                f"[{hop.host}]:{hop.port}" if hop.port != 22 else hop.host
            )
            return f"ssh-keygen -R {shlex.quote(name)}  # only if you know why it changed"
        case ErrorKind.HOST_KEY_UNKNOWN:
            return "gpuhop-tui  # shows the fingerprint and asks"
        case ErrorKind.AUTH_DENIED:
            return f"ssh-copy-id{port}{jump} {shlex.quote(login)}"
        case ErrorKind.AGENT_MISSING:
            return 'eval "$(ssh-agent)" && ssh-add'
        case ErrorKind.AGENT_EMPTY:
            return "ssh-add"
        case ErrorKind.REFUSED | ErrorKind.UNREACHABLE | ErrorKind.TIMEOUT | ErrorKind.OVERLOADED:
            return f"{before}nc -vz {shlex.quote(hop.host)} {hop.port}"
    return f"ssh -v{port}{jump} {shlex.quote(login)}"


def _jumps(way: Route) -> str:
    return ",".join(f"{hop.user}@{hop.host}:{hop.port}" for hop in way.hops)
