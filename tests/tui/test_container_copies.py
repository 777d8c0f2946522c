"""Files copied into containers and out of them, and the keys of the dashboard that look inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from gpuhop_tui.containers.copy import CopyProgress
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.paths import PathFacts
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.tui.completion import beginning, common, local_candidates, local_path
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.copy_form import Copy, CopyDialog
from gpuhop_tui.tui.work import JobState
from tests.tui.fake_containers import container, with_containers
from tests.tui.fake_views import FakeLog, FakeUsage, training
from tests.tui.fakes import NOW, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until

Compare = Callable[..., bool]
TREE = {"/": ["tmp/", "root/", "etc/"], "/tmp/": ["old", "out/", "out.txt", ".hidden"]}


class Inside:
    """The files of a container, and the copies that were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.copies: list[tuple[str, str, str]] = []
        self.steps = [CopyProgress("it", 5, 10, 0), CopyProgress("it", 10, 10, 1, done=True)]
        self.failure: Exception | None = None
        self.gate = asyncio.Event()  # while it is cleared, a copy stands after its first step
        self.gate.set()
        monkeypatch.setattr("gpuhop_tui.tui.screens.copy_form.path_facts", self.facts)
        monkeypatch.setattr("gpuhop_tui.tui.completion.directory_names", self.names)
        monkeypatch.setattr("gpuhop_tui.containers.copy.copy_in", self.copying("in"))
        monkeypatch.setattr("gpuhop_tui.containers.copy.copy_out", self.copying("out"))

    async def facts(self, _engine: Any, _container: Any, path: str) -> PathFacts | None:
        plain = str(PurePosixPath(path))
        parent = str(PurePosixPath(plain).parent).rstrip("/") + "/"
        names = TREE.get(parent, [])
        name = PurePosixPath(plain).name
        if plain == "/" or f"{name}/" in names:
            return PathFacts(plain, True, 0)
        return PathFacts(plain, False, 1) if name in names else None

    async def names(self, _engine: Any, container: Any, directory: str) -> list[str]:
        if directory not in TREE:
            raise ContainerError(f"{directory} cannot be listed", "Type the path.")
        return TREE[directory]

    def copying(self, way: str) -> Callable[..., AsyncGenerator[CopyProgress, None]]:
        async def copy(
            _engine: Any, _container: Any, source: Any, target: Any
        ) -> AsyncGenerator[CopyProgress, None]:
            self.copies.append((way, str(source), str(target)))
            for step in self.steps:
                yield step
                await self.gate.wait()
                if self.failure is not None:
                    raise self.failure

        return copy


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(monkeypatch)


async def at_containers(pilot: Pilot[int]) -> None:
    """In the list of gpu-01's containers, on the first."""
    await opened(pilot)
    await pilot.press("2", "2")
    await until(pilot, lambda: "train-llm" in screen_text(pilot))


async def filled(pilot: Pilot[int], source: str, target: str) -> None:
    """The form with these paths."""
    await until(pilot, lambda: isinstance(pilot.app.screen, CopyDialog))
    await until(pilot, lambda: pilot.app.screen.query("#target"))
    pilot.app.screen.query_one("#source", Input).value = source
    pilot.app.screen.query_one("#target", Input).value = target
    await pilot.pause()


def app_with_containers() -> Any:
    return app_on(with_containers(fleet_state(), NOW))


# The keys


async def test_the_keys_are_there_where_a_container_is(monkeypatch: pytest.MonkeyPatch) -> None:
    log, usage = FakeLog(), FakeUsage()
    monkeypatch.setattr("gpuhop_tui.containers.log_follow.ContainerLog", lambda *_: log)
    monkeypatch.setattr("gpuhop_tui.containers.usage_points.ContainerUsage", lambda *_: usage)
    app, _ = app_with_containers()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("l", "S", "greater_than_sign", "less_than_sign")  # no container in view
        assert app.screen is app.dashboard
        await at_containers(pilot)
        await pilot.press("l")
        await until(pilot, lambda: "log of train-llm" in screen_text(pilot))
        training(log)
        await until(pilot, lambda: "71%" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: log.closed)
        await pilot.press("S")
        await until(pilot, lambda: "stats of train-llm" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: usage.closed)
        await pilot.press("m")
        await until(pilot, lambda: "copy out" in screen_text(pilot))


# Copying


