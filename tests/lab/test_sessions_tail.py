"""A tail shows what tmux has, and leaves everything as it was: with others attached, and alone."""

from __future__ import annotations

import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gpuhop_tui.sessions.shell import RemoteShell
from gpuhop_tui.sessions.tail import Tail
from gpuhop_tui.sessions.tail_control import ControlFollower
from gpuhop_tui.sessions.tail_screen import SCROLLBACK_LINES, Style
from gpuhop_tui.sessions.tail_view import TailState
from gpuhop_tui.sessions.tmux_control import control_command
from gpuhop_tui.sessions.watch import SessionWatch
from gpuhop_tui.ssh.link import Link
from tests.lab.driving import network_of, route_to, up
from tests.lab.procfs import program
from tests.lab.tmux import Tmux, kept, shows_what_tmux_has, tail_reaches, texts
from tests.lab.waiting import await_until
from tests.lab.world import World

MakeWorld = Callable[..., World]

EVERYTHING = (
    "#{session_name} #{session_id} #{window_id} #{window_index} #{window_active} #{pane_id}"
    " #{pane_active} #{window_width}x#{window_height} #{pane_width}x#{pane_height}"
    " #{window_layout} #{pane_in_mode} #{history_size} #{window_zoomed_flag}"
)


@pytest.fixture
def node_world(make_world: MakeWorld) -> World:
    """One node behind a bastion, for tests that leave tmux servers there."""
    return make_world(nodes=1)


@pytest.fixture
async def link(node_world: World) -> AsyncIterator[Link]:
    async with network_of(node_world.laptop) as network:
        yield await up(network.link(await route_to(node_world.laptop, "gpu-01")))


@pytest.fixture
def tmux(node_world: World) -> Tmux:
    return Tmux(node_world.nodes[0])


@asynccontextmanager
async def tail_of(link: Link, name: str, *, version: str | None = None) -> AsyncIterator[Tail]:
    """A running tail of the first pane of a session; as of a server of another `version`."""
    shell = RemoteShell(link)
    sessions = await SessionWatch(shell).look()
    session = next(session for session in sessions if session.name == name)
    session = replace(session, version=version or session.version)
    tail = Tail(link, shell, session, session.panes[0])
    tail.start()
    try:
        yield tail
    finally:
        await tail.close()
        await shell.close()


BY = pytest.mark.parametrize("version", ["3.3a", "3.1c", "2.8"], ids=["control", "3.1", "2.8"])


@BY
async def test_numbered_lines_colours_and_wide_characters(
    link: Link, tmux: Tmux, version: str
) -> None:
    await tmux.new("t", "bash --norc")
    await tmux("send-keys", "-t", "t", "PS1='$ '; clear; seq 50", "Enter")
    async with tail_of(link, "t", version=version) as tail:
        await shows_what_tmux_has(tail, tmux)
        for typed in STREAMS:
            await tmux("send-keys", "-t", "t", typed, "Enter")
            await shows_what_tmux_has(tail, tmux)
        await await_until(lambda: _same_history(tail, tmux), "the same scrollback")


STREAMS = (
    "seq 1000 1100",
    r"printf '\033[31mred\033[0m \033[1;48;5;22mgreen\033[0m \033[38;2;1;2;3mrgb\033[m\n'",
    r"printf '漢字 é e\u0301 ñ ｗｉｄｅ %s\n' end",
    r"printf '%0300d\n' 7",
    r"printf 'a\tb\rc\033[5Cd\033[Kx\n\033[2Aup\033[3Bdown\n'",
    r"printf '\033ktitle\033\\after\033]2;t\007 \033P1;2q...\033\\end\n'",
    r"for i in $(seq 30); do printf '\r%d%%' $i; done; echo",
    r"printf '\033[5;10r\033[10H1\n2\n3\n\033[r\033[20H'",
)


