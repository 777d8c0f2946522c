"""The dashboard by its keys and its mouse, at every size."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import pytest
from textual.widgets import Input

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from gpuhop_tui.tui.render.line import width_of
from gpuhop_tui.tui.render.tree import Sort
from gpuhop_tui.tui.screens.details import DetailsScreen
from gpuhop_tui.tui.screens.help import HelpScreen
from tests.tui import fakes
from tests.tui.fake_sessions import pane, session
from tests.tui.fakes import NOW, app_on, big_state, fleet_state
from tests.tui.waiting import opened, screen_text, text_of, until

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_screen_has_everything(size: tuple[int, int]) -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=size) as pilot:
        await opened(pilot)
        shown = screen_text(pilot)
        assert fleet.started
        for words in (
            "6/9 nodes", "32 GPUs", "12 free", "14 busy", "6 users", "14:02:11",
            "jump-server", "● gpu-01", "waiting 4 s", "host key changed", "answer of edge…", "sim",
            "gpu-user@10.0.0.50:2222", "97 %", "54/80 G", "marie",
            "1 jobs", "python train.py",
            "f freest", "/ filter", "r retry", "d details", "? help", "q quit",
        ):  # fmt: skip
            assert words in shown, words
    assert fleet.stopped


@pytest.mark.parametrize("size", SIZES)
async def test_every_node_can_be_looked_at(size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=size) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("home")
        seen = []
        for _ in dashboard.fleet_tree.shown:
            await until(pilot, lambda: dashboard.selected is not None)
            assert dashboard.selected is not None
            seen.append(dashboard.selected.name)
            await until(pilot, lambda: seen[-1] in text_of(dashboard.view.head), seen[-1])
            for tab in "234561":
                await pilot.press(tab)
            await pilot.press("down")
    assert seen == [row.name for row in dashboard.fleet_tree.shown]


async def test_a_small_terminal_is_told_so() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: "needs 80×24" in screen_text(pilot))
        assert "60×20" in screen_text(pilot)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "gpu-01" in screen_text(pilot))


async def test_problems_are_shown_with_their_advice() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("lab-b")
        await until(pilot, lambda: "ssh-keygen -R lab-b" in screen_text(pilot))
        shown = screen_text(pilot)
        assert "Host key changed at lab-b" in shown
        assert "line 17" in shown
        assert "r tries once it is mended" in shown
        dashboard.go_to_node("gpu-01")
        await until(pilot, lambda: not dashboard.view.problem.display)


async def test_the_clock_moves_countdowns_and_ages() -> None:
    now = NOW
    app, _ = app_on(fleet_state(), clock=lambda: now)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("lab-c")
        await until(pilot, lambda: "12 s old" in screen_text(pilot))
        now = NOW + 3
        dashboard.tick()
        await until(pilot, lambda: "15 s old" in screen_text(pilot))
        assert "waiting 1 s" in screen_text(pilot)
        assert "14:02:14" in screen_text(pilot)


async def test_a_change_is_shown() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        sample = fakes.busy_node(NOW).sample
        assert sample is not None
        gpus = (replace(sample.gpus[0], utilization_percent=13), *sample.gpus[1:])
        fleet.change("gpu-01", sample=replace(sample, gpus=gpus))
        await until(pilot, lambda: "13 %" in text_of(dashboard.view.gpus))
        await until(pilot, lambda: "▂██▆▇▃▁▁" in screen_text(pilot))


# Selection


async def test_the_selection_is_a_name_and_survives() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        tree = dashboard.fleet_tree
        await pilot.press("down", "down", "down")
        assert tree.selected == ("node", "mig-01")
        state = fleet.state
        fleet.set(replace(state, nodes=tuple(reversed(state.nodes))))
        await until(pilot, lambda: dashboard.state is fleet.state)
        assert tree.selected == ("node", "mig-01")
        assert tree.cursor is not None
        assert tree.shown[tree.cursor].name == "mig-01"
        for _ in Sort:
            await pilot.press("o")
            assert tree.shown[tree.cursor].name == "mig-01"
        await pilot.press("slash", *"gpu-02")
        await until(pilot, lambda: len(tree.shown) == 2)
        assert tree.selected == ("node", "mig-01")
        assert tree.cursor is None
        assert "mig-01" in text_of(dashboard.view.head)
        await pilot.press("escape")
        await until(pilot, lambda: tree.cursor is not None)
        assert tree.shown[tree.cursor].name == "mig-01"
        rest = tuple(node for node in state.nodes if node.name != "mig-01")
        fleet.set(replace(state, nodes=rest))
        await until(pilot, lambda: dashboard.state is fleet.state)
        assert tree.selected == ("node", "gpu-01")


async def test_gpu_selection_is_kept_for_each_node() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("tab", "down", "down")
        assert dashboard.view.gpus.selected == 2
        await until(pilot, lambda: "GPU 2 utilization" in screen_text(pilot))
        await pilot.press("shift+tab", "down")
        assert dashboard.view.gpus.selected == 0
        await pilot.press("up")
        assert dashboard.view.gpus.selected == 2


async def test_folding_a_bastion() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        tree = dashboard.fleet_tree
        await pilot.press("left")
        assert tree.selected == ("bastion", "jump-server")
        await until(pilot, lambda: "4 of 5 nodes up" in screen_text(pilot))
        await pilot.press("left")
        assert [row.name for row in tree.shown][:2] == ["jump-server", "edge"]
        await pilot.press("space")
        assert "gpu-01" in [row.name for row in tree.shown]
        await pilot.press("left")
        dashboard.go_to_node("gpu-02")
        assert tree.selected == ("node", "gpu-02")
        assert "gpu-02" in [row.name for row in tree.shown]


async def test_moving_in_the_tree() -> None:
    app, _ = app_on(big_state(nodes=128))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        tree = dashboard.fleet_tree
        assert len(tree.shown) == 132
        await until(pilot, lambda: tree.show_vertical_scrollbar)
        await until(pilot, lambda: "● node-000" in screen_text(pilot))
        assert all(width_of(tree.line_at(y)) == tree.size.width - 1 for y in range(132))
        await pilot.press("end")
        assert tree.cursor == 131
        await until(pilot, lambda: tree.scroll_offset.y == 132 - tree.size.height)
        await pilot.press("pageup")
        assert tree.cursor == 131 - (tree.size.height - 1)
        await pilot.press("home", "k")
        assert tree.cursor == 0
        await until(pilot, lambda: tree.scroll_offset.y == 0)
        await pilot.press("j", "pagedown")
        assert tree.cursor == 1 + tree.size.height - 1


# Keys


async def test_freest_goes_from_free_gpu_to_free_gpu() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        places = []
        for _ in range(12):
            await pilot.press("f")
            assert dashboard.selected is not None
            places.append((dashboard.selected.name, dashboard.view.gpus.selected))
        assert places == [
            *(("gpu-02", n) for n in range(8)), ("lab-a", 1), ("lab-a", 3), ("gpu-01", 7),
            ("demo-01", 3),
        ]  # fmt: skip
        await pilot.press("f")
        await until(pilot, lambda: "used the least" in screen_text(pilot))
        await pilot.press("up")
        await pilot.press("f")
        assert dashboard.selected.name == "gpu-02"


async def test_freest_ends_a_filter_that_hides_it() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("slash", *"lab", "enter", "f")
        assert dashboard.fleet_tree.selected == ("node", "gpu-02")
        assert dashboard.fleet_tree.needle == ""


async def test_freest_without_figures() -> None:
    app, _ = app_on(FleetState(nodes=(fakes.waiting_node(NOW),)))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("f")
        await until(pilot, lambda: "No node has live figures" in screen_text(pilot))


async def test_filter() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("slash", *"priya")
        await until(
            pilot, lambda: [r.name for r in dashboard.fleet_tree.shown] == ["edge", "lab-a"]
        )
        await pilot.press("enter", "down", "down")
        assert dashboard.fleet_tree.selected == ("node", "lab-a")
        await pilot.press("slash", *"zzz")
        await until(pilot, lambda: "Nothing matches “zzz”" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: len(dashboard.fleet_tree.shown) == 11)
        assert not dashboard.filter.display
        assert app.focused is dashboard.fleet_tree


async def test_an_empty_filter_goes_away_by_itself() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("slash", "enter")
        await until(pilot, lambda: not dashboard.filter.display)


async def test_keys_typed_into_the_filter_do_nothing_else() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("slash", *"rqdfo?")
        assert dashboard.filter.value == "rqdfo?"
        assert fleet.retried == []
        assert app.is_running


async def test_sort_says_its_order() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        for order in (Sort.NAME, Sort.FREE, Sort.USE, Sort.CONFIG):
            await pilot.press("o")
            assert dashboard.fleet_tree.sort is order
            words = f"Ordered by {order.value}"
            await until(pilot, partial(lambda words: words in screen_text(pilot), words))


async def test_retry() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("down", "down", "r", "R", "left", "r")
        assert fleet.retried == ["gpu-03", None, "jump-server"]
        await until(pilot, lambda: "Trying gpu-03 again" in screen_text(pilot))


async def test_details_follow_the_figures() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("old-01")
        await pilot.press("d")
        await until(pilot, lambda: "GPU 0 of old-01" in screen_text(pilot))
        assert "– nvidia-smi does not tell users" in screen_text(pilot)
        screen = app.screen
        assert isinstance(screen, DetailsScreen)
        fleet.set(FleetState())
        await until(pilot, lambda: dashboard.state is fleet.state)
        screen.show()
        await until(pilot, lambda: "no longer there" in screen_text(pilot))
        await pilot.press("escape")
        assert app.screen is dashboard


async def test_details_without_a_gpu() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-03")
        await pilot.press("d")
        await until(pilot, lambda: "Select a node with GPUs" in screen_text(pilot))
        assert app.screen is dashboard


async def test_help_shows_the_keys_of_the_user() -> None:
    app, _ = app_on(fleet_state(), keymap={"freest": "ctrl+f", "sort": "s,S"})
    async with app.run_test(notifications=True, size=(120, 60)) as pilot:
        dashboard = await opened(pilot)
        assert "^f freest" in screen_text(pilot)
        await pilot.press("ctrl+f")
        assert dashboard.fleet_tree.selected == ("node", "gpu-02")
        await pilot.press("f")
        assert dashboard.view.gpus.selected == 0
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await until(pilot, lambda: "Jump to the freest GPU" in screen_text(pilot))
        shown = screen_text(pilot)
        assert "^f" in shown
        assert "s S" in shown
        await pilot.press("end")
        await until(pilot, lambda: "blocked: needs you" in screen_text(pilot))
        await pilot.press("question_mark")
        assert app.screen is dashboard


async def test_a_keymap_with_an_unknown_id_is_told() -> None:
    app, _ = app_on(fleet_state(), keymap={"freezt": "x", "quit": "Q"})
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "ui.keymap names no key: freezt" in screen_text(pilot))
        await pilot.press("q")
        assert app.is_running
        await pilot.press("Q")
    assert app.return_value == 0


async def test_palette_goes_to_a_node() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: app.screen is not dashboard)
        await pilot.press(*"lab-b")
        await until(pilot, lambda: "Go to lab-b" in screen_text(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: dashboard.fleet_tree.selected == ("node", "lab-b"))


async def test_themes_change_the_colours() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        before = dashboard.fleet_tree.render_line(1)
        app.theme = "textual-light"
        await until(pilot, lambda: dashboard.fleet_tree.render_line(1) != before)


async def test_quit() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("q")
    assert app.return_value == 0
    assert fleet.stopped


# Mouse


async def test_mouse() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.click("#tree", offset=(6, 2))
        assert dashboard.fleet_tree.selected == ("node", "gpu-02")
        await pilot.click("#gpus", offset=(6, 4))
        assert dashboard.view.gpus.selected == 3
        await pilot.click("#gpus", offset=(6, 0))
        assert dashboard.view.gpus.selected == 3
        await pilot.click("#tabs", offset=(58, 0))
        assert dashboard.view.tabs.active == "node"
        await until(pilot, lambda: "192 cores" in screen_text(pilot))
        await pilot.click("#tree", offset=(0, 0))
        assert [row.name for row in dashboard.fleet_tree.shown][1] == "edge"
        bar = screen_text(pilot).splitlines()[-1]
        await pilot.click("#keys", offset=(bar.index("/ filter"), 0))
        await until(pilot, lambda: isinstance(app.focused, Input))


# Many, and hostile


async def test_128_nodes_draw_only_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    app, fleet = app_on(big_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        tree = dashboard.fleet_tree
        assert "1024 GPUs" in screen_text(pilot)
        drawn: list[int] = []
        line_at = tree.line_at
        monkeypatch.setattr(tree, "line_at", lambda y: drawn.append(y) or line_at(y))
        for name in ("node-004", "node-127"):  # the second is out of view
            fleet.change(name, link=LinkStatus(LinkState.DOWN))
            await until(pilot, lambda: dashboard.state is fleet.state)
            await pilot.pause()
        row = next(y for y, row in enumerate(tree.shown) if row.name == "node-004")
        assert set(drawn) == {row}
        tree.tick(NOW)
        await pilot.pause()
        assert set(drawn) == {row}


async def test_hostile_strings_on_screen() -> None:
    evil = "[red]x[/red]\x1b[2J"
    node = fakes.busy_node(NOW)
    assert node.sample is not None
    gpus = tuple(
        replace(
            gpu,
            name=evil,
            missing={"fan_percent": evil},
            processes=tuple(replace(p, user=evil, command=evil) for p in gpu.processes),
        )
        for gpu in node.sample.gpus
    )
    problem = replace(fakes.blocked_node(NOW).link.problem, message=evil, advice=evil, hop=evil)
    state = FleetState(
        nodes=(
            replace(
                node,
                name=evil,
                tags=(evil,),
                sample=replace(node.sample, gpus=gpus),
                sessions=(session(evil, NOW, pane(command=evil, last_line=evil), node=evil),),
            ),
            replace(
                fakes.blocked_node(NOW), link=LinkStatus(LinkState.BLOCKED, NOW, problem=problem)
            ),
        ),
        agent=evil,
    )
    app, fleet = app_on(state)
    async with app.run_test(notifications=True, size=(200, 60)) as pilot:
        dashboard = await opened(pilot)
        for keys in (
            "2",
            "3",
            "4",
            "5",
            "6",
            "1",
            "d",
            "escape",
            "r",
            "ctrl+p",
            "escape",
            "down",
            "r",
        ):
            await pilot.press(keys)
            await pilot.pause()
            assert "\x1b" not in screen_text(pilot)
        assert fleet.retried == [evil, "lab-b"]
        assert "[red]x[/red][2J" in text_of(dashboard.fleet_tree)
        assert "[red]x[/red][2J" in text_of(dashboard.view.problem)


async def test_an_empty_fleet() -> None:
    app, _ = app_on(FleetState())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "The config names no node" in screen_text(pilot))
        await pilot.press("f", "o", "d", "r", "down", "space", "left", "3")
        assert app.is_running


async def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, _ = app_on(fleet_state())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        picture = app.export_screenshot()
    colours = {colour.lower() for colour in re.findall(r"fill: (#[0-9a-fA-F]{6})", picture)}
    colours.discard("#c5c8c6")  # the picture's own, for where nothing is drawn
    assert len(colours) > 3
    assert all(c[1:3] == c[3:5] == c[5:7] for c in colours), colours
