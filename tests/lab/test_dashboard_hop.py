"""Shells and sessions from the dashboard: real terminals, real tmux, a real way to the node."""

from __future__ import annotations

import re

from tests.lab.dashboard import Terminal, dashboard
from tests.lab.hop_driving import lend_agent
from tests.lab.waiting import wait_until
from tests.lab.world import World

PROMPT = r"@gpu-01:~\$"
READY = r"3/3 nodes"


def on_node(world: World, command: str) -> str:
    """What a command says on gpu-01, by the user's own ssh."""
    return world.laptop.run(["ssh", "gpu-01", command]).stdout


def leave(terminal: Terminal) -> None:
    """Back to the dashboard by the hop's menu."""
    terminal.press("C-]")
    terminal.shows("d detach")
    terminal.press("d")
    terminal.shows(READY, "runs on")


def test_a_hop_outlives_a_cut_line_and_keeps_the_agent(fresh_world: World) -> None:
    world = fresh_world
    lend_agent(world, "gpu-01")
    key = re.escape(world.laptop.agent.fingerprints()[0])
    with dashboard(world) as terminal:
        terminal.shows(READY)
        terminal.press("Enter")
        terminal.shows(PROMPT)
        terminal.press(
            "i=0; while [ ! -e stop ]; do i=$((i+1)); echo n-$i; sleep 0.1; done", "Enter"
        )
        terminal.shows(r"(?m)^n-6\d$")  # long enough for the keys to be known as arrived
        world.laptop.cut()
        away = terminal.shows("gpu-01 lost", timeout=30)
        assert "held" not in away
        world.laptop.heal()
        last = max(map(int, re.findall(r"(?m)^n-(\d+)", away)))
        wait_until(
            lambda: any(int(n) > last for n in re.findall(r"(?m)^n-(\d+)$", terminal.screen())),
            "the counter to go on",
        )
        on_node(world, "touch stop")
        terminal.shows(PROMPT)
        terminal.press("clear; ssh-add -l", "Enter")
        terminal.shows(key, PROMPT)
        leave(terminal)
        terminal.press("q")


def fill(terminal: Terminal, **fields: str) -> None:
    """Fill in the form, from its first field on."""
    for number, (field, text) in enumerate(fields.items()):
        if number:
            terminal.press("Enter")
        terminal.shows(f"› {field}")
        if text:
            terminal.press("-l", text)
            terminal.shows(f"› {field} +{re.escape(text)}")


def test_hop_return_and_attach_again(fresh_world: World) -> None:
    world = fresh_world
    gpu = world["gpu-01"].gpus
    assert gpu is not None
    with dashboard(world) as terminal:
        terminal.shows(READY, r"10 ?%")
        terminal.press("Enter")
        terminal.shows(PROMPT)
        terminal.press("echo in-$(tmux display-message -p '#S')", "Enter")
        terminal.shows(r"(?m)^in-gpuhop$")
        leave(terminal)
        terminal.shows("1 jobs", "GPU 0 utilization")  # the whole screen is back
        gpu.gpu(0, utilization=88)
        terminal.shows(r"88 ?%")  # and live
        terminal.press("3")
        terminal.shows(r"gpuhop @gpuhop +bash", "a attach")
        terminal.press("a")
        terminal.shows(r"(?m)^in-gpuhop$", PROMPT)
        terminal.press("exit", "Enter")
        terminal.shows(READY, "has ended")
        terminal.shows("No tmux session of yours runs on gpu-01")
        terminal.press("q")


def test_a_node_that_is_down_is_refused_with_its_reason(fresh_world: World) -> None:
    fresh_world["gpu-01"].sshd.stop()
    with dashboard(fresh_world) as terminal:
        terminal.shows(r"2/3 nodes")
        terminal.press("Enter")
        terminal.shows("No way to gpu-01")


def test_tail_shows_what_is_printed_and_changes_nothing(fresh_world: World) -> None:
    world = fresh_world
    on_node(world, "tmux new-session -d -s train -x 90 -y 20 cat; tmux new-session -d -s flood yes")
    with dashboard(world) as terminal:
        terminal.shows(READY)
        terminal.press("3")
        terminal.shows(r"train +cat", r"flood +yes", "90×20")
        terminal.press("t")
        terminal.shows("train on gpu-01", "● live", "90×20")
        on_node(world, "tmux send-keys -t train 'epoch 1 of 9' Enter")
        terminal.shows("epoch 1 of 9")
        terminal.press("t")
        terminal.shows("Watch another session")
        terminal.press("Enter")
        terminal.shows("train on gpu-01", "flood on gpu-01", "too fast to follow")
        on_node(world, "tmux send-keys -t train 'epoch 2 of 9' Enter")
        terminal.shows("epoch 2 of 9")
        size = "tmux display-message -p -t train '#{window_width}x#{window_height}'"
        assert on_node(world, size).strip() == "90x20"
        terminal.press("x")
        terminal.shows("train on gpu-01", "epoch 2 of 9")
        terminal.press("Escape")
        terminal.shows(READY)
        wait_until(
            lambda: not on_node(world, "tmux list-clients -F '#{client_name}'").strip(),
            "no client of ours on the node",
        )


def test_new_sessions_are_made_and_killed(fresh_world: World) -> None:
    world = fresh_world
    with dashboard(world) as terminal:
        terminal.shows(READY)
        terminal.press("3")
        terminal.shows("No tmux session of yours")
        terminal.press("N")
        terminal.shows("New tmux session on gpu-01")
        fill(terminal, name="tune", directory="/nowhere", command="echo got $COLOUR; cat",
             environment="COLOUR=blue")  # fmt: skip
        terminal.press("C-s")
        terminal.shows("there is no directory /nowhere")
        terminal.shows("› directory")
        terminal.press(*["BSpace"] * 8, "/tmp", "C-s")
        terminal.shows(r"tune +\w+", "got blue", "x end")
        terminal.press("x")
        terminal.shows(r"Kill session tune on gpu-01\?")
        terminal.press("Enter")  # no
        terminal.shows(READY)
        assert on_node(world, "tmux list-sessions -F '#S'").split() == ["tune"]
        terminal.press("x")
        terminal.shows(r"Kill session tune on gpu-01\?")
        terminal.press("y")
        terminal.shows("No tmux session of yours")
        terminal.press("N")
        terminal.shows("New tmux session")
        fill(terminal, name="fails", directory="", command="exit 3")
        terminal.press("C-s")
        terminal.shows("exit 3", "x dismisses")
        terminal.press("x")
        terminal.shows("No tmux session of yours")


def test_a_hop_is_offered_after_the_app_was_killed(fresh_world: World) -> None:
    world = fresh_world
    with dashboard(world) as terminal:
        terminal.shows(READY)
        terminal.press("Enter")
        terminal.shows(PROMPT)
        terminal.press("echo still-$((40 + 2))", "Enter")
        terminal.shows("still-42")
        terminal.kill()
    with dashboard(world) as terminal:
        terminal.shows(READY, r"b goes back into gpuhop on gpu-01")
        terminal.press("b")
        terminal.shows("still-42", PROMPT)
        leave(terminal)
        assert "goes back into" not in terminal.screen()
        terminal.press("q")
