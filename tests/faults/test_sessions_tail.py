"""A tail outlives its link: the last screen stays, marked stale, and goes on when the link does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gpuhop_tui.problem import ErrorKind
from gpuhop_tui.sessions.shell import RemoteShell
from gpuhop_tui.sessions.tail import Tail
from gpuhop_tui.sessions.tail_view import TailState
from gpuhop_tui.sessions.watch import SessionWatch
from tests.lab.driving import fleet_of, fleet_reached, network_of, route_to, up
from tests.lab.procfs import program
from tests.lab.tmux import Tmux, kept, shows_what_tmux_has, tail_reaches
from tests.lab.waiting import await_until
from tests.lab.world import World

MakeWorld = Callable[..., World]


@pytest.fixture
def node_world(make_world: MakeWorld) -> World:
    """One node behind a bastion."""
    return make_world(nodes=1)


@pytest.mark.parametrize("version", ["3.3a", "3.1c"], ids=["control", "looks"])
async def test_a_cut_is_outlived(node_world: World, version: str) -> None:
    tmux = Tmux(node_world.nodes[0])
    await tmux.new("t", "i=0; while :; do i=$((i+1)); echo number $i; sleep 0.05; done")
    async with network_of(node_world.laptop) as network:
        link = await up(network.link(await route_to(node_world.laptop, "gpu-01")))
        shell = RemoteShell(link)
        session = replace((await SessionWatch(shell).look())[0], version=version)
        tail = Tail(link, shell, session, session.panes[0])
        tail.start()
        await tail_reaches(tail, TailState.LIVE)
        node_world.bastion.cut()
        view = await tail_reaches(tail, TailState.STALE, 30)
        assert any(line for line in view.lines), "the last screen is kept"
        assert view.problem is not None
        assert view.problem.kind in (ErrorKind.LOST, ErrorKind.TIMEOUT)
        node_world.bastion.heal()
        await tail_reaches(tail, TailState.LIVE, 40)
        await tmux("send-keys", "-t", "t", "C-c")  # the session ends: nothing more comes
        await tail_reaches(tail, TailState.ENDED)
        numbers = [int(row.split()[1]) for row in kept(tail) if row.startswith("number ")]
        assert numbers, "scrollback"
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        await tail.close()
        await shell.close()


async def test_the_nodes_sshd_is_killed(node_world: World) -> None:
    """With all of its connections; the tail and the list of sessions come back with the link."""
    node = node_world.nodes[0]
    tmux = Tmux(node)
    await tmux.new("t", "bash --norc")
    async with fleet_of(node_world.laptop) as fleet:
        fleet.watch_sessions(True)
        state = await fleet_reached(fleet, lambda s: bool(s.nodes[0].sessions), "listed")
        sessions = fleet.sessions("gpu-01")
        assert sessions is not None
        assert state.nodes[0].sessions is not None
        session = state.nodes[0].sessions[0]
        tail = sessions.tail(session, session.panes[0])
        tail.start()
        await shows_what_tmux_has(tail, tmux)
        node.sshd.kill()
        await tail_reaches(tail, TailState.STALE)
        assert fleet.state.nodes[0].sessions == (session,), "kept"
        await tmux("send-keys", "-t", "t", "echo meanwhile", "Enter")
        node.sshd.start()
        await tail_reaches(tail, TailState.LIVE, 30)
        await shows_what_tmux_has(tail, tmux)
        await tail.close()

    def left() -> set[str]:
        return {program(pid) for pid in node.processes()} & {"sh", "head", "timeout"}

    await await_until(lambda: not left(), "the end of all that was started there")


async def test_the_node_is_booted_anew(node_world: World) -> None:
    """The session's id means nothing any more: the tail ends, and starts no server."""
    node = node_world.nodes[0]
    tmux = Tmux(node)
    await tmux.new("t")
    async with network_of(node_world.laptop) as network:
        link = await up(network.link(await route_to(node_world.laptop, "gpu-01")))
        shell = RemoteShell(link)
        session = (await SessionWatch(shell).look())[0]
        tail = Tail(link, shell, session, session.panes[0])
        tail.start()
        await shows_what_tmux_has(tail, tmux)
        node.power_off()
        await tail_reaches(tail, TailState.STALE, 30)
        node_world.boot(node)
        await tmux.new("another")
        await tail_reaches(tail, TailState.ENDED, 40)
        await tail.close()
        await shell.close()
    assert await tmux("list-sessions", "-F", "#{session_name}") == "another\n"
