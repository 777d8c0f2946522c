"""The lab itself: what it claims to be, it is."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncssh
import pytest

from tests.lab import keys
from tests.lab.fixtures import require_lab
from tests.lab.machine import Spec
from tests.lab.waiting import wait_until
from tests.lab.world import World

MakeWorld = Callable[..., World]

QUICK = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=2")


def test_node_is_reached_only_through_the_bastion(world: World) -> None:
    for node in world.nodes:
        direct = world.laptop.run(
            ["ssh", *QUICK, "-J", "none", node.name, "true"], check=False, timeout=10
        )
        assert direct.returncode == 255
        assert "Network is unreachable" in direct.stderr
        through = world.laptop.run(["ssh", *QUICK, node.name, "hostname; id -un"])
        assert through.stdout.split() == [node.name, "researcher"]


def test_explicit_jump_without_the_alias(world: World) -> None:
    bastion, node = world.bastion, world.nodes[1]
    done = world.laptop.run(
        ["ssh", *QUICK, "-F", "none", "-J", f"{bastion.user}@{bastion.address}",
         f"{node.user}@{node.address}", "hostname"],
    )  # fmt: skip
    assert done.stdout.strip() == node.name


def test_no_route_leads_to_the_nodes(world: World) -> None:
    """Not even with a gateway set by hand: the bastion forwards no packets."""
    laptop, node = world.laptop, world.nodes[0]
    laptop.run(["ip", "route", "add", "10.90.1.0/24", "via", world.bastion.address])
    try:
        shell = f"exec 3<>/dev/tcp/{node.address}/22 && echo open"
        done = laptop.run(["timeout", "2", "bash", "-c", shell], check=False)
        assert done.returncode != 0
        assert "open" not in done.stdout
    finally:
        laptop.run(["ip", "route", "del", "10.90.1.0/24"])


def test_agent_is_forwarded_when_asked_and_only_then(world: World) -> None:
    lent = world.laptop.run(["ssh", *QUICK, "-A", "gpu-01", "ssh-add -l"])
    assert world.laptop.key.fingerprint in lent.stdout
    kept = world.laptop.run(["ssh", *QUICK, "gpu-01", "ssh-add -l"], check=False)
    assert kept.returncode == 2  # no agent to talk to


def test_nested_ssh_signs_with_the_laptops_key(world: World) -> None:
    other = world.nodes[1]
    nested = f"ssh -o StrictHostKeyChecking=no {other.address} hostname"
    done = world.laptop.run(["ssh", *QUICK, "-A", "gpu-01", nested])
    assert done.stdout.strip() == other.name


def test_cut_is_silent_and_heals(fresh_world: World) -> None:
    laptop, bastion = fresh_world.laptop, fresh_world.bastion
    with laptop.popen(
        ["ssh", *QUICK, "gpu-01", "while read -r line; do echo $line; done"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as session:
        assert _says(session, "one") == "one\n"
        laptop.cut(bastion)
        late = laptop.run(["ssh", *QUICK, "bastion", "true"], check=False)
        assert "timed out" in late.stderr
        assert session.poll() is None
        laptop.heal()
        assert _says(session, "two") == "two\n"  # TCP carries on
        assert session.stdin is not None
        session.stdin.close()


def _says(session: subprocess.Popen[str], line: str) -> str:
    assert session.stdin is not None
    assert session.stdout is not None
    print(line, file=session.stdin, flush=True)
    return session.stdout.readline()


def test_link_down_is_known_at_once_and_comes_up(fresh_world: World) -> None:
    laptop = fresh_world.laptop
    laptop.link_down()
    start = time.monotonic()
    down = laptop.run(["ssh", *QUICK, "bastion", "true"], check=False)
    assert "unreachable" in down.stderr
    assert time.monotonic() - start < 1.5
    laptop.link_up()
    laptop.run(["ssh", "-o", "ConnectTimeout=10", "bastion", "true"])


def test_laptop_gets_another_address(fresh_world: World) -> None:
    laptop = fresh_world.laptop
    laptop.readdress("10.90.0.77")
    done = laptop.run(["ssh", *QUICK, "bastion", "echo $SSH_CLIENT"])
    assert done.stdout.split()[0] == "10.90.0.77"


def test_stopped_sshd_refuses_and_restarts(fresh_world: World) -> None:
    laptop, node = fresh_world.laptop, fresh_world.nodes[2]
    with laptop.popen(["ssh", *QUICK, "gpu-03", "cat"], stdin=subprocess.PIPE) as session:
        wait_until(lambda: node.sshd.connections() == 1, "the session")
        node.sshd.stop()
        refused = laptop.run(["ssh", *QUICK, "gpu-03", "true"], check=False)
        assert "refused" in refused.stderr or "closed" in refused.stderr
        assert session.poll() is None  # open connections outlive the listener
        node.sshd.start()
        laptop.run(["ssh", *QUICK, "gpu-03", "true"])
        node.sshd.kill()
        assert session.wait(timeout=10) == 255
    node.sshd.start()
    laptop.run(["ssh", *QUICK, "gpu-03", "true"])


def test_what_was_left_running_outlives_the_sshd(fresh_world: World) -> None:
    laptop, node = fresh_world.laptop, fresh_world.nodes[0]
    laptop.run(["ssh", *QUICK, "gpu-01", "tmux new-session -d -s train 'sleep 600'"])
    node.sshd.restart()
    listed = laptop.run(["ssh", *QUICK, "gpu-01", "tmux ls -F '#{session_name}'"])
    assert listed.stdout == "train\n"


def test_machines_boot_again(fresh_world: World) -> None:
    laptop, node = fresh_world.laptop, fresh_world.nodes[0]
    laptop.run(["ssh", *QUICK, "gpu-01", "touch kept; touch /tmp/gone"])
    node.power_off()
    assert laptop.run(["ssh", *QUICK, "gpu-01", "true"], check=False).returncode == 255
    fresh_world.boot(node)
    done = laptop.run(["ssh", *QUICK, "gpu-01", "ls; ls /tmp"])
    assert done.stdout.split() == ["kept"]


def test_frozen_machine_answers_nothing_until_thawed(fresh_world: World) -> None:
    laptop = fresh_world.laptop
    fresh_world.bastion.freeze()
    assert "timed out" in laptop.run(["ssh", *QUICK, "bastion", "true"], check=False).stderr
    fresh_world.bastion.thaw()
    laptop.run(["ssh", *QUICK, "bastion", "true"])


def test_changed_host_key_is_noticed(fresh_world: World) -> None:
    laptop, node = fresh_world.laptop, fresh_world.nodes[0]
    before = node.sshd.host_key.fingerprint
    node.sshd.rotate_host_key(kind="rsa")
    assert node.sshd.host_key.fingerprint != before
    node.sshd.rotate_host_key()
    done = laptop.run(["ssh", *QUICK, "gpu-01", "true"], check=False)
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_known_hosts_can_be_hashed(fresh_world: World) -> None:
    laptop = fresh_world.laptop
    laptop.distrust()
    unknown = laptop.run(["ssh", *QUICK, "gpu-01", "true"], check=False)
    assert "Host key verification failed" in unknown.stderr
    laptop.trust((machine.sshd for machine in fresh_world.machines), hashed=True)
    assert all(line.startswith("|1|") for line in laptop.known_hosts.read_text().splitlines())
    laptop.run(["ssh", *QUICK, "gpu-01", "true"])


def test_machines_as_specified(make_world: MakeWorld) -> None:
    """A chain of two bastions, a port, an environment, sshd's options, programs that are absent."""
    world = make_world(
        bastions=[
            Spec("outer", sshd={"AllowTcpForwarding": "no"}, hide=("nc*", "python3*")),
            Spec("inner", via="outer"),
        ],
        nodes=[
            Spec("beside", via="outer"),
            Spec("deep", via="inner", user="gpu-user", port=2222, env={"COLOUR": "deep blue"}),
        ],
    )
    laptop = world.laptop
    denied = laptop.run(["ssh", *QUICK, "deep", "true"], check=False)
    assert "administratively prohibited" in denied.stderr
    lacking = laptop.run(["ssh", *QUICK, "outer", "which nc; which python3"], check=False)
    assert (lacking.returncode, lacking.stdout) == (1, "")

    world["outer"].sshd.options.clear()
    world["outer"].sshd.restart()
    done = laptop.run(["ssh", *QUICK, "deep", "hostname; id -un; echo $COLOUR; which python3"])
    assert done.stdout.splitlines() == ["deep", "gpu-user", "deep blue", "/usr/bin/python3"]


