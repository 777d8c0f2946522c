"""Sessions that a user made by hand are found, wherever their servers are; and made, and ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.problem import ErrorKind, ProblemError
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.shell import RemoteShell, shell_command
from gpuhop_tui.sessions.tmux_actions import (
    NewSession,
    SessionError,
    dismiss,
    kill_session,
    new_session,
)
from gpuhop_tui.sessions.watch import SessionWatch
from gpuhop_tui.ssh.link import Link
from tests.lab.driving import fleet_of, fleet_reached, network_of, route_to, up
from tests.lab.machine import Machine, Spec
from tests.lab.procfs import program
from tests.lab.tmux import Tmux
from tests.lab.waiting import await_until
from tests.lab.world import World

MakeWorld = Callable[..., World]


@pytest.fixture
def node_world(make_world: MakeWorld) -> World:
    """One node behind a bastion, for tests that leave tmux servers there."""
    return make_world(nodes=1)


@asynccontextmanager
async def link_to(world: World, name: str = "gpu-01") -> AsyncIterator[Link]:
    async with network_of(world.laptop) as network:
        yield await up(network.link(await route_to(world.laptop, name)))


@asynccontextmanager
async def shell_on(world: World, name: str = "gpu-01") -> AsyncIterator[RemoteShell]:
    async with link_to(world, name) as link:
        shell = RemoteShell(link)
        yield shell
        await shell.close()


async def look(shell: RemoteShell) -> dict[str, TmuxSession]:
    return {session.name: session for session in await SessionWatch(shell).look()}


async def last_line(watch: SessionWatch, wanted: str) -> TmuxSession:
    """Waits until the last line of some session's first pane is `wanted`."""

    async def found() -> TmuxSession | None:
        sessions = await watch.look()
        return next((s for s in sessions if s.panes[0].last_line == wanted), None)

    session = await await_until(found, f"a pane that says {wanted!r}")
    assert session is not None
    return session


def servers(machine: Machine) -> int:
    """How many tmux servers run on the machine."""
    return sum(program(pid) == "tmux: server" for pid in machine.processes())


async def test_sessions_on_any_socket_are_found(node_world: World) -> None:
    node = node_world.nodes[0]
    node.write("tmp/keep", "")
    for name, tmux in {
        "by default": Tmux(node),
        "ours": Tmux(node, "-L", "gpuhop"),
        "by path": Tmux(node, "-S", f"/home/{node.user}/tmp/a socket"),
        "elsewhere": Tmux(node, env={"TMUX_TMPDIR": f"/home/{node.user}/tmp"}),
        "实验 ñ 🚀": Tmux(node),
    }.items():
        await tmux.new(name)
    async with shell_on(node_world) as shell:
        sessions = await look(shell)
    assert sorted(sessions) == sorted(["by default", "ours", "by path", "elsewhere", "实验 ñ 🚀"])
    assert sessions["ours"].socket.endswith("/gpuhop")
    assert sessions["by path"].socket == f"/home/{node.user}/tmp/a socket"
    assert {session.node for session in sessions.values()} == {"gpu-01"}


async def test_what_is_told_of_a_session(node_world: World) -> None:
    tmux = Tmux(node_world.nodes[0])
    bar = " 45%|████▌     | 450/1000 [01:23<01:42,  5.41it/s]"
    await tmux.new("train", f"printf 'start\\n\\r%s' '{bar}'; exec sleep 1000")
    await tmux("split-window", "-d", "-t", "train", "-c", "/usr", "exec cat")
    await tmux("new-window", "-d", "-t", "train:", "-n", "watch: x", "exec cat")
    async with shell_on(node_world) as shell:
        watch = SessionWatch(shell)
        session = await last_line(watch, bar.rstrip())
        with tmux.attached("train", 90, 25):
            session = await await_until(lambda: _attached(watch), "an attached client")
            assert session is not None
    assert (session.name, session.version, session.attached) == ("train", "3.3a", 1)
    assert (session.clients[0].columns, session.clients[0].rows) == (90, 25)
    assert [(len(w.panes), w.active) for w in session.windows] == [(2, True), (1, False)]
    assert session.windows[1].name == "watch: x"
    first, second = session.windows[0].panes
    assert (first.command, first.active, first.columns) == ("sleep", True, 90)
    assert first.progress is not None
    assert (first.progress.percent, first.progress.eta_seconds) == (45, 102)
    assert (second.command, second.cwd, second.progress) == ("cat", "/usr", None)
    assert second.last_line == ""


