"""The form for a container: filled in, checked as it is typed, started, left and found again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from gpuhop_tui.config.load import load_config
from gpuhop_tui.config.schema import TemplateConfig
from gpuhop_tui.containers.build import BuildProgress
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.model import Container, GpuGrant, Port
from gpuhop_tui.containers.spec import Gpus
from gpuhop_tui.containers.start import DiedAtOnceError
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.screens.choose import ChooseDialog
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.new_container import NewContainerScreen
from gpuhop_tui.tui.screens.new_container_died import DiedDialog
from gpuhop_tui.tui.screens.new_container_save import TemplateNameDialog
from gpuhop_tui.tui.screens.new_image import BuildDialog, PullDialog
from gpuhop_tui.tui.work import JobState
from tests.tui.fake_containers import FakeContainers, container, some_containers, with_containers
from tests.tui.fake_templates import JUPYTER, PYTORCH
from tests.tui.fakes import NOW, FakeFleet, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, text_of, until

SIZES = [(80, 24), (120, 40), (200, 60)]
LOST = Problem("gpu-01", ErrorKind.LOST, "the connection was lost", "It comes back by itself.")


def app_with(*templates: TemplateConfig) -> tuple[GpuhopApp, FakeFleet, FakeContainers]:
    """The app, its fleet, and the engine of gpu-01."""
    app, fleet = app_on(with_containers(fleet_state(), NOW))
    app.templates = templates
    engine = fleet.containers("gpu-01")
    engine.around = replace(engine.around, ports={})
    return app, fleet, engine


async def in_form(pilot: Pilot[int], *templates: TemplateConfig) -> NewContainerScreen:
    """The form on gpu-01; of several templates the first."""
    app = pilot.app
    assert isinstance(app, GpuhopApp)
    dashboard = await opened(pilot)
    app.templates = templates
    dashboard.go_to_node("gpu-01")
    await pilot.press("n")
    if len(templates) > 1:
        await until(pilot, lambda: isinstance(app.screen, ChooseDialog))
        await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, NewContainerScreen), "the form")
    form = app.screen
    assert isinstance(form, NewContainerScreen)
    await until(pilot, lambda: form._around() is not None, "a look at the node")
    return form


def outlook(form: NewContainerScreen) -> str:
    """What the form says of a start, as one line."""
    return " ".join(text_of(form.query_one("#outlook")).split())  # type: ignore[arg-type]


def value(form: NewContainerScreen, id: str) -> str:
    field = form.query_one(f"#{id}")
    return field.text if isinstance(field, TextArea) else field.value  # type: ignore[attr-defined,no-any-return]


def fill(form: NewContainerScreen, **values: str) -> None:
    for id, text in values.items():
        field = form.query_one(f"#{id}")
        if isinstance(field, TextArea):
            field.text = text
        else:
            assert isinstance(field, Input)
            field.value = text


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuhop_tui.tui.screens.new_container.PAUSE_SECONDS", 0.01)


# Opening


async def test_without_templates_the_form_is_empty() -> None:
    app, _, _ = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot)
        assert value(form, "image") == value(form, "gpus") == ""
        assert form.focused is form.query_one("#image")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)  # nothing to ask about


async def test_a_template_is_chosen_where_there_are_several() -> None:
    app, _, _ = app_with()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        app.templates = (PYTORCH, JUPYTER)
        dashboard.go_to_node("gpu-01")
        await pilot.press("n")
        await until(pilot, lambda: "from which template" in screen_text(pilot))
        for words in ("pytorch-ssh:2.8  gpus pick", "built where", "jupyter", "an empty form"):
            assert words in screen_text(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, NewContainerScreen))
        form = app.screen
        assert isinstance(form, NewContainerScreen)
        await until(pilot, lambda: form.query("#command"))
        assert value(form, "command") == "start.sh jupyter lab"
        assert value(form, "gpus") == "1"


async def test_no_form_for_a_node_without_a_link() -> None:
    app, _, _ = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-03")
        await pilot.press("n")
        await until(pilot, lambda: "No way to gpu-03" in screen_text(pilot))
        assert app.screen is dashboard
        await pilot.press("left")  # to the bastion
        await until(pilot, lambda: "n run" not in screen_text(pilot))


@pytest.mark.parametrize("size", SIZES[:2])
async def test_every_field_is_reached_by_the_keyboard(size: tuple[int, int]) -> None:
    app, _, _ = app_with()
    async with app.run_test(notifications=True, size=size) as pilot:
        form = await in_form(pilot, PYTORCH)
        form.query_one("#image").focus()
        seen: set[str | None] = set()
        for _ in range(30):
            focused = form.focused
            assert focused is not None
            seen.add(focused.id)
            await until(pilot, lambda: _in_view(form))
            await pilot.press("tab")
        assert {"image", "picker", "volumes", "labels", "ssh_port", "outlook"} <= seen


# Typing


async def test_gpus_are_picked_by_their_load() -> None:
    app, fleet, _ = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, PYTORCH)
        assert form.focused is form.query_one("#picker")  # the template leaves them to be picked
        assert "pick them in the list" in screen_text(pilot)
        shown = text_of(form.query_one("#picker"))  # type: ignore[arg-type]
        for words in ("97 %", "54/80 G", "marie", "wei"):
            assert words in shown
        await pilot.press("end", "space", "up", "space")
        await until(pilot, lambda: value(form, "gpus") == "6,7")
        assert screen_text(pilot).count("[x]") == 2
        await until(pilot, lambda: "GPU 6 is in use by wei" in outlook(form))
        assert '"device=6,7"' in outlook(form)
        fill(form, gpus="2")
        await until(pilot, lambda: screen_text(pilot).count("[~]") == 2)
        assert "a count: the 2 freest, now 6, 7" in screen_text(pilot)
        node = fleet.state.node("gpu-01")
        assert node is not None
        assert node.sample is not None
        gpus = tuple(
            replace(gpu, utilization_percent=100 if gpu.index == 7 else gpu.utilization_percent)
            for gpu in node.sample.gpus
        )
        fleet.change("gpu-01", sample=replace(node.sample, gpus=gpus))
        await until(pilot, lambda: "100 %" in screen_text(pilot))  # live


async def test_mig_instances_are_picked_by_their_uuid() -> None:
    app, _, _ = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("mig-01")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewContainerScreen))
        form = app.screen
        assert isinstance(form, NewContainerScreen)
        await until(pilot, lambda: "1g.5gb" in screen_text(pilot))
        form.query_one("#picker").focus()
        await pilot.press("down", "down", "down", "space")
        await until(pilot, lambda: value(form, "gpus") == "MIG-2")
        assert '"device=MIG-2"' in outlook(form)


async def test_a_mistake_is_said_beside_its_field_as_it_is_typed() -> None:
    app, _, engine = app_with()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        form = await in_form(pilot, JUPYTER)
        form.query_one("#ports").focus()
        await pilot.press(*"70000")
        await until(pilot, lambda: "'70000' is not" in screen_text(pilot))
        assert "1 thing stands in the way" in outlook(form)
        await pilot.press("ctrl+s")
        assert form.focused is form.query_one("#ports")
        assert not app.work.jobs
        fill(form, ports="7000")
        await until(pilot, lambda: "is not" not in screen_text(pilot))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: engine.started)


async def test_what_stands_in_the_way_is_shown_as_it_comes_up() -> None:
    app, _, engine = app_with()
    engine.around = replace(engine.around, containers=some_containers(NOW))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, JUPYTER)
        fill(form, name="train-llm", ports="8888:8888")
        await until(pilot, lambda: "there is a container named train-llm" in outlook(form))
        assert "2 things stand in the way" in outlook(form)
        assert "8888 of the node is taken by the container train-llm" in outlook(form)
        assert "Publish another, such as 8890" in outlook(form)
        engine.around = replace(engine.around, missing_paths=("/nowhere",))
        fill(form, volumes="/nowhere:/x")
        await until(pilot, lambda: "the node has no /nowhere" in outlook(form))
        engine.around = replace(engine.around, missing_paths=())
        fill(form, name="other", ports="9000:8888", volumes="")
        await until(pilot, lambda: outlook(form).startswith("Nothing stands in the way"))


async def test_the_agent_is_lent_inside_where_that_is_ticked() -> None:
    app, _, _ = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        form = await in_form(pilot, JUPYTER)
        assert "/run/gpuhop-agent" not in outlook(form)
        form.query_one("#forward_agent").focus()
        await pilot.press("space")
        await until(pilot, lambda: "gpuhop-agent" in outlook(form))
        assert "[x] lent inside" in screen_text(pilot)
        await pilot.press("enter")  # goes on, and changes nothing
        assert form.focused is not form.query_one("#forward_agent")
        assert form._read.spec.forward_agent


async def test_the_line_for_a_shell_is_whole_and_copied() -> None:
    app, _, _ = app_with()
    async with app.run_test(notifications=True, size=(200, 60)) as pilot:
        form = await in_form(pilot, PYTORCH)
        fill(form, gpus="2", name="train")
        await until(pilot, lambda: "--name train" in outlook(form))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "clipboard" in screen_text(pilot))
        assert app.clipboard == (
            "docker run -d --name train --gpus '\"device=6,7\"' --shm-size 2g -p 2222:22 "
            "-p 8888:8888 -v /data/datasets:/mnt/data:ro -v /home/gpu-user/runs:/runs "
            "-e HF_HOME=/mnt/data/hf --label gpuhop.user=gpu-user "
            "--label gpuhop.template=pytorch-ssh --label gpuhop.ssh-port=2222 pytorch-ssh:2.8"
        )


# Starting


async def test_a_start_selects_the_container() -> None:
    app, fleet, engine = app_with()
    born = container("train", NOW, gpus=GpuGrant(ids=("6", "7")), ports=(Port(22, host_port=2222),))
    engine.born = born
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, PYTORCH)
        fill(form, gpus="6,7", name="train")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.screen is app.dashboard, "the dashboard")
        dashboard = app.dashboard
        assert dashboard is not None
        assert engine.started[0].gpus == Gpus(ids=("6", "7"))
        assert engine.started[0].template == "pytorch-ssh"
        assert dashboard.view.tabs.active == "containers"
        await until(pilot, lambda: "train runs  GPUs 6,7  2222→22" in screen_text(pilot))
        node = fleet.state.node("gpu-01")
        assert node is not None
        assert node.containers is not None
        listing = replace(node.containers, containers=(*node.containers.containers, born))
        fleet.change("gpu-01", containers=listing)
        await until(pilot, lambda: _selected(app) == "train", "the new container")
        assert not app.work.jobs  # its end was seen


def _selected(app: GpuhopApp) -> str:
    assert app.dashboard is not None
    found: Container | None = app.dashboard.view.selected_container
    return found.name if found else ""


REFUSED = ContainerError(
    "gpu-01: GPU 6 was given to the container other of ann meanwhile",
    "Choose another GPU, or start again to share it.",
)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (REFUSED, "given to the container other of ann"),
        (ProblemError(LOST), "the connection was lost"),
        (OSError("something odd"), "something odd"),
    ],
    ids=["refused", "lost", "unexpected"],
)
async def test_a_failed_start_loses_nothing(refusal: Exception, words: str) -> None:
    app, _, engine = app_with()
    engine.start_refusal = refusal
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, PYTORCH)
        fill(form, gpus="6,7", name="train", env="A=1\nB=2")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: words in outlook(form))
        assert app.screen is form
        assert value(form, "env") == "A=1\nB=2"
        assert not form.query_one("#fields").disabled
        engine.start_refusal = None
        await until(pilot, lambda: "checking" not in outlook(form))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.screen is app.dashboard)
        assert engine.started[0].env == {"A": "1", "B": "2"}


async def test_the_second_of_two_is_told_and_may_share() -> None:
    """What was there when the GPUs were chosen is what a start is compared with; after a refusal,
    what is there then."""
    app, _, engine = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, PYTORCH)
        fill(form, gpus="6,7")
        other = container("other", NOW, gpus=GpuGrant(ids=("6",)))
        engine.around = replace(engine.around, containers=(other,))
        fill(form, volumes="~/a:/b")  # has the node looked at again
        await until(pilot, lambda: "GPU 6 was given to other" in outlook(form))
        engine.start_refusal = REFUSED
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "meanwhile" in outlook(form))
        assert engine.since[0] is not None
        assert engine.since[0].containers == ()
        await until(pilot, lambda: "GPU 6 was given to other" in outlook(form))
        engine.start_refusal = None
        await until(pilot, lambda: form._seen.since is not None)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: engine.started)
        assert engine.since[1] is not None
        assert engine.since[1].containers == (other,)


async def test_a_container_that_dies_at_once_shows_its_last_lines() -> None:
    app, _, engine = app_with()
    dead = container("train", NOW, state="exited", exit_code=1)
    engine.start_refusal = DiedAtOnceError(
        "gpu-01: train ended at once (exit status 1): ImportError: no module named tourch",
        "Look at `docker logs train`, mend its command or image, and remove it.",
        dead,
        ["Traceback (most recent call last):", "ImportError: no module named tourch"],
    )
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        form = await in_form(pilot, JUPYTER)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, DiedDialog))
        await until(pilot, lambda: "Traceback (most recent call last):" in screen_text(pilot))
        await pilot.press("r")
        await until(pilot, lambda: app.screen is form)
        assert "remove_container" in engine.engine.names()
        assert "ended at once" in outlook(form)


async def test_an_absent_image_is_built_first_and_said_beforehand() -> None:
    app, _, engine = app_with()
    engine.around = replace(engine.around, has_image=False)
    engine.build_steps = (
        BuildProgress("pytorch-ssh:2.8", 900, 1000),
        BuildProgress("pytorch-ssh:2.8", 1000, 1000, 3, 9, "RUN apt-get update", ("Get:1",)),
    )
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, PYTORCH)
        fill(form, gpus="6,")
        await until(pilot, lambda: outlook(form).startswith("Nothing stands in the way"))
        assert "built first, from the preset" in outlook(form)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: engine.started)
        assert [image for image, _ in engine.builds] == ["pytorch-ssh:2.8"]
        assert engine.builds[0][1] == PYTORCH.build


async def test_another_image_is_pulled() -> None:
    app, _, engine = app_with()
    engine.around = replace(engine.around, has_image=False)
    engine.engine.answers["pull"] = [{"id": "a1", "status": "Pull complete"}]
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, PYTORCH)
        fill(form, gpus="6,", image="busybox:1")
        await until(pilot, lambda: "it is pulled first, then started" in outlook(form))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: engine.started)
        assert engine.engine.names() == ["pull"]
        assert not engine.builds


async def test_what_would_stop_it_is_told_before_anything_is_pulled() -> None:
    app, _, engine = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, JUPYTER)
        engine.around = replace(
            engine.around, has_image=False, containers=(container("jupyter", NOW),)
        )
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✗ gpu-01: there is a container named jupyter" in outlook(form))
        assert not engine.engine.names()


# Leaving


async def test_escape_asks_before_it_loses_what_was_typed() -> None:
    app, _, _ = app_with()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        form = await in_form(pilot, JUPYTER)
        fill(form, name="mine")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "1 field changed" in screen_text(pilot)
        await pilot.press("n")
        await until(pilot, lambda: app.screen is form)
        assert value(form, "name") == "mine"
        await pilot.press("ctrl+q")  # Textual's own key: what was typed is asked about, too
        await until(pilot, lambda: "what was typed is lost" in screen_text(pilot))
        await pilot.press("n", "escape", "y")
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_a_start_goes_on_in_the_background_and_its_form_comes_back() -> None:
    app, _, engine = app_with()
    engine.start_refusal = REFUSED
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, PYTORCH)
        fill(form, gpus="6,7", name="mine")
        engine.engine.gate.clear()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "leaves it to the background" in outlook(form))
        assert form.query_one("#fields").disabled
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        await until(pilot, lambda: "⇣ start" in screen_text(pilot))
        engine.engine.gate.set()
        await until(pilot, lambda: "Start mine on gpu-01" in screen_text(pilot), "the toast")
        assert app.work.jobs[0].state is JobState.FAILED
        await pilot.press("w")
        await until(pilot, lambda: "→ Choose another GPU" in screen_text(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, NewContainerScreen))
        again = app.screen
        assert isinstance(again, NewContainerScreen)
        await until(pilot, lambda: again.query("#name") and "meanwhile" in outlook(again))
        assert value(again, "name") == "mine"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))  # it is still unsaved


async def test_a_start_is_cancelled_from_its_form() -> None:
    app, _, engine = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, JUPYTER)
        engine.engine.gate.clear()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "x cancels it" in outlook(form))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "Start jupyter on gpu-01" in screen_text(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "cancelled" in outlook(form))
        assert not form.query_one("#fields").disabled
        assert not engine.started


async def test_a_lost_link_leaves_the_form_as_it_is() -> None:
    app, fleet, engine = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, JUPYTER)
        fill(form, name="mine")
        fleet.change("gpu-01", link=LinkStatus(LinkState.WAITING, NOW, problem=LOST), stale=True)
        await until(pilot, lambda: "not checked: no link to gpu-01" in outlook(form))
        await until(pilot, lambda: "No GPUs to pick from: no link" in screen_text(pilot))
        engine.refusal = ProblemError(LOST)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✗ gpu-01: the connection was lost" in outlook(form))
        assert value(form, "name") == "mine"


# Templates


async def test_a_form_is_saved_as_a_template(tmp_path: Path) -> None:
    app, _, _ = app_with()
    path = tmp_path / "config.toml"
    path.write_text('[[templates]]\nname = "jupyter"\nimage = "old:1"\n')
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, JUPYTER)
        app.config_path = path
        fill(form, env="A=1")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: isinstance(app.screen, TemplateNameDialog))
        await until(pilot, lambda: "It goes to" in screen_text(pilot))
        await pilot.press("enter")  # the name is the template's
        await until(pilot, lambda: "Replace the template jupyter?" in screen_text(pilot))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, TemplateNameDialog))
        await pilot.press(*"-2", "enter")
        await until(pilot, lambda: "The template jupyter-2 was saved" in screen_text(pilot))
        assert [each.name for each in load_config(path).templates] == ["jupyter", "jupyter-2"]
        assert load_config(path).templates[1].env == {"A": "1"}
        assert [each.name for each in app.templates] == ["jupyter", "jupyter-2"]
        await pilot.press("escape")  # nothing is lost any more
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_without_a_config_file_there_is_nothing_to_save_in() -> None:
    app, _, _ = app_with()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        form = await in_form(pilot, JUPYTER)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "no config file" in screen_text(pilot))
        assert app.screen is form


# Images


async def test_an_image_is_pulled_without_a_start() -> None:
    app, _, engine = app_with()
    engine.engine.answers["pull"] = [{"id": "a1", "status": "Pull complete"}]
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-01")
        dashboard.pull_image()
        await until(pilot, lambda: isinstance(app.screen, PullDialog))
        await pilot.press("enter")
        await until(pilot, lambda: "it needs the name" in screen_text(pilot))
        await pilot.press(*"busybox", "enter")
        await until(pilot, lambda: app.work.jobs and not app.work.running)
        assert engine.engine.asked[0].args == ("busybox:latest",)
        await until(pilot, lambda: "busybox:latest is on gpu-01" in screen_text(pilot))


@pytest.mark.parametrize("size", SIZES)
async def test_a_failed_build_brings_its_form_back(size: tuple[int, int], tmp_path: Path) -> None:
    app, _, engine = app_with()
    engine.refusal = ContainerError("gpu-01: building x:1 failed: step 2 of 3", "Mend it.")
    async with app.run_test(notifications=True, size=size) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-01")
        dashboard.build_image()
        await until(pilot, lambda: isinstance(app.screen, BuildDialog))
        dialog = app.screen
        await until(pilot, lambda: dialog.query("#dockerfile"))
        dockerfile = tmp_path / "Dockerfile"
        dialog.query_one("#dockerfile", Input).value = str(dockerfile)
        dialog.query_one("#image", Input).value = "x:1"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "there is no file" in screen_text(pilot))
        dockerfile.write_text("FROM scratch\n")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.work.jobs and not app.work.running)
        assert engine.builds[0][1].dockerfile == dockerfile
        await pilot.press("w")
        await until(pilot, lambda: "→ Mend it." in screen_text(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, BuildDialog))
        assert app.screen.query_one("#image", Input).value == "x:1"


# Pictures


Compare = Callable[..., bool]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("what", ["chooser", "picked", "mistakes", "starting", "empty"])
def test_pictures(snap_compare: Compare, what: str, size: tuple[int, int]) -> None:
    app, _, engine = app_with()

    async def ready(pilot: Pilot[int]) -> Any:
        if what == "chooser":
            dashboard = await opened(pilot)
            app.templates = (PYTORCH, JUPYTER)
            dashboard.go_to_node("gpu-01")
            await pilot.press("n")
            await until(pilot, lambda: isinstance(app.screen, ChooseDialog))
            return
        form = await in_form(pilot, *(() if what == "empty" else (PYTORCH,)))
        if what == "mistakes":
            fill(form, gpus="two", shm_size="2 gallons", ports="22:2222:22")
            form.query_one("#shm_size").focus()
            await until(pilot, lambda: outlook(form).startswith("3 things stand"))
        elif what == "picked":
            engine.around = replace(engine.around, has_image=False)
            fill(form, volumes="/data:/data\n~/runs:/runs")
            await pilot.press("end", "space", "up", "space")
            await until(pilot, lambda: "built first" in outlook(form))
        elif what == "starting":
            fill(form, gpus="6,7")
            engine.engine.gate.clear()
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "x cancels it" in outlook(form))
            await until(pilot, lambda: "GPU 6 is in use by wei" in outlook(form))
        for field in form.query(Input):
            field.cursor_blink = False
        for area in form.query(TextArea):
            area.cursor_blink = False
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=ready)


def _in_view(form: NewContainerScreen) -> bool:
    """Whether the field that is typed into is on the screen, and not behind another part."""
    focused = form.focused
    assert focused is not None
    shown, _ = form.get_widget_at(focused.region.x, focused.region.y)
    return focused in shown.ancestors_with_self
