"""The containers of a node: listed, marked, ended, started, renamed, made images of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.model import Listing, LostGpus
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.container_menu import ContainerMenu
from gpuhop_tui.tui.screens.dashboard import DashboardScreen
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.screens.end_containers import EndContainersDialog
from gpuhop_tui.tui.screens.name_dialog import NameDialog
from tests.tui.fake_containers import (
    LOST,
    RESTARTING,
    FakeEngine,
    a_client,
    a_listing,
    many_containers,
    some_containers,
    with_containers,
)
from tests.tui.fakes import NOW, FakeFleet, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, text_of, until

SIZES = [(80, 24), (120, 40), (200, 60)]
TRAIN, JUPYTER, DIFFUSION, FLAPPING, *_, SWEEP, DONE, NEVER = some_containers(NOW)


def the_app(**more: Any) -> tuple[GpuhopApp, FakeFleet]:
    return app_on(with_containers(fleet_state(), NOW), **more)


async def at_containers(pilot: Pilot[int], *keys: str) -> DashboardScreen:
    """The dashboard with the containers of gpu-01 in view and in focus."""
    dashboard = await opened(pilot)
    await pilot.press("2", "2", *keys)
    await until(pilot, lambda: dashboard.view.shows_containers)
    return dashboard


async def ready_to_end(pilot: Pilot[int]) -> EndContainersDialog:
    """The question, once it says what would be lost."""
    await until(pilot, lambda: isinstance(pilot.app.screen, EndContainersDialog))
    dialog = pilot.app.screen
    assert isinstance(dialog, EndContainersDialog)
    await until(pilot, lambda: not any(button.disabled for button in dialog.query(Button)))
    return dialog


def engine(fleet: FakeFleet, node: str = "gpu-01") -> FakeEngine:
    return fleet.containers(node).engine


def done(fleet: FakeFleet, *names: str) -> list[tuple[str, str]]:
    """What was done to which container: the requests of these names, and whom they name."""
    asked = engine(fleet).asked
    return [(each.name, each.args[0]) for each in asked if each.name in names]


def refuse(words: str) -> ContainerError:
    return ContainerError(f"gpu-01: {words} failed: it is said to be", "Mend it.", 409)


# The list


@pytest.mark.parametrize("size", SIZES)
async def test_containers_are_listed(size: tuple[int, int]) -> None:
    app, _ = the_app()
    async with app.run_test(notifications=True, size=size) as pilot:
        dashboard = await at_containers(pilot)
        shown = text_of(dashboard.view.containers)
        for words in (
            "train-llm", "healthy", "812 %", "216 G", "0-3", "unhealthy", "0/2 lost",
            "→ Restart the container", "restarting", "paused", "訓練-コンテナ", "exited 137",
            "it ran out of memory", "8 of 11 run", "4 images, 81 G",
        ):  # fmt: skip
            assert words in " ".join(shown.split()), words
        for key in ("⏎ hop", "x end", "m more", "space mark"):
            assert key in screen_text(pilot), key
        assert "containers" in screen_text(pilot)
        assert dashboard.view.selected_container == TRAIN


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpu-02", "There is no container on gpu-02. n starts one."),
        ("mig-01", "No permission: gpu-user may not open /var/run/docker.sock on mig-01"),
        ("old-01", "No docker: there is no Docker on old-01"),
        ("lab-a", "Looking for containers on lab-a"),
        ("gpu-03", "No link to gpu-03: waiting 4 s"),
    ],
)
async def test_without_containers_the_reason_is_there(name: str, words: str) -> None:
    app, _ = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot)
        dashboard.go_to_node(name)
        rows = dashboard.view.containers
        await until(pilot, lambda: words in " ".join(text_of(rows).split()))
        await until(pilot, lambda: "space mark" not in screen_text(pilot))
        await pilot.press("x", "m", "space", "enter")
        assert app.screen is dashboard


async def test_containers_are_watched_while_they_are_in_view() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await until(pilot, lambda: fleet.containers("gpu-01").watched)  # for its jobs' names
        await pilot.press("4")
        await until(pilot, lambda: not fleet.containers("gpu-01").watched)
        await pilot.press("2")
        await until(pilot, lambda: fleet.containers("gpu-01").watched)
        dashboard.go_to_node("gpu-02")
        await until(pilot, lambda: fleet.containers("gpu-02").watched)
        assert not fleet.containers("gpu-01").watched
        dashboard.hopper.is_away = True  # as while a hop has the terminal
        dashboard.show_selected()
        assert not fleet.containers("gpu-02").watched
        dashboard.hopper.is_away = False
        dashboard.show_selected()
        assert fleet.containers("gpu-02").watched
        await pilot.press("3")
        await until(pilot, lambda: not fleet.containers("gpu-02").watched)


async def test_the_cursor_is_on_a_container_whatever_changes() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await at_containers(pilot, "down")
        view = dashboard.view
        assert view.selected_container == JUPYTER
        newer = many_containers(NOW, 3)
        listing = a_listing(NOW)
        fleet.change(
            "gpu-01", containers=replace(listing, containers=(*newer, *listing.containers))
        )
        await until(pilot, lambda: "job-002" in text_of(view.containers))
        assert view.selected_container == JUPYTER
        left = tuple(each for each in listing.containers if each != JUPYTER)
        fleet.change("gpu-01", containers=replace(listing, containers=left))
        await until(pilot, lambda: view.selected_container not in (None, JUPYTER))
        dashboard.go_to_node("lab-c")
        await until(pilot, lambda: view.selected_container)
        assert view.selected_container is not None
        assert view.selected_container.node == "lab-c"
        fleet.change("lab-c", containers=Listing("docker 27.3.1"))
        await until(pilot, lambda: view.selected_container is None)


async def test_old_containers_are_kept_and_their_age_grows() -> None:
    time = NOW
    app, fleet = the_app(clock=lambda: time)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot)
        assert "What was there" not in text_of(dashboard.view.containers)
        fleet.change("gpu-01", containers_problem=RESTARTING)
        time += 42
        await until(pilot, lambda: "What was there 42 s ago" in text_of(dashboard.view.containers))
        assert "train-llm" in text_of(dashboard.view.containers)
        fleet.change("gpu-01", containers_problem=None)
        await until(pilot, lambda: "What was there" not in text_of(dashboard.view.containers))


async def test_two_hundred_containers_are_scrolled_by_keys() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await at_containers(pilot)
        fleet.change("gpu-01", containers=Listing("docker 27.3.1", many_containers(NOW)))
        rows = dashboard.view.containers
        await until(pilot, lambda: "job-199" in text_of(rows))
        await pilot.press("end")
        await until(pilot, lambda: "job-199" in screen_text(pilot))
        assert rows.container is not None
        assert rows.container.name == "job-199"
        await pilot.press("pageup", "pageup", "home")
        await until(pilot, lambda: rows.container and rows.container.name == "job-000")


async def test_what_is_as_before_is_not_laid_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await at_containers(pilot)
        laid = []
        monkeypatch.setattr(dashboard.view.containers, "show_rows", laid.append)
        for _ in range(5):
            dashboard.show_selected()
        assert not laid
        await pilot.press("space")
        assert laid


async def test_a_container_is_gone_to_and_selected_once_it_is_listed() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot, "i")
        dashboard.go_to_container(SWEEP)
        await until(pilot, lambda: dashboard.view.selected_container == SWEEP)
        (new,) = many_containers(NOW, 1)
        dashboard.view.containers.await_container("gpu-01", new.id)
        listing = a_listing(NOW)
        fleet.change("gpu-01", containers=replace(listing, containers=(*listing.containers, new)))
        await until(pilot, lambda: dashboard.view.selected_container == new)


# Images


async def test_images_and_disk_take_the_place_of_the_list() -> None:
    app, _ = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot, "down", "i")
        view = dashboard.view
        await until(pilot, lambda: "USED BY" in text_of(view.containers))
        assert "On disk: images 81 G" in text_of(view.containers)
        assert view.selected_container is None
        assert view.selected_image is not None
        assert view.selected_image.tags[0] == "pytorch-ssh:2.8"
        await until(pilot, lambda: "space mark" not in screen_text(pilot))
        await pilot.press("i")
        assert view.selected_container == JUPYTER
        await pilot.press("i", "escape")
        assert view.selected_container == JUPYTER


async def test_an_unused_image_is_removed_after_the_question() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot, "i", "down", "x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "Remove image bbbbbbbbbbbb on gpu-01?" in screen_text(pilot)
        await pilot.press("n", "x", "y")
        await until(pilot, lambda: done(fleet, "remove_image"))
        assert done(fleet, "remove_image") == [("remove_image", "sha256:" + "b" * 64)]
        await until(pilot, lambda: "Bbbbbbbbbbbb was removed" in screen_text(pilot))


async def test_an_image_in_use_is_not_removed() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot, "i", "x")
        await until(pilot, lambda: "is the image of train-llm" in screen_text(pilot))
        assert app.screen is dashboard
        assert not engine(fleet).asked


async def test_all_names_of_an_image_go() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot)
        fleet.change("gpu-01", containers=replace(a_listing(NOW), containers=()))
        await pilot.press("i", "x")
        await until(pilot, lambda: "All its names go" in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: len(done(fleet, "remove_image")) == 2)
        assert [name for _, name in done(fleet, "remove_image")] == [
            "pytorch-ssh:2.8",
            "pytorch-ssh:latest",
        ]


# Ending


async def test_ending_asks_and_says_what_would_be_lost() -> None:
    app, fleet = the_app()
    node = fleet.state.node("gpu-01")
    assert node is not None
    assert node.sample is not None
    first, *others = node.sample.gpus
    mine = tuple(replace(each, container_id=TRAIN.id) for each in first.processes)
    gpus = (replace(first, processes=mine), *others)
    fleet.change("gpu-01", sample=replace(node.sample, gpus=gpus))
    engine(fleet).execs["e1"] = a_client("bash -l")
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot, "x")
        await ready_to_end(pilot)
        shown = " ".join(screen_text(pilot).replace("│", " ").split())
        for words in (
            "Stop, kill or remove train-llm on gpu-01?", "1 process on GPUs", "(marie)",
            "bash -l (at a terminal)", "12 paths changed in it", "/var/lib/data",
        ):  # fmt: skip
            assert words in shown, words
        await pilot.press("enter")  # No has the focus
        await until(pilot, lambda: not isinstance(app.screen, Dialog))
        await pilot.press("x", "escape")
        await until(pilot, lambda: not isinstance(app.screen, Dialog))
        assert not done(fleet, "stop", "remove_container", "kill")


@pytest.mark.parametrize(
    ("key", "name", "more"),
    [
        ("s", "stop", {"timeout": 10}),
        ("k", "kill", {}),
        ("r", "remove_container", {"v": True, "force": True}),
    ],
)
async def test_a_running_container_is_ended(key: str, name: str, more: dict[str, object]) -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot, "x")
        await ready_to_end(pilot)
        await pilot.press(key)
        await until(pilot, lambda: done(fleet, name))
        asked = next(each for each in engine(fleet).asked if each.name == name)
        assert (asked.args, asked.more) == ((TRAIN.id,), more)
        word = {"s": "stopped", "k": "killed", "r": "removed"}[key]
        await until(pilot, lambda: f"Train-llm was {word}" in screen_text(pilot))


async def test_one_that_has_ended_can_only_be_removed() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot, "end", "up", "x")
        dialog = await ready_to_end(pilot)
        assert {button.id for button in dialog.query(Button)} == {"remove", "no"}
        await pilot.press("s", "k")
        assert app.screen is dialog
        await pilot.press("r")
        await until(pilot, lambda: done(fleet, "remove_container"))
        assert engine(fleet).asked[-1].more == {"v": True, "force": False}


async def test_nothing_is_chosen_before_it_is_known_what_would_be_lost() -> None:
    app, fleet = the_app()
    engine(fleet).gate.clear()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot, "x")
        await until(pilot, lambda: "Looking what else would be lost…" in screen_text(pilot))
        await pilot.press("s", "k", "r")
        assert isinstance(app.screen, EndContainersDialog)
        engine(fleet).refusals["looking at"] = refuse("looking")
        engine(fleet).gate.set()
        await ready_to_end(pilot)
        assert "What else would be lost is not known" in screen_text(pilot)
        await pilot.press("s")
        await until(pilot, lambda: done(fleet, "stop"))


async def test_what_is_under_way_is_at_its_row_and_blocks_nothing() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await at_containers(pilot, "x")
        await ready_to_end(pilot)
        engine(fleet).gate.clear()
        await pilot.press("s")
        rows = dashboard.view.containers
        await until(pilot, lambda: "stopping…" in text_of(rows))
        await pilot.press("down")
        assert dashboard.view.selected_container == JUPYTER
        engine(fleet).refusals["stopping"] = refuse("stopping train-llm")
        engine(fleet).gate.set()
        await until(pilot, lambda: "stopping…" not in text_of(rows))
        said = "gpu-01: stopping train-llm failed"
        await until(pilot, lambda: said in " ".join(text_of(rows).split()))
        await until(pilot, lambda: "Mend it." in screen_text(pilot))  # the toast
        await pilot.press("escape")
        assert said not in " ".join(text_of(rows).split())


async def test_a_kill_does_not_wait_for_a_stop() -> None:
    app, _ = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await at_containers(pilot)
        rows, doings = dashboard.view.containers, dashboard.doings
        stopping, killing = asyncio.Event(), asyncio.Event()
        stop = asyncio.create_task(doings.do("stopping", {TRAIN.key: stopping.wait}))
        await until(pilot, lambda: "stopping…" in text_of(rows))
        kill = asyncio.create_task(doings.do("killing", {TRAIN.key: killing.wait}))
        await until(pilot, lambda: "killing…" in text_of(rows))
        stopping.set()
        assert await stop == {}
        assert "killing…" in text_of(rows)
        killing.set()
        assert await kill == {}
        await until(pilot, lambda: "killing…" not in text_of(rows))


async def test_a_lost_link_refuses_with_the_reason() -> None:
    app, _ = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await at_containers(pilot)
        dashboard.go_to_node("lab-c")
        await until(pilot, lambda: dashboard.view.selected_container)
        await pilot.press("x")
        await until(pilot, lambda: "No way to lab-c" in screen_text(pilot))
        assert app.screen is dashboard


async def test_a_lost_link_while_it_is_done_is_said() -> None:
    app, fleet = the_app()
    lost = Problem("gpu-01", ErrorKind.LOST, "connection lost", "It comes back by itself.")
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot, "x")
        await ready_to_end(pilot)
        engine(fleet).refusals["stopping"] = ProblemError(lost)
        await pilot.press("s")
        await until(pilot, lambda: "It comes back by itself." in screen_text(pilot))


# Several


async def test_several_are_marked_asked_about_once_and_ended_at_the_same_time() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot, "space", "space", "space")
        rows = dashboard.view.containers
        assert [each.name for each in rows.marked] == ["train-llm", "jupyter-wei", "diffusion"]
        assert "3 marked" in text_of(rows)
        await pilot.press("up", "space")  # the third again
        assert "2 marked" in text_of(rows)
        await pilot.press("end", "x")
        await ready_to_end(pilot)
        shown = screen_text(pilot)
        assert "Stop, kill or remove 2 containers on gpu-01?" in shown
        assert "train-llm has run" in shown
        assert "jupyter-wei has run" in shown
        assert "diffusion has run" not in shown
        engine(fleet).gate.clear()
        await pilot.press("s")
        await until(pilot, lambda: text_of(rows).count("stopping…") == 2)
        engine(fleet).gate.set()
        await until(pilot, lambda: len(done(fleet, "stop")) == 2)
        assert {id for _, id in done(fleet, "stop")} == {TRAIN.id, JUPYTER.id}
        await until(pilot, lambda: "2 containers were stopped" in screen_text(pilot))
        assert len(rows.marked) == 2  # to be removed next, for example
        await pilot.press("escape")
        assert not rows.marked
        assert app.screen is dashboard


async def test_each_failure_of_several_is_reported() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot, "space", "space", "space", "x")
        await ready_to_end(pilot)
        for each in (TRAIN, DIFFUSION):
            engine(fleet).refusals[f"stopping {each.name}"] = refuse(f"stopping {each.name}")
        await pilot.press("s")
        await until(pilot, lambda: "2 of 3 failed" in screen_text(pilot))
        shown = text_of(dashboard.view.containers)
        for each in (TRAIN, DIFFUSION):
            assert f"stopping {each.name} failed" in shown
        assert "stopping jupyter-wei failed" not in shown
        assert done(fleet, "stop") == [("stop", JUPYTER.id)]


async def test_stopping_leaves_alone_what_does_not_run() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot, "space", "end", "up", "space", "x")
        await ready_to_end(pilot)
        await pilot.press("s")
        await until(pilot, lambda: "Train-llm was stopped" in screen_text(pilot))
        assert done(fleet, "stop") == [("stop", TRAIN.id)]


async def test_marks_are_a_nodes_own_and_go_with_what_they_mark() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot, "space", "space")
        rows = dashboard.view.containers
        dashboard.go_to_node("lab-c")
        await until(pilot, lambda: rows.container and rows.container.node == "lab-c")
        assert not rows.marked
        dashboard.go_to_node("gpu-01")
        assert [each.name for each in rows.marked] == ["train-llm", "jupyter-wei"]
        left = a_listing(NOW)
        fleet.change("gpu-01", containers=replace(left, containers=left.containers[1:]))
        await until(pilot, lambda: [each.name for each in rows.marked] == ["jupyter-wei"])


# The menu


async def in_menu(pilot: Pilot[int]) -> ContainerMenu:
    await pilot.press("m")
    await until(pilot, lambda: isinstance(pilot.app.screen, ContainerMenu))
    menu = pilot.app.screen
    assert isinstance(menu, ContainerMenu)
    await until(pilot, lambda: "stop, kill or remove" in text_of(menu.rows))
    return menu


async def test_the_menu_has_all_facts_and_only_does_what_can_be_done() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot)
        menu = await in_menu(pilot)
        shown = text_of(menu.rows)
        for words in ("/usr/sbin/sshd -D", "61 G of 1.0 T", "r  restart…"):
            assert words in shown, words
        assert "s  start" not in shown
        assert "u  resume" not in shown
        await pilot.press("s")
        assert app.screen is menu
        assert not engine(fleet).asked
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not menu)


async def test_one_that_has_ended_is_started_unasked() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot, "end", "up")
        await in_menu(pilot)
        await pilot.press("down", "enter")  # the first is a hop
        await until(pilot, lambda: done(fleet, "start"))
        assert done(fleet, "start") == [("start", DONE.id)]
        await until(pilot, lambda: "Done was started" in screen_text(pilot))


async def test_a_paused_one_is_resumed() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await at_containers(pilot, "down", "down", "down", "down")
        held = dashboard.view.selected_container
        assert held is not None
        assert held.state == "paused"
        await in_menu(pilot)
        await pilot.press("u")
        await until(pilot, lambda: done(fleet, "unpause") == [("unpause", held.id)])
        await until(pilot, lambda: "Held was resumed" in screen_text(pilot))


@pytest.mark.parametrize("lost", [None, LOST])
async def test_lost_gpus_are_looked_for_when_asked(lost: LostGpus | None) -> None:
    app, fleet = the_app()
    fleet.containers("gpu-01").lost = lost
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot)
        await in_menu(pilot)
        await pilot.press("g")
        words = "lost its GPUs: its" if lost else "No GPU of train-llm is seen to be lost"
        await until(pilot, lambda: any(words in each.message for each in app._notifications))
        assert fleet.containers("gpu-01").checked == [TRAIN]


async def test_restarting_asks() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot)
        await in_menu(pilot)
        await pilot.press("r")
        dialog = await ready_to_end(pilot)
        assert {button.id for button in dialog.query(Button)} == {"restart", "no"}
        assert "Gone with a removal" not in screen_text(pilot)
        await pilot.press("r")
        await until(pilot, lambda: done(fleet, "restart") == [("restart", TRAIN.id)])
        assert not done(fleet, "remove_container")


async def test_a_new_name_is_checked_and_a_refusal_keeps_it() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot)
        await in_menu(pilot)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        field = app.screen.query_one("#name", Input)
        assert field.value == "train-llm"
        field.value = "-no"
        await pilot.press("enter")
        await until(pilot, lambda: "letters, digits and" in screen_text(pilot))
        engine(fleet).refusals["renaming"] = refuse("renaming train-llm")
        field.value = "train-2"
        await pilot.press("enter")
        await until(pilot, lambda: "Mend it." in screen_text(pilot))
        assert field.value == "train-2"
        assert not done(fleet, "rename")
        engine(fleet).refusals.clear()
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, NameDialog))
        asked = engine(fleet).asked[-1]
        assert (asked.name, asked.args) == ("rename", (TRAIN.id, "train-2"))


async def test_an_image_is_made_in_the_background_and_its_name_is_kept_on_failure() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await at_containers(pilot)
        await in_menu(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        field = app.screen.query_one("#name", Input)
        assert field.value == "train-llm:latest"
        field.value = "Team/Train"
        await pilot.press("enter")
        await until(pilot, lambda: "in small letters" in screen_text(pilot))
        engine(fleet).gate.clear()
        field.value = "team/train:v2"
        await pilot.press("enter")
        await until(pilot, lambda: "making an" in text_of(dashboard.view.containers))
        engine(fleet).refusals["making an image"] = refuse("making an image")
        engine(fleet).gate.set()
        await until(pilot, lambda: "Mend it." in screen_text(pilot))
        engine(fleet).refusals.clear()
        await in_menu(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        assert app.screen.query_one("#name", Input).value == "team/train:v2"
        await pilot.press("enter")
        await until(pilot, lambda: done(fleet, "commit"))
        asked = engine(fleet).asked[-1]
        assert asked.more == {"repository": "team/train", "tag": "v2"}


async def test_the_menu_of_several() -> None:
    app, fleet = the_app()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot, "space", "end", "up", "space")
        menu = await in_menu(pilot)
        shown = text_of(menu.rows)
        assert "2 containers on gpu-01" in screen_text(pilot)
        assert "n  rename…  one at a time" in shown
        await pilot.press("n")
        assert app.screen is menu
        await pilot.press("s")
        await until(pilot, lambda: done(fleet, "start") == [("start", DONE.id)])


async def test_everything_is_in_the_palette_too() -> None:
    app, _ = the_app()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await at_containers(pilot)
        await until(pilot, lambda: dashboard.view.selected_container)
        names = [name for name, _ in dashboard.container_commands()]
        for name in (
            "Stop, kill or remove: train-llm on gpu-01", "Restart: train-llm on gpu-01",
            "Rename: train-llm on gpu-01", "Make an image of: train-llm on gpu-01",
            "Images and disk use of gpu-01",
        ):  # fmt: skip
            assert name in names, name
        await pilot.press("ctrl+p", *"rename", "enter")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        await pilot.press("escape", "ctrl+p", *"sweep", "enter")
        await until(
            pilot,
            lambda: (
                dashboard.view.selected_container
                and dashboard.view.selected_container.name == "sweep-7"
            ),
        )


# Pictures

Compare = Callable[..., bool]


def pictured(*keys: str, node: str = "gpu-01", found: str = "") -> Any:
    async def ready(pilot: Pilot[int]) -> None:
        dashboard = await at_containers(pilot)
        dashboard.go_to_node(node)
        await pilot.press(*keys)
        await until(pilot, lambda: found in screen_text(pilot))
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()

    return ready


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("down", "jupyter-wei"),
        ("space space x", "Gone with a removal"),
        ("m", "restart…"),
        ("i", "USED BY"),
        ("m n", "Its new name"),
    ],
    ids=["list", "end", "menu", "images", "rename"],
)
def test_pictures(snap_compare: Compare, keys: str, found: str, size: tuple[int, int]) -> None:
    app, _ = the_app()
    assert snap_compare(app, terminal_size=size, run_before=pictured(*keys.split(), found=found))


@pytest.mark.parametrize("node", ["gpu-02", "mig-01", "lab-c"])
def test_pictures_of_what_is_missing(snap_compare: Compare, node: str) -> None:
    app, _ = the_app()
    assert snap_compare(app, terminal_size=(80, 24), run_before=pictured(node=node))