async def _attached(watch: SessionWatch) -> TmuxSession | None:
    return next((session for session in await watch.look() if session.attached), None)


async def test_only_what_changed_is_read_again(node_world: World) -> None:
    tmux = Tmux(node_world.nodes[0])
    await tmux.new("a")
    await tmux.new("b")
    async with shell_on(node_world) as shell:
        watch = SessionWatch(shell)
        asked: list[str] = []
        run = shell.run

        async def counted(script: str, **options: float) -> object:
            asked.append(script)
            return await run(script, **options)  # type: ignore[arg-type]

        shell.run = counted  # type: ignore[assignment, method-assign]

        async def at_rest() -> bool:
            asked.clear()
            await watch.look()
            return len(asked) == 1

        await await_until(at_rest, "a look that reads no line")
        await tmux("send-keys", "-t", "b", "hello", "Enter")
        assert (await last_line(watch, "hello")).name == "b"
        captures = [script for script in asked if "capture-pane" in script]
        assert captures
        assert all(script.count("capture-pane") == 1 for script in captures)


async def test_forty_sessions_through_one_session_of_the_connection(node_world: World) -> None:
    node = node_world.nodes[0]
    tmux = Tmux(node)
    await tmux.new("s0")
    more = [w for k in range(1, 40) for w in (";", "new-session", "-d", "-s", f"s{k}", "cat")]
    await tmux(*more[1:])
    async with shell_on(node_world) as shell:
        shells = [pid for pid in node.processes() if program(pid) == "sh"]
        async with asyncio.timeout(10):
            sessions = await look(shell)
            assert await look(shell)
        assert sorted(sessions) == sorted(f"s{k}" for k in range(40))
        assert all(session.panes[0].last_line == "" for session in sessions.values())
        more_shells = [p for p in node.processes() if program(p) == "sh" and p not in shells]
        assert len(more_shells) <= 2  # the loop, and the moment of its command substitution


def _ended(session: TmuxSession) -> bool:
    """Whether a pane's command ended, and tmux has learned how."""
    return any(pane.dead and pane.exit_status is not None for pane in session.panes)


async def test_dead_sockets_and_dead_panes(node_world: World) -> None:
    node = node_world.nodes[0]
    tmux, gone = Tmux(node), Tmux(node, "-L", "gone")
    await gone.new("gone")
    await gone("kill-server")
    await node.arun(["test", "-S", "/tmp/tmux-61000/gone"])
    await tmux.new("other")
    await tmux("set-option", "-g", "remain-on-exit", "on")
    await tmux("new-window", "-d", "-t", "other:", "echo result 2; exit 4")
    async with shell_on(node_world) as shell:
        watch = SessionWatch(shell)

        async def dead() -> TmuxSession | None:
            sessions = await watch.look()
            return next((s for s in sessions if _ended(s)), None)

        session = await await_until(dead, "a dead pane")
        assert session is not None
        pane = session.windows[1].panes[0]
        assert (pane.dead, pane.exit_status, pane.last_line) == (True, 4, "result 2")
        assert session.name == "other"
        assert watch.problem is None
    assert servers(node) == 1, "looking starts no server"


async def test_a_hanging_server_hides_no_other(node_world: World) -> None:
    node = node_world.nodes[0]
    good, bad = Tmux(node, "-L", "zz"), Tmux(node, "-L", "aa")
    await bad.new("bad")
    pid = next(pid for pid in node.processes() if program(pid) == "tmux: server")
    await good.new("good")
    async with shell_on(node_world) as shell:
        os.kill(pid, signal.SIGSTOP)
        watch = SessionWatch(shell)
        assert [session.name for session in await watch.look()] == ["good"]
        assert watch.problem is not None
        assert "did not answer" in watch.problem.message
        os.kill(pid, signal.SIGCONT)
        assert sorted(session.name for session in await watch.look()) == ["bad", "good"]
        assert watch.problem is None