def test_homes_are_each_machines_own(fresh_world: World) -> None:
    node = fresh_world.nodes[0]
    node.write(".bashrc", "echo noise\n")
    node.install("greet", "#!/bin/sh\necho hello\n")
    said = fresh_world.laptop.run(["ssh", *QUICK, "gpu-01", "greet"])
    assert said.stdout.split() == ["noise", "hello"]
    quiet = fresh_world.laptop.run(["ssh", *QUICK, "gpu-02", "which greet"], check=False)
    assert quiet.stdout == ""

    node.home_writable(False)
    full = fresh_world.laptop.run(["ssh", *QUICK, "gpu-01", "touch x"], check=False)
    assert "Read-only file system" in full.stderr
    node.home_writable(True)
    fresh_world.laptop.run(["ssh", *QUICK, "gpu-01", "touch x"])
    assert node.run(node.as_user(["stat", "-c", "%U", "x"])).stdout == "researcher\n"


_LOOK = """
import ctypes
library = ctypes.CDLL("libnvidia-ml.so.1")
count = ctypes.c_uint()
assert library.nvmlInit_v2() == 0
assert library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
print(count.value)
"""


def test_sessions_find_the_stand_in_gpus(fresh_world: World) -> None:
    laptop, node = fresh_world.laptop, fresh_world.nodes[0]
    look = ["ssh", *QUICK, node.name, "python3 -"]
    assert laptop.run(look, input=_LOOK).stdout == "2\n"
    node.gpus.set(count=1)
    assert laptop.run(look, input=_LOOK).stdout == "1\n"
    none = laptop.run(["ssh", *QUICK, "bastion", "python3 -"], input=_LOOK, check=False)
    assert "cannot open shared object file" in none.stderr


