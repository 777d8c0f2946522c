"""Hops into containers from the dashboard: enter, as somebody else, by SSH, of one that stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.sessions.hop_memory import OpenHop
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.sessions.in_container import InContainer
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.dashboard import DashboardScreen
from gpuhop_tui.tui.screens.hop_as import HopAsDialog
from tests.tui.fake_containers import container, with_containers
from tests.tui.fakes import NOW, FakeFleet, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until

Compare = Callable[..., bool]
TRAIN = container("train-llm", NOW)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def suspend(self: GpuhopApp) -> Iterator[None]:
        yield

    monkeypatch.setattr(GpuhopApp, "suspend", suspend)


def an_app(*open_hops: OpenHop) -> tuple[GpuhopApp, FakeFleet]:
    return app_on(with_containers(fleet_state(), NOW), open_hops=open_hops)


async def at(pilot: Pilot[int], name: str) -> DashboardScreen:
    """The dashboard, with that container selected."""
    dashboard = await opened(pilot)
    await pilot.press("2", "2")
    await until(pilot, lambda: "train-llm" in screen_text(pilot))
    view = dashboard.view
    wanted = next(each for each in view.node.containers.containers if each.name == name)
    view.containers.select(wanted.key)
    dashboard.show_selected()
    await until(pilot, lambda: view.selected_container == wanted)
    return dashboard


async def test_enter_hops_into_it() -> None:
    app, fleet = an_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await at(pilot, "train-llm")
        await pilot.press("enter")
        await until(pilot, lambda: fleet.hops)
        place = InContainer(TRAIN.id, "train-llm", "/var/run/docker.sock")
        assert fleet.hops == [("gpu-01", HopTarget.in_container(place))]


async def test_hop_as_another_user_elsewhere_is_remembered() -> None:
    app, fleet = an_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await at(pilot, "train-llm")
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, HopAsDialog))
        app.screen.query_one("#user", Input).value = "a b"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "is no user" in screen_text(pilot))
        app.screen.query_one("#user", Input).value = "root"
        app.screen.query_one("#directory", Input).value = "/mnt/data"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: fleet.hops)
        place = fleet.hops[0][1].container
        assert place is not None
        assert (place.user, place.directory) == ("root", "/mnt/data")
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, HopAsDialog))
        assert app.screen.query_one("#directory", Input).value == "/mnt/data"
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, HopAsDialog))
        assert len(fleet.hops) == 1


async def test_by_its_own_ssh_server() -> None:
    app, fleet = an_app()
    none = ContainerError("no such file", "Check the path.", 404)
    async with app.run_test(size=(120, 40)) as pilot:
        await at(pilot, "train-llm")
        fleet.containers("gpu-01").engine.answers["get_archive"] = none
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, HopAsDialog))
        await until(pilot, lambda: app.screen.focused is app.screen.query_one("#user"))
        await pilot.press("tab", "tab", "space")
        await until(pilot, lambda: app.screen.query_one("#directory", Input).disabled)
        assert "[x] by its own SSH server" in screen_text(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: fleet.hops)
        door = fleet.hops[0][1].door
        assert door is not None
        assert (door.port, door.address, door.user, door.name) == (2222, "", "ann", "train-llm")


async def test_without_an_ssh_server_there_is_no_such_choice() -> None:
    app, _ = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "diffusion")
        await pilot.press("E")
        await until(pilot, lambda: "publishes no SSH server" in screen_text(pilot))
        assert not app.screen.query("#ssh")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_form_looks_as_before(snap_compare: Compare, size: tuple[int, int]) -> None:
    app, _ = an_app()

    async def before(pilot: Pilot[int]) -> None:
        await at(pilot, "train-llm")
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, HopAsDialog))

    assert snap_compare(app, terminal_size=size, run_before=before)


async def test_one_that_has_stopped_is_started_first_where_that_is_wanted() -> None:
    app, fleet = an_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        dashboard = await at(pilot, "sweep-7")
        engine = fleet.containers("gpu-01").engine
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "Start container sweep-7 on gpu-01?" in screen_text(pilot)
        assert "exit status 137" in screen_text(pilot)
        await pilot.press("n")
        await until(pilot, lambda: app.screen is dashboard)
        assert "start" not in engine.names()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: fleet.hops)
        assert "start" in engine.names()


async def test_one_that_is_paused_is_said_to_be() -> None:
    app, fleet = an_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at(pilot, "held")
        await pilot.press("enter")
        await until(pilot, lambda: "docker unpause held" in screen_text(pilot))
        assert not fleet.hops


async def test_what_was_open_is_offered_by_the_container_s_name() -> None:
    place = InContainer(TRAIN.id, "train-llm", "/var/run/docker.sock")
    hop = OpenHop("gpu-01", HopTarget.in_container(place), time.time(), 1, "1")
    app, fleet = an_app(hop)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "into container train-llm on gpu-01" in screen_text(pilot))
        await pilot.press("b")
        await until(pilot, lambda: fleet.hops)
        assert fleet.hops == [("gpu-01", hop.target)]
