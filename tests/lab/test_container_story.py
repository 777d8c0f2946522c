"""A working day with a container, from the dashboard alone: the key's passphrase once, the preset
built on a node behind the bastion, two GPUs picked, a job in tmux that a cut link does not hurt, a
login by SSH, and a push with the laptop's key from inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.lab.dashboard import Terminal, dashboard
from tests.lab.docker.dockerd import BASE
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.hop_driving import tmux
from tests.lab.machine import Machine
from tests.lab.test_dashboard_new_container import READY, UUID
from tests.lab.waiting import wait_until

PASSPHRASE = "open sesame"
PROMPT = r"bash-\S+#"
IMAGE = "pytorch-ssh:2.8"
TEMPLATE = {
    "name": "torch",
    "image": IMAGE,
    "gpus": "pick",
    "forward_agent": True,
    "build": {"preset": "pytorch-ssh", "base": BASE},
}
JOB = 'i=0; while sleep 0.1; do i=$((i+1)); echo "step $i loss 0.$i"; done\n'
SSH = "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


@pytest.fixture
def with_a_locked_key(docker_world: DockerWorld) -> Iterator[DockerWorld]:
    """The laptop's key has a passphrase, and its agent holds nothing."""
    laptop = docker_world.world.laptop
    change = ["ssh-keygen", "-q", "-p", "-f", str(laptop.key.path)]
    laptop.run([*change, "-P", "", "-N", PASSPHRASE])
    laptop.agent.clear()
    yield docker_world
    laptop.run([*change, "-P", PASSPHRASE, "-N", ""])
    laptop.agent.clear()
    laptop.agent.add(laptop.key)


@contextmanager
def repository(docker_world: DockerWorld, machine: Machine, address: str) -> Iterator[str]:
    """A bare one on this machine, which the containers of gpu-01 reach; yields its URL."""
    node = docker_world.world["gpu-01"]
    path = f"/home/{machine.user}/work.git"
    way = ["172.17.0.0/16", "via", str(node.address)]
    machine.run(["ip", "route", "add", *way])
    machine.run(machine.as_user(["git", "init", "-q", "--bare", "-b", "main", path]))
    try:
        yield f"ssh://{machine.user}@{address}{path}"
    finally:
        machine.run(["rm", "-rf", path])
        machine.run(["ip", "route", "del", *way])


def steps(screen: str) -> list[int]:
    return [int(number) for number in re.findall(r"(?m)^step (\d+) loss", screen)]


def detach(terminal: Terminal) -> None:
    terminal.press("C-]")
    terminal.shows("d detach")
    terminal.press("d")
    terminal.shows(READY, "runs on")


def test_from_the_preset_to_a_push(with_a_locked_key: DockerWorld) -> None:
    docker_world = with_a_locked_key
    world = docker_world.world
    node, other, bastion = world["gpu-01"], world["gpu-02"], world.bastion
    node.write("work/train.py", JOB)
    config = world.config(templates=[TEMPLATE])
    config["nodes"][0]["forward_agent"] = True
    config["agent"] = {"guard": {"rules": [{"decision": "allow", "destination": "gpu-02"}]}}
    path = world.laptop.home / "story.toml"
    world.laptop.write_config(config, path)
    with (
        repository(docker_world, other, other.address) as allowed,
        repository(docker_world, bastion, bastion.interfaces[1].address) as asked,
        dashboard(world, command=f"gpuhop-tui --config {path}") as terminal,
    ):
        try:
            unlock(terminal)
            start(terminal)
            as_the_form_said(docker_world)
            train(terminal, docker_world)
            enter_by_ssh(terminal)
            push(terminal, allowed, asked)
            for machine in (other, bastion):
                told = ["git", "-C", f"/home/{machine.user}/work.git", "log", "--format=%s", "main"]
                assert machine.run(machine.as_user(told)).stdout == "one\n"
            terminal.press("q")
        finally:
            tmux(node, "kill-server", check=False)


def unlock(terminal: Terminal) -> None:
    terminal.shows("Passphrase", "bastion wants the key .*id_ed25519")
    terminal.press("-l", PASSPHRASE)
    terminal.press("Enter")
    terminal.shows(READY, "agent: 1 key")


def start(terminal: Terminal) -> None:
    """The image is built on the way."""
    terminal.press("n")
    terminal.shows("New container on gpu-01", r"\[ \] +0 ", "agent +.x. lent inside")
    terminal.shows(f"no image {IMAGE}: it", "built first, from the preset")
    terminal.press("Down", "Space", "Down", "Down", "Space")
    terminal.shows(r"\[x\] +1 ", r"\[x\] +3 ", "Nothing stands in the way")
    for field, text in (
        ("shm size", "2gb"),
        ("ports", "2222:22"),
        ("volumes", "~/work:/work"),
        ("SSH port", "2222"),
    ):
        go_to(terminal, field)
        terminal.press(text)
    terminal.shows(r"SSH port +2222", "Nothing stands in the way", "--shm-size 2g", "-p 2222:22")
    terminal.press("C-s")
    terminal.shows(r"step \d/9")
    terminal.shows("torch runs  GPUs 1,3  2222→22", timeout=40)
    terminal.shows(r"torch +running +\S+ +1,3")