async def test_second_factor_by_keyboard_interactive(make_world: MakeWorld) -> None:
    pam = "auth required pam_unix.so\naccount required pam_permit.so\n"
    spec = Spec(
        "bastion",
        password="correct horse",
        pam=pam,
        sshd={"AuthenticationMethods": "publickey,keyboard-interactive"},
    )
    world = make_world(bastions=[spec], nodes=0)

    class Client(asyncssh.SSHClient):
        def kbdint_auth_requested(self) -> str:
            return ""

        def kbdint_challenge_received(
            self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
        ) -> list[str]:
            return ["correct horse" for _ in prompts]

    with world.laptop.entered():
        async with asyncssh.connect(
            world.bastion.address,
            username="researcher",
            known_hosts=str(world.laptop.known_hosts),
            client_keys=[str(world.laptop.key.path)],
            client_factory=Client,
            config=None,
        ) as connection:
            assert (await connection.run("hostname")).stdout == "bastion\n"


def test_certificates_of_users(fresh_world: World) -> None:
    laptop, bastion = fresh_world.laptop, fresh_world.bastion
    authority = keys.generate(fresh_world.directory / "authority")
    key = keys.generate(laptop.ssh_dir / "certified")
    keys.certify(key, authority, principals=["researcher"])
    (bastion.directory / "authority.pub").write_text(authority.public + "\n")
    bastion.authorize()
    bastion.sshd.options["TrustedUserCAKeys"] = "/opt/lab/authority.pub"
    bastion.sshd.restart()
    assert laptop.run(["ssh", *QUICK, "bastion", "true"], check=False).returncode == 255
    laptop.agent.clear()
    laptop.agent.add(key)
    laptop.run(["ssh", *QUICK, "bastion", "true"])


