"""Pictures of every screen. After a change that is meant: pytest --snapshot-update, then look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from gpuhop_tui.sessions.hop_memory import OpenHop
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.ssh.prompts import Prompter
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.opening import FirstRun, Opened
from gpuhop_tui.tui.screens.dialog import Dialog
from tests.tui.fake_sessions import training_log, with_sessions
from tests.tui.fakes import (
    CHALLENGE,
    HOST_KEY,
    NOW,
    PASSPHRASE,
    SIGNATURE,
    Questions,
    app_on,
    big_state,
    fleet_state,
    with_lendings,
)
from tests.tui.waiting import opened, screen_text, until

Compare = Callable[..., bool]
Ready = Callable[[Pilot[int]], Awaitable[None]]


def at_node(name: str, *keys: str) -> Ready:
    """Look at a node, then press keys."""

    async def ready(pilot: Pilot[int]) -> None:
        dashboard = await opened(pilot)
        dashboard.go_to_node(name)
        await pilot.press(*keys)
        _still(pilot)

    return ready


async def in_dialog(pilot: Pilot[int]) -> None:
    """Wait for a dialog."""
    await until(pilot, lambda: isinstance(pilot.app.screen, Dialog))
    await until(pilot, lambda: pilot.app.screen.query(Static))
    await pilot.pause()
    _still(pilot)


def _still(pilot: Pilot[int]) -> None:
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=str)
@pytest.mark.parametrize("name", ["gpu-01", "lab-a", "lab-b"])
def test_nodes_at_every_size(snap_compare: Compare, name: str, size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state())
    assert snap_compare(app, terminal_size=size, run_before=at_node(name))


@pytest.mark.parametrize("name", ["gpu-02", "gpu-03", "mig-01", "old-01", "lab-c", "demo-01"])
def test_nodes(snap_compare: Compare, name: str) -> None:
    app, _ = app_on(fleet_state())
    assert snap_compare(app, terminal_size=(120, 40), run_before=at_node(name))


@pytest.mark.parametrize(
    "keys", ["4", "5", "6", "d", "question_mark", "left", "slash z z", "slash l a b"]
)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
def test_keys(snap_compare: Compare, keys: str, size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state())
    assert snap_compare(app, terminal_size=size, run_before=at_node("gpu-01", *keys.split()))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=str)
@pytest.mark.parametrize("keys", ["3", "3 3 down N", "3 x"])
def test_sessions(snap_compare: Compare, keys: str, size: tuple[int, int]) -> None:
    app, _ = app_on(with_sessions(fleet_state(), NOW))
    assert snap_compare(app, terminal_size=size, run_before=at_node("gpu-01", *keys.split()))


@pytest.mark.parametrize("name", ["gpu-02", "mig-01"])
def test_no_sessions(snap_compare: Compare, name: str) -> None:
    app, _ = app_on(with_sessions(fleet_state(), NOW))
    assert snap_compare(app, terminal_size=(80, 24), run_before=at_node(name, "3"))


def test_an_offer(snap_compare: Compare) -> None:
    hop = OpenHop("gpu-02", HopTarget.shell(), NOW - 300, 1, "0")
    app, _ = app_on(replace(fleet_state(), lent_to=("gpu-01",)), open_hops=[hop])
    assert snap_compare(app, terminal_size=(120, 40), run_before=at_node("gpu-01"))


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=str)
@pytest.mark.parametrize("keys", ["", "slash s t e p enter", "t enter space"])
def test_tails(snap_compare: Compare, keys: str, size: tuple[int, int]) -> None:
    app, fleet = app_on(with_sessions(fleet_state(), NOW))

    async def ready(pilot: Pilot[int]) -> None:
        await at_node("gpu-01", "3", "t")(pilot)
        actor = fleet.sessions("gpu-01")
        await until(pilot, lambda: actor.tails)
        training_log(actor.tails[0])
        await until(pilot, lambda: "loss=0.31" in screen_text(pilot))
        for number, key in enumerate(keys.split()):
            await pilot.press(key)
            if key == "enter" and number == 1:
                await until(pilot, lambda: len(actor.tails) == 2)
                actor.tails[1].print("me@gpu-01:~$")
                await until(pilot, lambda: "me@gpu-01:~$" in screen_text(pilot))
        await pilot.pause()
        _still(pilot)

    assert snap_compare(app, terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=str)
def test_many_nodes(snap_compare: Compare, size: tuple[int, int]) -> None:
    app, _ = app_on(big_state())
    assert snap_compare(app, terminal_size=size, run_before=at_node("node-117"))


@pytest.mark.parametrize(
    "question", [HOST_KEY, PASSPHRASE, CHALLENGE], ids=lambda q: type(q).__name__
)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
def test_questions(snap_compare: Compare, question: Any, size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state(), questions=Questions((question,)))
    assert snap_compare(app, terminal_size=size, run_before=in_dialog)


@pytest.mark.parametrize("hosts", [("gpu-01", "gpu-02", "lab-alias"), ()], ids=["hosts", "none"])
def test_first_run(snap_compare: Compare, hosts: tuple[str, ...]) -> None:
    async def open_fleet(prompter: Prompter) -> Opened | FirstRun:
        return FirstRun(Path("/home/ann/.config/gpuhop-tui/config.toml"), hosts, print)

    app = GpuhopApp(open_fleet, clock=lambda: NOW)
    assert snap_compare(app, terminal_size=(80, 24), run_before=in_dialog)


def test_open_failed(snap_compare: Compare) -> None:
    async def open_fleet(prompter: Prompter) -> Opened:
        raise ValueError('config.toml:14: nodes[2].prt: unknown key; did you mean "port"?')

    app = GpuhopApp(open_fleet, clock=lambda: NOW)
    assert snap_compare(app, terminal_size=(80, 24), run_before=in_dialog)


@pytest.mark.parametrize("theme", ["textual-light", "nord"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    app, _ = app_on(fleet_state())
    app.theme = theme
    assert snap_compare(app, terminal_size=(120, 40), run_before=at_node("gpu-01"))


def test_too_small(snap_compare: Compare) -> None:
    app, _ = app_on(fleet_state())

    async def ready(pilot: Pilot[int]) -> None:
        await opened(pilot)

    assert snap_compare(app, terminal_size=(60, 20), run_before=ready)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
def test_a_signature(snap_compare: Compare, size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state(), questions=Questions((SIGNATURE,)))
    assert snap_compare(app, terminal_size=size, run_before=in_dialog)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
@pytest.mark.parametrize("lent", [True, False], ids=["lent", "nobody"])
def test_the_guard(snap_compare: Compare, size: tuple[int, int], lent: bool) -> None:
    state = fleet_state()
    app, _ = app_on(with_lendings(state) if lent else state)

    async def ready(pilot: Pilot[int]) -> None:
        await at_node("gpu-01", "g")(pilot)
        await until(pilot, lambda: "Agent guard" in screen_text(pilot))
        await pilot.pause()
        _still(pilot)

    assert snap_compare(app, terminal_size=size, run_before=ready)