async def test_no_tmux_is_a_named_reason(make_world: MakeWorld) -> None:
    world = make_world(nodes=[Spec("gpu-01", via="bastion", hide=("tmux*",))])
    async with shell_on(world) as shell:
        with pytest.raises(ProblemError) as raised:
            await SessionWatch(shell).look()
        assert raised.value.problem.kind is ErrorKind.NO_TMUX
        with pytest.raises(ProblemError) as raised:
            await new_session(shell, NewSession("x"))
        assert raised.value.problem.kind is ErrorKind.NO_TMUX
    done = world.laptop.run(["gpuhop-tui", "sessions", "--json"], check=False, timeout=60)
    node = json.loads(done.stdout)["nodes"][0]
    assert (done.returncode, node["state"], node["sessions"]) == (1, "up", [])
    assert node["error"]["kind"] == "no-tmux"


@pytest.mark.parametrize("noise", ["echo noise; echo more >&2", "printf 'no newline'"])
async def test_noisy_start_up_files(node_world: World, noise: str) -> None:
    node = node_world.nodes[0]
    node.write(".bashrc", noise + "\n")
    await Tmux(node).new("quiet")
    async with shell_on(node_world) as shell:
        assert sorted(await look(shell)) == ["quiet"]


# The shell


async def test_the_shell_ends_with_the_connection_and_when_nothing_is_asked(
    node_world: World,
) -> None:
    node = node_world.nodes[0]

    def shells() -> list[int]:
        return [pid for pid in node.processes() if program(pid) in ("sh", "head", "timeout")]

    async with link_to(node_world) as link:
        async with link.process(shell_command(idle_seconds=1)) as process:
            await await_until(shells, "a shell")
            # Our end stays open, as after a cut that nobody noticed: the node's end goes by itself.
            await process.stdout.read()
        assert not shells()
        shell = RemoteShell(link)
        await shell.run("true")
        assert shells()
    await await_until(lambda: not shells(), "the end of the shell with its connection")


async def test_a_command_that_hangs_is_ended_and_the_next_one_works(node_world: World) -> None:
    node = node_world.nodes[0]
    async with shell_on(node_world) as shell:
        assert (await shell.run("cat; echo out; echo err >&2; exit 7")).output == b"out\nerr\n"
        with pytest.raises(ProblemError) as raised:
            await shell.run("sleep 4321 & sleep 4321", timeout=0.5)
        assert raised.value.problem.kind is ErrorKind.TIMEOUT
        assert (await shell.run("printf ok")).output == b"ok"
        await await_until(
            lambda: not any(program(pid) == "sleep" for pid in node.processes()),
            "the end of what hung",
        )
        with pytest.raises(ProblemError) as raised:
            await shell.run("yes", limit=100_000)
        assert raised.value.problem.kind is ErrorKind.OVERLOADED
        assert (await shell.run("echo $((6*7))")).text == "42\n"


# New, kill, dismiss


async def test_a_new_session_is_as_by_hand_and_keeps_its_end(node_world: World) -> None:
    node = node_world.nodes[0]
    node.write("my work #1;/keep", "")
    node.write(".bashrc", "export FROM_RC=yes\n")
    wanted = NewSession(
        "train",
        "~/my work #1;",
        'printf "%s|%s|%s\\n" "$PWD" "$TOKEN" "$FROM_RC"; exit 3;',
        {"TOKEN": 'it\'s "q";$HOME\\n#{pid} é;'},
    )
    async with shell_on(node_world) as shell:
        made = await new_session(shell, wanted)
        assert made.socket == "/tmp/tmux-61000/default"
        watch = SessionWatch(shell)

        async def ended() -> TmuxSession | None:
            return next((s for s in await watch.look() if _ended(s)), None)

        session = await await_until(ended, "the end of the command")
        assert session is not None
        pane = session.panes[0]
        assert (session.id, pane.id) == (made.session_id, made.pane_id)
        assert pane.exit_status == 3
        tmux = Tmux(node)
        screen = "\n".join(await tmux.history("train") + await tmux.screen("train"))
        said = f"/home/{node.user}/my work #1;|{wanted.environment['TOKEN']}|yes"
        assert said in screen
        with pytest.raises(SessionError, match="already"):
            await new_session(shell, NewSession("train"))
        await dismiss(shell, session, pane)
        assert await watch.look() == ()
        with pytest.raises(SessionError, match="gone"):
            await dismiss(shell, session, pane)