async def test_the_emulation_alone_is_right(
    link: Link, tmux: Tmux, node_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tmux being asked again: what comes by is drawn as tmux draws it."""

    async def unasked(_: ControlFollower) -> None:
        return None

    node_world.nodes[0].write("text", "".join(f"line {k} {'word ' * 9}\n" for k in range(400)))
    await tmux.new("t", "bash --norc")
    await tmux("send-keys", "-t", "t", "PS1='$ '; clear", "Enter")
    await await_until(lambda: _says(tmux, "$"), "a prompt")
    async with tail_of(link, "t") as tail:
        await shows_what_tmux_has(tail, tmux)
        monkeypatch.setattr(ControlFollower, "_compare", unasked)
        for typed in (*STREAMS, "clear", "less text"):
            await tmux("send-keys", "-t", "t", typed, "Enter")
            await shows_what_tmux_has(tail, tmux)
        for key in ("Space", "Down", "/42", "Enter", "G", "g", "b", "q"):
            await tmux("send-keys", "-t", "t", key)
            await shows_what_tmux_has(tail, tmux)
        await await_until(lambda: _same_history(tail, tmux), "the same scrollback")


async def _same_history(tail: Tail, tmux: Tmux) -> bool:
    return kept(tail) == await tmux.history(tail.pane.id)


async def test_styles_are_told_as_data(link: Link, tmux: Tmux) -> None:
    text = r"plain \033[1;31mred\033[0;48;5;22;4mbg\033[0;38;2;1;2;3;7mrgb\033[0m"
    await tmux.new("t", f"printf '{text}'; exec sleep 1000")
    async with tail_of(link, "t") as tail:
        await shows_what_tmux_has(tail, tmux)
        assert [(run.text, run.style) for run in tail.view.lines[0]] == [
            ("plain ", Style()),
            ("red", Style(foreground=1, bold=True)),
            ("bg", Style(background=22, underline=True)),
            ("rgb", Style(foreground=(1, 2, 3), reverse=True)),
        ]


async def test_line_drawing(link: Link, tmux: Tmux) -> None:
    """As it comes by, and as it is found there: tmux keeps the characters beneath it."""
    await tmux.new(
        "t", r"printf '\033(0lqqk\033(B old\n'; read x; printf '\033)0\016mqqj\017 new'; exec cat"
    )
    async with tail_of(link, "t") as tail:
        await await_until(lambda: texts(tail.view)[:1] == ["┌──┐ old"], "a box that was there")
        await tmux("send-keys", "-t", "t", "Enter")
        await await_until(lambda: texts(tail.view)[2:3] == ["└──┘ new"], "a box that is drawn")


@BY
async def test_full_screen_programs(
    link: Link, tmux: Tmux, node_world: World, version: str
) -> None:
    lines = "".join(f"line {k} {'word ' * (k % 20)}\n" for k in range(400))
    node_world.nodes[0].write("text", lines)
    await tmux.new("t", "bash --norc")
    await tmux("send-keys", "-t", "t", "PS1='$ '; clear; seq 100", "Enter")
    async with tail_of(link, "t", version=version) as tail:
        await shows_what_tmux_has(tail, tmux)
        await tmux("send-keys", "-t", "t", "less text", "Enter")
        await await_until(lambda: tmux.tell("t", "#{?alternate_on,1,}"), "less")
        for key in ("Space", "Down", "/42", "Enter", "G", "g", "b"):
            await tmux("send-keys", "-t", "t", key)
            await shows_what_tmux_has(tail, tmux)
        await tmux("send-keys", "-t", "t", "q")
        await await_until(lambda: tmux.tell("t", "#{?alternate_on,,1}"), "the shell")
        await shows_what_tmux_has(tail, tmux)
        await tmux("send-keys", "-t", "t", "seq 5", "Enter")
        await shows_what_tmux_has(tail, tmux)


async def test_a_tail_that_begins_in_a_full_screen_program(
    link: Link, tmux: Tmux, node_world: World
) -> None:
    node_world.nodes[0].write("text", "".join(f"line {k}\n" for k in range(400)))
    await tmux.new("t", "bash --norc")
    await tmux("send-keys", "-t", "t", "PS1='$ '; clear; seq 60; less text", "Enter")
    await await_until(lambda: tmux.tell("t", "#{?alternate_on,1,}"), "less")
    async with tail_of(link, "t") as tail:
        await shows_what_tmux_has(tail, tmux)
        await tmux("send-keys", "-t", "t", "q")
        await await_until(lambda: tmux.tell("t", "#{?alternate_on,,1}"), "the shell")
        await shows_what_tmux_has(tail, tmux)
        await await_until(lambda: _same_history(tail, tmux), "the same scrollback")


# It changes nothing


async def _state(tmux: Tmux) -> list[str]:
    return [
        await tmux("list-panes", "-a", "-F", EVERYTHING),
        await tmux("show-environment", "-t", "t"),
        await tmux("show-options", "-t", "t"),
        await tmux("show-options", "-w", "-t", "t"),
    ]


async def _people(tmux: Tmux) -> list[str]:
    """Clients that do not just look on."""
    form = "#{client_control_mode} #{client_tty} #{client_width}x#{client_height}"
    lines = (await tmux("list-clients", "-t", "t", "-F", form)).splitlines()
    return [line for line in lines if line.startswith("0 ")]


@BY
async def test_alone_it_changes_nothing(link: Link, tmux: Tmux, version: str) -> None:
    await tmux.new("t", size="133x37")
    await tmux("new-window", "-d", "-t", "t:", "cat")
    await tmux("split-window", "-d", "-t", "t", "cat")
    await tmux("set-environment", "-t", "t", "SSH_AUTH_SOCK", "/the/users/own")
    before = await _state(tmux)
    async with tail_of(link, "t", version=version) as tail:
        await shows_what_tmux_has(tail, tmux)
        assert await _state(tmux) == before
    assert await _state(tmux) == before
    await await_until(lambda: _nobody(tmux), "the end of its client")


async def _nobody(tmux: Tmux) -> bool:
    return not await tmux("list-clients", "-t", "t")


@BY
async def test_beside_a_real_client_it_changes_nothing(
    link: Link, tmux: Tmux, version: str
) -> None:
    """The client comes, resizes the pane by coming, stays, and goes, all as without a tail."""
    await tmux.new("t", size="133x37")
    with tmux.attached("t", 71, 19):
        await await_until(lambda: _people(tmux), "the real client")
        before = await _state(tmux), await _people(tmux)
        assert "71x18" in before[0][0]
        async with tail_of(link, "t", version=version) as tail:
            await shows_what_tmux_has(tail, tmux)
            await tmux("send-keys", "-t", "t", "typed", "Enter")
            await shows_what_tmux_has(tail, tmux)
            assert (await _state(tmux), await _people(tmux)) == before
            with tmux.attached("t", 88, 22):  # the newest client's size counts
                await await_until(
                    lambda: tmux.tell("t", "#{?#{==:#{window_width},88},1,}"), "its size"
                )
                await shows_what_tmux_has(tail, tmux)
                assert tail.view.columns == 88
            await await_until(
                lambda: tmux.tell("t", "#{?#{==:#{window_width},71},1,}"), "the old size"
            )
            await shows_what_tmux_has(tail, tmux)
        await await_until(lambda: _same(tmux, before), "all as before")


async def _same(tmux: Tmux, before: tuple[list[str], list[str]]) -> bool:
    return (await _state(tmux), await _people(tmux)) == before


async def test_several_tails_and_other_panes(link: Link, tmux: Tmux) -> None:
    """A pane that floods beside the one that is watched costs nothing; nor is it held up."""
    await tmux.new("t")
    await tmux("split-window", "-d", "-t", "t", "i=0; while :; do i=$((i+1)); echo $i; done")
    async with tail_of(link, "t") as one, tail_of(link, "t") as two:
        for tail in (one, two):
            await shows_what_tmux_has(tail, tmux)
        count = int((await tmux.screen("t.1"))[-3])
        await tmux("send-keys", "-t", "t.0", "hello", "Enter")
        for tail in (one, two):
            await shows_what_tmux_has(tail, tmux)
            assert tail.view.state is TailState.LIVE
        await await_until(
            lambda: _beyond(tmux, count + 2000), "the flooding pane's going on", timeout=20
        )


async def _beyond(tmux: Tmux, number: int) -> bool:
    last = next(row for row in reversed((await tmux.screen("t.1"))[:-1]) if row)
    return int(last) > number


# A flood


async def test_a_flood_is_bounded_and_holds_nothing_up(link: Link, tmux: Tmux) -> None:
    await tmux.new("t", "bash --norc")
    async with tail_of(link, "t") as tail:
        await shows_what_tmux_has(tail, tmux)
        await tmux("send-keys", "-t", "t", "yes 'a line that comes again and again'", "Enter")
        await tail_reaches(tail, TailState.FLOOD)
        memory, cpu, start = _memory(), time.process_time(), time.monotonic()
        views = 0
        async for view in tail.changes():
            views += 1
            assert view.scrollback <= SCROLLBACK_LINES
            if time.monotonic() - start > 5:
                break
        seconds = time.monotonic() - start
        assert views / seconds <= 21
        assert (time.process_time() - cpu) / seconds < 0.5, "of a core"
        assert _memory() - memory < 32 << 20
        assert any("again and again" in run.text for line in tail.view.lines for run in line)
        await tmux("send-keys", "-t", "t", "C-c", "")
        await tail_reaches(tail, TailState.LIVE, 20)
        await tmux("send-keys", "-t", "t", "echo over", "Enter")
        await shows_what_tmux_has(tail, tmux)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


async def test_nothing_is_lost_or_doubled_in_the_scrollback(link: Link, tmux: Tmux) -> None:
    await tmux.new("first")
    await tmux("set-option", "-g", "history-limit", "5000")
    await tmux.new("t", "bash --norc")
    async with tail_of(link, "t") as tail:
        await shows_what_tmux_has(tail, tmux)
        slowly = "for i in $(seq 1500); do echo number $i; [ $((i % 20)) = 0 ] && sleep 0.02; done"
        await tmux("send-keys", "-t", "t", slowly, "Enter")
        await await_until(lambda: _says(tmux, "number 1500"), "the last number", timeout=30)
        await shows_what_tmux_has(tail, tmux)
        numbers = [int(row.split()[1]) for row in kept(tail) if row.startswith("number ")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 1400


async def _says(tmux: Tmux, row: str) -> bool:
    return row in await tmux.screen("t")


# Ends


@BY
async def test_a_dead_pane_tells_its_exit_status(link: Link, tmux: Tmux, version: str) -> None:
    await tmux.new("t", "read x; echo bye; exit 7")
    await tmux("set-option", "-w", "-t", "t", "remain-on-exit", "on")
    async with tail_of(link, "t", version=version) as tail:
        await shows_what_tmux_has(tail, tmux)
        await tmux("send-keys", "-t", "t", "Enter")
        await await_until(lambda: tail.view.dead, "the pane's death")
        await await_until(lambda: tail.view.exit_status == 7, "its exit status")
        await shows_what_tmux_has(tail, tmux)


@BY
@pytest.mark.parametrize("kill", ["kill-pane", "kill-session", "kill-server"])
async def test_the_end_of_pane_session_and_server(
    link: Link, tmux: Tmux, node_world: World, kill: str, version: str
) -> None:
    await tmux.new("t")
    await tmux("split-window", "-t", "t", "cat")
    await tmux.new("other")
    async with tail_of(link, "t", version=version) as tail:
        await shows_what_tmux_has(tail, tmux)
        last = tail.view.lines
        await tmux(kill, *(("-t", tail.pane.id) if kill != "kill-server" else ()))
        view = await tail_reaches(tail, TailState.ENDED)
        assert view.lines == last, "the last screen is kept"
    running = [program(pid) for pid in node_world.nodes[0].processes()]
    assert running.count("tmux: server") == (0 if kill == "kill-server" else 1)


async def test_a_client_that_hears_nothing_is_ended_on_the_node(
    link: Link, tmux: Tmux, node_world: World
) -> None:
    """As after a cut while a pane floods: what it says cannot be written, and nobody answers."""
    await tmux.new("t", "yes")
    shell = RemoteShell(link)
    session = (await SessionWatch(shell).look())[0]
    await shell.close()
    async with link.process(control_command(session, heartbeat=1)) as process:
        await await_until(lambda: tmux("list-clients"), "the client")
        process.channel.pause_reading()
        await await_until(lambda: _nobody(tmux), "the end of the client", timeout=20)
    left = {program(pid) for pid in node_world.nodes[0].processes()} & {"sh", "head", "timeout"}
    assert not left
