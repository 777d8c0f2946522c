"""The doctor on real parts: one thing is broken on each node, and named with what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.fixtures import require_lab
from tests.lab.machine import Spec
from tests.lab.nvml import LIB_RM_VERSION_MISMATCH
from tests.lab.waiting import wait_until
from tests.lab.world import World

Json = dict[str, Any]

AHEAD = """#!/bin/sh
exec /bin/date -d "+90 seconds" "$@"
"""
FAR_DISK = """#!/bin/sh
echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
echo "/dev/sda1 1000000000 999900000 100000 100% /"
"""
ROOTS_SOCKET = """
import os, socket, time
here = socket.socket(socket.AF_UNIX)
here.bind("/opt/lab/docker.sock")
os.chmod("/opt/lab/docker.sock", 0o660)
here.listen()
time.sleep(600)
"""
# The user database says the same home as $HOME, as on any laptop.
AT_HOME = ["unshare", "--mount", "sh", "-c"]
AT_HOME += ['mount --bind "$1/../passwd" /etc/passwd && shift && exec "$@"', "sh"]
NO_ENGINE = ("docker*",)
PASSWORDS = {"PasswordAuthentication": "yes"}


@dataclass
class Ward:
    """The world, and what the doctor said of all of it, by (subject, check)."""

    world: World
    status: int
    found: dict[tuple[str, str], Json]


@pytest.fixture(scope="module")
def ward() -> Iterator[Ward]:
    require_lab()
    nodes = [
        Spec("well", via="bastion", gpus=2, hide=NO_ENGINE),
        Spec("no-python", via="bastion", hide=("python3*", *NO_ENGINE)),
        Spec("no-tmux", via="bastion", gpus=1, hide=("tmux", *NO_ENGINE)),
        Spec("one-session", via="bastion", gpus=1, sshd={"MaxSessions": "1"}, hide=NO_ENGINE),
        Spec(
            "no-forward", via="bastion", gpus=1, sshd={"AllowTcpForwarding": "no"}, hide=NO_ENGINE
        ),
        Spec("mismatch", via="bastion", gpus=1, hide=NO_ENGINE),
        Spec("late", via="bastion", gpus=1, hide=NO_ENGINE),
        Spec("full", via="bastion", gpus=1, hide=NO_ENGINE),
        Spec("no-docker", via="bastion", gpus=1),
        Spec("stranger", via="bastion"),
        Spec("refused", via="bastion"),
        Spec("behind-strict", via="strict"),
    ]
    bastions = [Spec("bastion"), Spec("strict", sshd={"AllowTcpForwarding": "no"})]
    with World(bastions, nodes) as world:
        _break(world)
        status, findings = doctor(world)
        yield Ward(world, status, {(f["subject"], f["check"]): f for f in findings})


def _break(world: World) -> None:
    laptop = world.laptop
    laptop.run(["ssh-keygen", "-q", "-p", "-N", "a passphrase", "-P", "", "-f", laptop.key.path])
    for code in ("nvmlInit", "nvmlInitWithFlags"):
        world["mismatch"].gpus.fail(code, LIB_RM_VERSION_MISMATCH)
    world["late"].install("date", AHEAD)
    world["full"].install("df", FAR_DISK)
    socket = world["no-docker"].directory / "docker.sock"
    world["no-docker"].popen(["python3", "-c", ROOTS_SOCKET])
    wait_until(socket.exists, "the engine's socket")
    world["stranger"].authorize("# nobody")
    world["refused"].sshd.stop()
    world["well"].add_sshd(2222, options=PASSWORDS).start()
    config = world.config(
        templates=[
            {"name": "pytorch-ssh", "image": "i", "ports": ["2222:22"], "ssh_port": 2222},
        ]
    )
    for entry in config["bastions"]:
        entry["forward_agent"] = entry["name"] == "bastion"
    for entry in config["nodes"]:
        if entry["name"] == "no-docker":
            entry["docker_socket"] = "/opt/lab/docker.sock"
    laptop.write_config(config)


def doctor(world: World, *arguments: str) -> tuple[int, list[Json]]:
    command = ["gpuhop-tui", "doctor", "--json", "--timeout", "60", *arguments]
    done = world.laptop.run([*AT_HOME, world.laptop.home, *command], check=False)
    assert "Traceback" not in done.stderr
    answer = json.loads(done.stdout)
    assert answer["schema"] == 1
    assert answer["well"] == (done.returncode == 0)
    return done.returncode, answer["findings"]


BROKEN = [
    ("bastion", "agent-forwarding", "warning", "lent to the bastion", "forward_agent = false"),
    ("strict", "forwarding", "problem", "does not allow TCP", 'transport = "exec"'),
    ("no-python", "python", "warning", "no python3", "install python3"),
    ("no-tmux", "tmux", "warning", "no tmux", "install tmux"),
    ("one-session", "sessions", "warning", "1 session at once", "MaxSessions 10"),
    ("no-forward", "forwarding", "warning", "not allow TCP", "AllowTcpForwarding yes"),
    ("mismatch", "gpu", "problem", "version", "reboot"),
    ("late", "clock", "problem", "ahead", "set-ntp"),
    ("full", "disk", "problem", "0.1 of", "du -x"),
    ("no-docker", "docker", "problem", "may not open", "usermod -aG docker"),
    ("stranger", "login", "problem", "accepted none", "ssh-copy-id -o ProxyJump="),
    ("refused", "tcp", "problem", "refuses connections", "from bastion: nc -vz"),
    ("well", "container-sshd", "warning", "takes passwords", "PasswordAuthentication no"),
]


@pytest.mark.parametrize(
    ("subject", "check", "severity", "message", "command"), BROKEN, ids=lambda word: str(word)[:20]
)
def test_what_is_broken_is_named_with_its_mend(
    ward: Ward, subject: str, check: str, severity: str, message: str, command: str
) -> None:
    found = ward.found[subject, check]
    assert found["severity"] == severity
    assert message in found["message"]
    assert command in found["command"]
    assert found["cause"]
    assert ward.status == 1


def test_nothing_else_is_found(ward: Ward) -> None:
    named = {(subject, check) for subject, check, *_ in BROKEN}
    others = {
        key
        for key, finding in ward.found.items()
        if finding["severity"] in ("warning", "problem") and key not in named
    }
    assert others == {("no-python", "gpu")}  # it has no GPU, and without python none is looked for


def test_what_was_not_reached_is_not_well(ward: Ward) -> None:
    for subject in ("stranger", "refused", "behind-strict"):
        for check in ("python", "tmux", "gpu", "clock", "disk", "docker"):
            assert ward.found[subject, check]["severity"] == "unchecked"
    assert "strict" in ward.found["behind-strict", "login"]["message"]


def test_a_well_node_is_well(ward: Ward) -> None:
    for check in ("login", "forwarding", "sessions", "python", "tmux", "clock", "disk", "gpu"):
        assert ward.found["well", check]["severity"] == "ok", ward.found["well", check]


def test_a_well_fleet_exits_0_and_breaking_the_laptop_does_not(ward: Ward) -> None:
    laptop = ward.world.laptop
    config = ward.world.config()
    laptop.write_config(config)
    status, findings = doctor(ward.world, "well")
    assert status == 0, [f for f in findings if f["severity"] in ("warning", "problem")]

    laptop.key.path.chmod(0o644)
    laptop.known_hosts.chmod(0o666)
    status, findings = doctor(ward.world, "well")
    mends = [f["command"] for f in findings if f["check"] == "permissions"]
    assert status == 1
    assert f"chmod 600 {laptop.key.path}" in mends
    assert f"chmod go-w {laptop.known_hosts}" in mends


def test_a_config_that_is_wrong_is_no_finding(ward: Ward) -> None:
    path = ward.world.laptop.write_config({"nodes": [{"name": "x"}]}, ward.world.laptop.home / "c")
    done = ward.world.laptop.run(["gpuhop-tui", "doctor", "--config", path], check=False)
    assert done.returncode == 2
    assert "needs `host` or `ssh`" in done.stderr