async def test_refusals_of_a_new_session(node_world: World) -> None:
    async with shell_on(node_world) as shell:
        refused = [
            (NewSession("a:b"), "':'"),
            (NewSession(""), "needs a name"),
            (NewSession("$1"), "'\\$'"),
            (NewSession("x", "/nowhere"), "no directory /nowhere"),
            (NewSession("x", environment={"A-B": "1"}), "'A-B'"),
        ]
        for wanted, reason in refused:
            with pytest.raises(SessionError, match=reason):
                await new_session(shell, wanted)
        assert await SessionWatch(shell).look() == ()


async def test_killing_ends_the_one_that_was_meant(node_world: World) -> None:
    tmux = Tmux(node_world.nodes[0])
    await tmux.new("one")
    await tmux.new("two")
    async with shell_on(node_world) as shell:
        before = await look(shell)
        await kill_session(shell, before["one"])
        assert sorted(await look(shell)) == ["two"]
        with pytest.raises(SessionError, match="gone already"):
            await kill_session(shell, before["one"])
        await tmux("kill-server")
        await tmux.new("new two")  # its id is that of "one"
        with pytest.raises(SessionError, match="gone already"):
            await kill_session(shell, before["one"])
        assert sorted(await look(shell)) == ["new two"]
        session = (await look(shell))["new two"]
        with pytest.raises(SessionError, match="not dead"):
            await dismiss(shell, session, session.panes[0])


# Fleet and command line


async def test_the_fleet_watches_while_somebody_looks(fresh_world: World) -> None:
    world = fresh_world
    await Tmux(world.nodes[0]).new("first")
    async with fleet_of(world.laptop) as fleet:
        fleet.watch_sessions(True)

        def names(state: FleetState) -> list[list[str] | None]:
            return [n.sessions and [s.name for s in n.sessions] for n in state.nodes]

        await fleet_reached(fleet, lambda state: names(state) == [["first"], (), ()], "listed")
        sessions = fleet.sessions("gpu-02")
        assert sessions is not None
        await sessions.new(NewSession("second", command="sleep 1000"))
        await fleet_reached(
            fleet, lambda state: names(state) == [["first"], ["second"], ()], "listed anew"
        )
        node = fleet.state.node("gpu-02")
        assert node is not None
        assert node.sessions is not None
        await sessions.kill(node.sessions[0])
        await fleet_reached(fleet, lambda state: names(state) == [["first"], (), ()], "ended")
        fleet.watch_sessions(False)


async def test_the_command_line(fresh_world: World) -> None:
    world = fresh_world
    await Tmux(world.nodes[0]).new("first", "echo working; exec sleep 100")
    done = world.laptop.run(["gpuhop-tui", "sessions", "gpu-01"], timeout=60)
    assert "first" in done.stdout
    assert "1 session" in done.stdout
    world.nodes[1].sshd.stop()
    done = world.laptop.run(["gpuhop-tui", "sessions", "--json"], check=False, timeout=60)
    report = json.loads(done.stdout)
    assert (done.returncode, report["schema"]) == (1, 1)
    nodes = {node["name"]: node for node in report["nodes"]}
    assert [node["error"] and node["error"]["kind"] for node in nodes.values()] == [
        None,
        "refused",
        None,
    ]
    assert nodes["gpu-02"]["sessions"] == []
    session = nodes["gpu-01"]["sessions"][0]
    assert (session["name"], session["attached"]) == ("first", 0)
    assert session["windows"][0]["panes"][0]["command"] == "sleep"