async def test_a_file_is_copied_in(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "it").write_text("x")
    app, _ = app_with_containers()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot)
        await pilot.press("greater_than_sign")
        await filled(pilot, str(tmp_path / "it"), "/tmp")
        inside.gate.clear()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.work.jobs)
        job = app.work.jobs[0]
        await until(pilot, lambda: job.step is not None)
        assert job.is_transfer  # leaving the app would ask
        inside.gate.set()
        await until(pilot, lambda: job.state is JobState.DONE)
        assert inside.copies == [("in", str(tmp_path / "it"), "/tmp")]
        assert job.words == "1 file (10 B) copied to /tmp"
        assert "Copy it into train-llm" in job.title


async def test_a_file_is_copied_out(inside: Inside, tmp_path: Path) -> None:
    app, _ = app_with_containers()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await at_containers(pilot)
        await pilot.press("less_than_sign")
        await filled(pilot, "/tmp/out/", str(tmp_path))
        inside.steps[-1] = CopyProgress("it", 10, None, 2, ("a", "b", "c", "d"), done=True)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.work.jobs and not app.work.running)
        assert inside.copies == [("out", "/tmp/out", str(tmp_path))]
        assert app.work.jobs[0].words.endswith("left out: a, b, c and 1 more")


async def test_what_is_wrong_is_said_at_its_field(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "it").write_text("x")
    app, _ = app_with_containers()
    wrong_in = {
        ("", "/tmp"): "A path is needed here",
        (str(tmp_path / "no"), "/tmp"): "There is no",
        (str(tmp_path / "it"), "tmp"): "A path in the container begins with /",
        (str(tmp_path / "it"), "/nowhere"): "There is no /nowhere in train-llm",
        (str(tmp_path / "it"), "/tmp/old"): "/tmp/old is no directory",
    }
    wrong_out = {
        ("/", str(tmp_path)): "Name a file or directory below /",
        ("/tmp/no", str(tmp_path)): "There is no /tmp/no in train-llm",
        ("/tmp/old", str(tmp_path / "no")): "There is no directory",
    }
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot)
        for key, cases in (("greater_than_sign", wrong_in), ("less_than_sign", wrong_out)):
            await pilot.press(key)
            for (source, target), words in cases.items():
                await filled(pilot, source, target)
                await pilot.press("ctrl+s")
                await until(pilot, lambda words=words: words in screen_text(pilot), words)
            await pilot.press("escape")
        assert not app.work.jobs


async def test_overwriting_is_asked(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    app, _ = app_with_containers()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot)
        await pilot.press("greater_than_sign")
        await filled(pilot, str(tmp_path / "old"), "/tmp/")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Overwrite in train-llm on gpu-01?" in screen_text(pilot))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, CopyDialog))
        assert app.screen.query_one("#source", Input).value == str(tmp_path / "old")
        await until(pilot, lambda: not app.screen.query_one("#ok").disabled)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "is there already" in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: app.work.jobs)
        await pilot.press("less_than_sign")
        await filled(pilot, "/tmp/old", str(tmp_path))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Overwrite on this machine?" in screen_text(pilot))


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ContainerError("no space left on device", "Free some."), "no space left"),
        (ProblemError(Problem("gpu-01", ErrorKind.LOST, "the line was cut", "It comes back.")),
         "the line was cut"),
    ],
)  # fmt: skip
async def test_a_failure_says_what_is_left_behind(
    inside: Inside, tmp_path: Path, failure: Exception, words: str
) -> None:
    (tmp_path / "it").write_text("x")
    inside.failure = failure
    app, _ = app_with_containers()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot)
        await pilot.press("greater_than_sign")
        await filled(pilot, str(tmp_path / "it"), "/tmp")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.work.jobs and not app.work.running)
        job = app.work.jobs[0]
        assert job.state is JobState.FAILED
        assert words in job.words
        assert "/tmp in train-llm may hold a part" in job.advice


async def test_a_copy_can_be_cancelled(inside: Inside, tmp_path: Path) -> None:
    inside.gate.clear()
    app, _ = app_with_containers()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot)
        await pilot.press("less_than_sign")
        await filled(pilot, "/tmp/old", str(tmp_path))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.work.jobs and app.work.jobs[0].step)
        job = app.work.jobs[0]
        app.work.cancel(job)
        await until(pilot, lambda: job.state is JobState.CANCELLED)
        assert "0 whole files of it stayed" in job.advice
        said = [each.message for each in app._notifications]
        assert any("cancelled. 0 whole files of it stayed" in words for words in said)
        assert job.reopen is not None
        job.reopen()
        await until(pilot, lambda: isinstance(app.screen, CopyDialog))
        await until(pilot, lambda: "/tmp/old" in screen_text(pilot))