def test_agent_takes_encrypted_keys(fresh_world: World) -> None:
    laptop = fresh_world.laptop
    key = keys.generate(laptop.ssh_dir / "locked", passphrase="open sesame")
    laptop.agent.add(key, "-t", "60")
    assert laptop.agent.fingerprints() == [laptop.key.fingerprint, key.fingerprint]
    laptop.agent.clear()
    assert laptop.agent.fingerprints() == []


def test_ssh_of_the_laptop_takes_its_home_for_home(world: World) -> None:
    """Real ssh ignores $HOME; the laptop's looks into the lab's home, includes and all."""
    laptop = world.laptop
    resolved = laptop.run(["ssh", "-G", "gpu-02"]).stdout.splitlines()
    assert f"hostname {world['gpu-02'].address}" in resolved
    extra = laptop.ssh_dir / "extra"
    extra.write_text("Host included\n    HostName 10.9.8.7\n")
    try:
        inline = laptop.home / "config-with-include"
        inline.write_text("Include extra\n")
        found = laptop.run(["ssh", "-F", inline, "-G", "included"])
        assert "hostname 10.9.8.7" in found.stdout
    finally:
        extra.unlink()


async def test_asyncssh_in_this_process_starts_from_the_laptop(world: World) -> None:
    before = dict(os.environ)
    with world.laptop.entered():
        assert os.environ["HOME"] == str(world.laptop.home)
        async with (
            asyncssh.connect(world.bastion.address, username="researcher", config=None) as bastion,
            bastion.connect_ssh(world.nodes[0].address, username="researcher", config=None) as node,
        ):
            assert (await node.run("hostname")).stdout == "gpu-01\n"
            client = str((await bastion.run("echo $SSH_CLIENT")).stdout)
            assert client.split()[0] == world.laptop.address
    assert dict(os.environ) == before


async def test_programs_on_an_event_loop(world: World) -> None:
    done = await world.laptop.arun(["ssh", *QUICK, "gpu-03", "hostname"])
    assert done.stdout == "gpu-03\n"
    with pytest.raises(TimeoutError):
        await world.laptop.arun(["sleep", "60"], timeout=0.2)


def test_two_worlds_know_nothing_of_one_another(world: World, fresh_world: World) -> None:
    assert world["gpu-01"].address == fresh_world["gpu-01"].address
    fresh_world["gpu-01"].sshd.kill()
    world.laptop.run(["ssh", *QUICK, "gpu-01", "true"])


def test_forty_nodes(make_world: MakeWorld) -> None:
    world = make_world(nodes=40)
    assert world.laptop.run(["ssh", *QUICK, "gpu-40", "hostname"]).stdout == "gpu-40\n"


def test_without_a_lab_tests_are_skipped_but_not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.lab.fixtures.missing", lambda: "the lab needs root")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs root"):
        require_lab()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs root"):
        require_lab()


def test_entering_is_for_this_thread_only(world: World) -> None:
    def namespace() -> str:
        return str(Path("/proc/thread-self/ns/net").readlink())

    outside = namespace()
    entered, done = threading.Event(), threading.Event()
    inside: list[str] = []

    def visit() -> None:
        with world.laptop.entered():
            inside.append(namespace())
            entered.set()
            done.wait(10)

    thread = threading.Thread(target=visit)
    thread.start()
    assert entered.wait(10)
    assert namespace() == outside
    done.set()
    thread.join()
    assert inside[0] != outside