def go_to(terminal: Terminal, field: str) -> None:
    while (before := focused(terminal)) != field:
        terminal.press("Tab")
        wait_until(partial(moved, terminal, before), "the next field")


def moved(terminal: Terminal, before: str) -> bool:
    return focused(terminal) != before


def focused(terminal: Terminal) -> str:
    """The label of the field that is typed into; empty: none of them."""
    found = re.search(r"› (\S+( \S+)?) ", terminal.screen())
    return found[1] if found else ""


def as_the_form_said(docker_world: DockerWorld) -> None:
    facts = docker_world.dockerd.inspect("torch")
    host, home = facts["HostConfig"], f"/home/{docker_world.world['gpu-01'].user}"
    (request,) = host["DeviceRequests"]
    assert request["DeviceIDs"] == [UUID.format(1), UUID.format(3)]
    assert request["Capabilities"] == [["gpu"]]
    assert host["ShmSize"] == 2 << 30
    assert host["PortBindings"] == {"22/tcp": [{"HostIp": "", "HostPort": "2222"}]}
    work, agent = host["Binds"]
    assert work == f"{home}/work:/work"
    assert re.fullmatch(rf"{home}/\.cache/gpuhop-tui/\S+:/run/gpuhop-agent", agent)
    labels = facts["Config"]["Labels"]
    assert {key: labels[key] for key in labels if key.startswith("gpuhop.")} == {
        "gpuhop.template": "torch",
        "gpuhop.user": docker_world.world["gpu-01"].user,
        "gpuhop.ssh-port": "2222",
    }


def train(terminal: Terminal, docker_world: DockerWorld) -> None:
    """A job in tmux inside outlives the link, the view of it too, and it is listed."""
    laptop = docker_world.world.laptop
    terminal.press("Enter")
    terminal.shows(PROMPT)
    terminal.press("tmux new -s train sh /work/train.py", "Enter")
    terminal.shows(r"(?m)^step 5 loss", r"\[train\]")
    laptop.cut()
    away = steps(terminal.shows("gpu-01 lost", timeout=30))
    laptop.heal()
    now = wait_until(
        lambda: [number for number in steps(terminal.screen()) if number > away[-1]],
        "the job's next steps",
    )
    assert now == list(range(now[0], now[-1] + 1)), "the screen is whole"
    detach(terminal)
    terminal.press("3")
    terminal.shows(r"train in torch +\S+", r"step \d+ loss")


def enter_by_ssh(terminal: Terminal) -> None:
    terminal.press("2")
    terminal.shows(r"torch +running")
    terminal.press("2", "E")
    terminal.shows("Hop into torch on gpu-01", "› user", r"\[ \] by its own SSH server, port 2222")
    terminal.press("Tab", "Tab", "Space")
    terminal.shows(r"\[x\] by its own")
    terminal.press("Enter")
    terminal.shows(PROMPT)  # no passphrase, no question for the host key
    terminal.press("clear; echo by ${SSH_CONNECTION##* }; tmux -L default ls", "Enter")
    terminal.shows("(?m)^by 22$", "(?m)^train: 1 windows")
    detach(terminal)


def push(terminal: Terminal, allowed: str, asked: str) -> None:
    """With the laptop's key, as the guard allows it: by a rule, and by an answer."""
    terminal.press("Enter")
    terminal.shows(r"\[train\]")
    terminal.press("C-b", "C-b", "d")  # the first is for the node's tmux around it
    terminal.shows(r"detached \(from session train\)")
    terminal.press("clear; ssh-add -l", "Enter")
    terminal.shows("SHA256:.*lab@laptop")
    terminal.press(
        f"export GIT_SSH_COMMAND='{SSH}'; cd /tmp; git init -qb main new; cd new", "Enter"
    )
    terminal.press("git config user.name m; git config user.email m@x", "Enter")
    terminal.press("git commit -qm one --allow-empty; clear", "Enter")
    terminal.press(f"git push -q {allowed} main && echo push-$((40+2))", "Enter")
    terminal.shows("push-42")
    terminal.press(f"clear; git push -q {asked} main && echo push-$((40+3))", "Enter")
    terminal.shows("gpu-01 asks to log in as .* at bastion")
    terminal.press("C-]")
    terminal.shows("o once")
    terminal.press("o")
    terminal.shows("push-43")
    detach(terminal)
