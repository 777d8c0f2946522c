"""tmux sessions that run in containers: listed, tailed, attached, made and killed as on hosts."""

from __future__ import annotations

import asyncio
import json

import pytest

from gpuhop_tui.fleet.sessions import NodeSessions
from gpuhop_tui.sessions import tail as tails
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.tail_view import TailState
from gpuhop_tui.sessions.tmux_actions import NewSession
from tests.lab.dashboard import dashboard
from tests.lab.docker.driving import start_box
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.driving import network_of, route_to, up
from tests.lab.tmux import tail_reaches, texts
from tests.lab.waiting import await_until, wait_until


def tmux_in(world: DockerWorld, name: str, *words: str, check: bool = True) -> str:
    return world.dockerd.docker("exec", name, "tmux", "-u", *words, check=check)


def boxes(world: DockerWorld) -> None:
    """Two with a session named train each, one without tmux running."""
    for name in ("box", "other", "bare"):
        start_box(world.dockerd, name)
    for name in ("box", "other"):
        tmux_in(world, name, "new-session", "-d", "-s", "train", "-x", "90", "-y", "20",
                f"echo epoch 1 in {name}; cat")  # fmt: skip


def named(sessions: NodeSessions, name: str, container: str) -> TmuxSession | None:
    found = sessions.sessions or ()
    return next((s for s in found if (s.name, s.container) == (name, container)), None)


@pytest.mark.parametrize("poll", [False, True], ids=["control", "poll"])
async def test_listed_tailed_made_and_killed(
    docker_world: DockerWorld, monkeypatch: pytest.MonkeyPatch, poll: bool
) -> None:
    if poll:
        monkeypatch.setattr(tails, "has_control_tail", lambda _version: False)
    await asyncio.to_thread(boxes, docker_world)
    async with network_of(docker_world.world.laptop) as network:
        link = await up(network.link(await route_to(docker_world.world.laptop, "gpu-01")))
        sessions = NodeSessions(link, lambda: None)
        sessions.watch(True)
        try:
            await await_until(lambda: named(sessions, "train", "other"), "the sessions")
            session = named(sessions, "train", "box")
            assert session is not None
            assert len({each.key for each in sessions.sessions or ()}) == 2
            assert session.panes[0].last_line == "epoch 1 in box"
            tail = sessions.tail(session, session.panes[0])
            tail.start()
            try:
                await tail_reaches(tail, TailState.LIVE)
                said = ["exec", "box", "tmux", "send-keys", "-t", "train", "epoch 2", "Enter"]
                await asyncio.to_thread(docker_world.dockerd.docker, *said)
                await await_until(lambda: texts(tail.view).count("epoch 2") == 2, "epoch 2")
                assert (tail.view.columns, tail.view.rows) == (90, 20)
            finally:
                await tail.close()
            made = await sessions.new(NewSession("new", command="exit 3"), session.place)
            assert made.place == session.place
            await await_until(
                lambda: (new := named(sessions, "new", "box")) and new.panes[0].exit_status == 3,
                "the new one's end",
            )
            new = named(sessions, "new", "box")
            assert new is not None
            await sessions.dismiss(new, new.panes[0])
            await sessions.kill(session)
            await await_until(
                lambda: [s.container for s in sessions.sessions or ()] == ["other"], "one left"
            )
        finally:
            await sessions.close()

    def clients() -> str:
        return tmux_in(docker_world, "other", "list-clients")

    await await_until(lambda: not clients(), "no client of ours in there")


def test_on_the_command_line(docker_world: DockerWorld) -> None:
    boxes(docker_world)
    argv = ["gpuhop-tui", "sessions", "gpu-01"]
    listed = json.loads(docker_world.world.laptop.run([*argv, "--json"]).stdout)["nodes"][0]
    assert {each["container"] for each in listed["sessions"]} == {"box", "other"}
    assert all(len(each["container_id"]) == 64 for each in listed["sessions"])
    assert "train in box" in docker_world.world.laptop.run(argv).stdout


def test_attached_from_the_dashboard(docker_world: DockerWorld) -> None:
    boxes(docker_world)
    world = docker_world.world

    def clients() -> list[str]:
        form = "#{client_width}x#{client_height}"
        return tmux_in(docker_world, "box", "list-clients", "-F", form).split()

    with dashboard(world) as terminal:
        terminal.shows("2/2 nodes")
        terminal.press("3")
        terminal.shows(r"train in box +cat", r"train in other +cat", "epoch 1 in box")
        terminal.press("3", "Home", "a")
        terminal.shows(r"(?m)^epoch 1 in box$")
        wait_until(lambda: clients() == ["120x40"], "one client")
        world["gpu-01"].sshd.drop_connections()
        tmux_in(docker_world, "box", "send-keys", "-t", "train", "epoch 2", "Enter")
        terminal.shows(r"(?m)^epoch 2$", timeout=30)
        wait_until(lambda: len(clients()) == 1, "the old client to go")
        terminal.press("C-]")
        terminal.shows("train in box", "d detach")
        terminal.press("d")
        terminal.shows("Detached from train in box on gpu-01", "2/2 nodes")
        wait_until(lambda: clients() == [], "no client left in there")
        terminal.press("2")
        terminal.shows(r"bare +running")
        terminal.press("2", "Home", "N")
        terminal.shows("New tmux session on bare on gpu-01")
        terminal.press("tune", "C-s")
        terminal.shows(r"tune in bare", "x end")
        terminal.press("x")
        terminal.shows(r"Kill session tune in bare on gpu-01\?")
        terminal.press("y")
        wait_until(
            lambda: "tune" not in tmux_in(docker_world, "bare", "ls", check=False), "its end"
        )
        terminal.press("q")