async def test_a_copy_begins_though_a_question_lies_over_the_form(
    inside: Inside, tmp_path: Path
) -> None:
    """As when a signature is asked for while the paths are looked at."""
    (tmp_path / "it").write_text("")
    looked = asyncio.Event()
    facts = inside.facts

    async def slowly(*words: Any) -> PathFacts | None:
        await looked.wait()
        return await facts(*words)

    app, _ = app_with_containers()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot)
        await pilot.press("greater_than_sign")
        await filled(pilot, str(tmp_path / "it"), "/tmp")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gpuhop_tui.tui.screens.copy_form.path_facts", slowly)
            await pilot.press("ctrl+s")
            form: Any = app.screen
            question = ConfirmDialog("Sign?", [], "sign")
            app.push_screen(question)
            await until(pilot, lambda: app.screen is question)
            looked.set()
            await until(pilot, lambda: form.withdrawn)
        await pilot.press("n")
        await until(pilot, lambda: inside.copies)


# Completing


async def test_tab_completes_on_both_sides(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "data-one").write_text("")
    (tmp_path / "data-two").mkdir()
    app, _ = app_with_containers()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await at_containers(pilot)
        await pilot.press("greater_than_sign")
        await filled(pilot, str(tmp_path / "da"), "/t")
        source = app.screen.query_one("#source", Input)
        target = app.screen.query_one("#target", Input)
        source.cursor_position = len(source.value)
        await pilot.press("tab")
        await until(pilot, lambda: source.value == str(tmp_path / "data-"))
        await until(pilot, lambda: "data-one  data-two/" in screen_text(pilot))
        await pilot.press("t", "tab")
        await until(pilot, lambda: source.value == f"{tmp_path}/data-two/")
        await pilot.press("tab")  # nothing more to complete
        await until(pilot, lambda: app.focused is target)
        await pilot.press("end", "tab")
        await until(pilot, lambda: target.value == "/tmp/")
        await pilot.press("o", "tab")
        await until(pilot, lambda: "old  out/  out.txt" in screen_text(pilot))
        target.value = "/nowhere/x"
        await pilot.press("tab")
        await until(pilot, lambda: "no completion: /nowhere/ cannot" in screen_text(pilot))


async def test_paths_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "one").mkdir()
    (tmp_path / ".hid").write_text("")
    assert await local_candidates("~") == ["~/"]
    assert await local_candidates("~/") == ["~/one/"]
    assert await local_candidates("~/.") == ["~/.hid"]
    assert await local_candidates(f"{tmp_path}/nowhere/x") == []
    assert local_path(" ~/one ") == tmp_path / "one"
    assert local_path("~no-such-user/x").name == "x"
    monkeypatch.chdir(tmp_path)
    assert local_path("one") == tmp_path / "one"
    assert await local_candidates("o") == ["one/"]


names = st.lists(st.text("ab./", min_size=1, max_size=5), max_size=6)


@given(st.text("ab/", max_size=6), names)
def test_candidates_go_on_where_typing_stopped(typed: str, found: list[str]) -> None:
    candidates = beginning(typed, found)
    assert all(each.startswith(typed) for each in candidates)
    whole = common(candidates)
    assert all(each.startswith(whole) for each in candidates)
    if candidates:
        assert len(whole) >= len(typed)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
@pytest.mark.parametrize("inwards", [True, False], ids=["in", "out"])
def test_pictures_of_the_form(
    snap_compare: Compare, inside: Inside, inwards: bool, size: tuple[int, int]
) -> None:
    app: App[None] = App()  # what lies below is not of this picture

    async def ready(pilot: Pilot[Any]) -> None:
        engine: Any = None
        wanted = Copy(inwards, "/tmp/o", "/nowhere")
        await app.push_screen(CopyDialog(engine, container("train-llm", NOW), wanted))
        if inwards:
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "There is no /tmp/o" in screen_text(pilot))
        else:
            await pilot.press("end", "tab")
            await until(pilot, lambda: "old  out/" in screen_text(pilot))
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=ready)
