"""The doctor's judgement, without a network: each fault has a cause and a command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.cli.doctor import render_findings
from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.fleet.doctor import hops, remote
from gpuhop_tui.fleet.doctor.agent import check_agent, check_lending
from gpuhop_tui.fleet.doctor.engine import EngineLook, check_container_sshd, check_engine
from gpuhop_tui.fleet.doctor.finding import (
    Finding,
    Severity,
    grouped,
    ok,
    problem,
    report_findings,
    unchecked,
)
from gpuhop_tui.fleet.doctor.node import check_clock, check_disk, check_gpus, check_look
from gpuhop_tui.fleet.doctor.remote import Look
from gpuhop_tui.fleet.doctor.terminal import check_terminal
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.probe.sample import Gpu, Sample
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.agent import AgentStatus
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from gpuhop_tui.tui.render.doctor import doctor_page, doctor_title
from gpuhop_tui.tui.render.line import plain, width_of

HOP = Hop("gpu-01", "gpu.example.org", 2222, "ada")
ROUTE = Route((Hop("jump", "10.0.0.1", 22, "dev"), HOP))
GIB = 1 << 30


def severities(findings: list[Finding]) -> dict[str, Severity]:
    return {finding.check: finding.severity for finding in findings}


def down(kind: ErrorKind, hop: str = "gpu-01") -> LinkStatus:
    return LinkStatus(LinkState.DOWN, problem=Problem(hop, kind, "it happened", "do this"))


@pytest.mark.parametrize(
    ("kind", "check", "command"),
    [
        (ErrorKind.UNRESOLVED, "name", "from jump: getent hosts gpu.example.org"),
        (ErrorKind.REFUSED, "tcp", "from jump: nc -vz gpu.example.org 2222"),
        (ErrorKind.OVERLOADED, "banner", "nc -vz"),
        (ErrorKind.HOST_KEY_CHANGED, "host-key", "ssh-keygen -R '[gpu.example.org]:2222'"),
        (ErrorKind.HOST_KEY_UNKNOWN, "host-key", "gpuhop-tui"),
        (ErrorKind.AUTH_DENIED, "login", "ssh-copy-id -p 2222 -o ProxyJump=dev@10.0.0.1:22 ada@"),
        (ErrorKind.AGENT_EMPTY, "login", "ssh-add"),
        (ErrorKind.AGENT_MISSING, "login", "ssh-agent"),
    ],
)
def test_the_step_that_failed(kind: ErrorKind, check: str, command: str) -> None:
    found = list(hops.check_link(ROUTE, down(kind), None))
    failed = next(finding for finding in found if finding.severity is Severity.PROBLEM)
    assert (failed.check, failed.cause) == (check, "do this")
    assert command in failed.command
    at = hops.STEPS.index(check)
    assert [f.severity for f in found[:at]] == [Severity.OK] * at
    assert {f.severity for f in found[at + 1 :]} <= {Severity.UNCHECKED}


def test_a_bastion_that_is_down_makes_no_fault_of_what_is_behind() -> None:
    found = list(hops.check_link(ROUTE, down(ErrorKind.REFUSED, "jump"), None))
    assert set(severities(found).values()) == {Severity.UNCHECKED}
    assert "jump is in the way" in found[0].message


def test_a_link_that_is_still_on_its_way() -> None:
    status = LinkStatus(LinkState.CONNECTING, step="authentication")
    found = list(hops.check_link(ROUTE, status, None))
    assert set(severities(found).values()) == {Severity.UNCHECKED}


def test_settings_that_switch_host_keys_off() -> None:
    loose = replace(HOP, not_followed=("StrictHostKeyChecking", "UserKnownHostsFile"))
    assert len(list(hops.check_settings(loose))) == 2
    assert list(hops.check_settings(HOP)) == []


def test_the_agent() -> None:
    def judged(status: AgentStatus, *files: str) -> Finding:
        hop = replace(HOP, identity_files=tuple(map(Path, files)))
        return next(iter(check_agent(status, [Route((hop,))])))

    assert judged(AgentStatus(None, problem="no agent")).severity is Severity.PROBLEM
    assert judged(AgentStatus(None, problem="no agent"), "/k").severity is Severity.WARNING
    assert judged(AgentStatus("/s", problem="agent does not answer")).command.endswith("ssh-add -l")
    assert judged(AgentStatus("/s")).command == "ssh-add"


def test_a_bastion_that_is_lent_the_agent() -> None:
    lent = Route((replace(HOP, forward_agent=True),))
    assert "7 other users" in next(iter(check_lending(lent, 7))).message
    assert list(check_lending(ROUTE, 7)) == []


@pytest.mark.parametrize(
    ("ahead", "within", "severity"),
    [
        (None, 0.0, Severity.UNCHECKED),
        (0.4, 0.1, Severity.OK),
        (-1.9, 0.0, Severity.OK),
        (3.0, 0.1, Severity.WARNING),
        (-3.0, 0.1, Severity.WARNING),
        (3.0, 1.5, Severity.OK),  # half of a slow round trip explains it
        (-3600.0, 0.1, Severity.PROBLEM),
    ],
)
def test_the_clock(ahead: float | None, within: float, severity: Severity) -> None:
    look = Look(clock_ahead=ahead, clock_within=within)
    assert check_clock("n", look).severity is severity


def test_a_clock_that_tells_whole_seconds() -> None:
    seen = Look()
    remote._take_clock(seen, "gpuhop-clock 1000", 1000.9, 0.2)
    assert seen.clock_ahead is not None
    assert abs(seen.clock_ahead) <= seen.clock_within
    remote._take_clock(broken := Look(), "gpuhop-clock date: no such option", 1.0, 0.2)
    assert broken.clock_ahead is None


@given(st.text(max_size=60))
def test_what_a_node_says_never_raises(line: str) -> None:
    seen = Look()
    remote._take(seen, line)
    remote._take_clock(seen, line, 0.0, 0.1)
    list(check_look("n", seen))


def test_lines_of_a_node() -> None:
    seen = Look()
    for line in ("user ada", "python 3.11.2", "tmux tmux 3.3a", "who ada", "who bob", "who bob"):
        remote._take(seen, line)
    remote._take(seen, "disk 1000 10 /home/ada smith")
    assert (seen.python, seen.tmux, seen.others) == ("3.11.2", "3.3a", 1)
    assert seen.disks == {"/home/ada smith": (10 * 1024, 1000 * 1024)}


@pytest.mark.parametrize(
    ("python", "tmux", "expected"),
    [
        ("3.6.8", "3.2", ("ok", "ok")),
        ("3.5.2", "2.8", ("warning", "warning")),
        ("", "next-3.5", ("warning", "ok")),
        (None, None, ("warning", "warning")),
    ],
)
def test_tools(python: str | None, tmux: str | None, expected: tuple[str, str]) -> None:
    found = severities(list(check_look("n", Look(user="a", python=python, tmux=tmux))))
    assert (found["python"], found["tmux"]) == expected


def test_a_node_that_runs_no_commands_is_not_well() -> None:
    found = severities(list(check_look("n", Look(reason="it runs no commands"))))
    assert set(found.values()) == {Severity.UNCHECKED}
    assert set(found) == {"python", "tmux", "clock", "disk"}


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [
        (100 * GIB, 1000 * GIB, None),
        (10 * GIB, 1000 * GIB, Severity.WARNING),
        (GIB // 4, 1000 * GIB, Severity.PROBLEM),
        (0, 0, None),
    ],
)
def test_disks(free: int, total: int, severity: Severity | None) -> None:
    found = check_disk("n", "/", free, total)
    assert (found and found.severity) == severity


def test_gpus() -> None:
    node = NodeState("n", "a@n", link=LinkStatus(LinkState.UP))
    assert check_gpus(node).severity is Severity.UNCHECKED
    sample = Sample("nvml", 0.0, driver="550", gpus=(Gpu(0), Gpu(1, lost="fallen off the bus")))
    assert "GPU 1 (fallen off the bus)" in check_gpus(replace(node, sample=sample)).message
    well = replace(sample, gpus=(Gpu(0),))
    assert check_gpus(replace(node, sample=well)).message == "1 GPUs by nvml, driver 550"
    mismatch = Problem("n", ErrorKind.DRIVER_MISMATCH, "differ", "reboot")
    found = check_gpus(replace(node, sample=replace(well, problem=mismatch, gpus=())))
    assert found.severity is Severity.PROBLEM


@pytest.mark.parametrize(
    ("look", "programs", "has_gpus", "severity"),
    [
        (EngineLook("docker 27", gives_gpus=True), set(), True, Severity.OK),
        (EngineLook("docker 27"), {"nvidia-container-runtime-hook"}, True, Severity.OK),
        (EngineLook("docker 27"), set(), True, Severity.WARNING),
        (EngineLook("docker 27"), set(), False, Severity.UNCHECKED),
    ],
)
def test_gpus_for_containers(
    look: EngineLook, programs: set[str], has_gpus: bool, severity: Severity
) -> None:
    assert (
        severities(list(check_engine("n", look, programs, has_gpus)))["nvidia-runtime"] is severity
    )


def test_a_container_with_privileges() -> None:
    facts = {"Id": "1", "Name": "/mighty", "State": {"Status": "running"}}
    look = EngineLook("docker", containers=(read_container("n", facts),), privileged=frozenset("1"))
    found = next(f for f in check_engine("n", look, (), False) if f.check == "containers")
    assert "mighty runs with --privileged" in found.message
    assert found.severity is Severity.WARNING


def test_the_sshd_of_a_container() -> None:
    assert check_container_sshd("n", "t", 2222, ("publickey",)).severity is Severity.OK
    both = ("publickey", "password")
    assert check_container_sshd("n", "t", 2222, both).severity is Severity.WARNING


GOOD = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "en_GB.UTF-8"}


@pytest.mark.parametrize(
    ("changes", "tmux", "size", "message"),
    [
        ({}, None, (80, 24), ""),
        ({"TERM": "dumb"}, None, (80, 24), "TERM is dumb"),
        ({"COLORTERM": ""}, None, (80, 24), "true colour"),
        ({"NO_COLOR": "1"}, None, (80, 24), "NO_COLOR"),
        ({"LANG": "C"}, None, (80, 24), "locale is C"),
        ({"LC_ALL": "POSIX"}, None, (80, 24), "locale is POSIX"),
        ({}, None, (79, 24), "79×24"),
        ({}, {"set-clipboard": "off"}, (80, 24), "set-clipboard off"),
        ({}, {"set-clipboard": "external"}, (80, 24), "set-clipboard external"),
        ({}, {"set-clipboard": "on"}, (80, 24), ""),
    ],
)
def test_terminals(
    changes: dict[str, str], tmux: dict[str, str] | None, size: tuple[int, int], message: str
) -> None:
    found = list(check_terminal(GOOD | changes, tmux, size))
    faults = [finding for finding in found if finding.severity.is_finding]
    assert [message in fault.message for fault in faults] == [True] * bool(message)
    assert all(fault.command and fault.cause for fault in faults)


def test_output_that_is_no_terminal() -> None:
    assert severities(list(check_terminal(GOOD, None, None))) == {"terminal": Severity.UNCHECKED}


FINDINGS = [
    ok("config", "laptop", "fine"),
    problem("gpu", "gpu-01", "\x1b[31mbad " * 20, "because", "on gpu-01: mend --all"),
    unchecked("tmux", "gpu-02", "it was not reached"),
    unchecked("disk", "gpu-02", "it was not reached"),
]


def test_the_contract() -> None:
    report = report_findings(FINDINGS)
    assert (report["schema"], report["well"]) == (1, False)
    assert report["counts"] == {"ok": 1, "unchecked": 2, "warning": 0, "problem": 1}
    assert set(report["findings"][0]) == {
        "check", "subject", "severity", "message", "cause", "command",
    }  # fmt: skip
    assert report_findings(FINDINGS[2:])["well"]


def test_checks_that_nobody_made_are_one_line() -> None:
    assert [checks for checks, _ in grouped(FINDINGS)] == [("config",), ("gpu",), ("tmux", "disk")]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_report_fits_and_is_clean(width: int) -> None:
    text = render_findings(FINDINGS, width=width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "> on gpu-01: mend --all" in text
    assert text.endswith("1 well, 1 to mend, 2 not checked\n")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_page_fits_and_is_clean(width: int) -> None:
    page = doctor_page(FINDINGS, ["laptop", "gpu-01", "gpu-02"], width, only_bad=False)
    assert all(width_of(line) <= max(width, 43) for line in page.lines)
    assert "\x1b" not in "".join(map(plain, page.lines))
    assert [f for f in page.findings if f] == [FINDINGS[0], FINDINGS[1], FINDINGS[2]]
    only = doctor_page(FINDINGS, [], width, only_bad=True)
    assert {f.subject for f in only.findings if f} == {"gpu-01"}


def test_the_title() -> None:
    assert doctor_title(FINDINGS, running=True).startswith("doctor: checking…")
    assert "1 check well, 1 to mend, 2 not checked" in doctor_title(FINDINGS, running=False)
