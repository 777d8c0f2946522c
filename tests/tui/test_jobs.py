"""Jobs on the screen: a node's, the fleet's, and what can be done about one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Button

from gpuhop_tui.containers.model import Listing
from gpuhop_tui.fleet.jobs.model import JobState
from gpuhop_tui.fleet.jobs.signals import Signalled
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.screens import end_job
from gpuhop_tui.tui.screens.end_job import EndJobDialog
from gpuhop_tui.tui.screens.jobs import JobsScreen
from gpuhop_tui.tui.screens.logs import LogScreen
from gpuhop_tui.tui.screens.tails import TailsScreen
from gpuhop_tui.tui.widgets.rows import Rows
from tests.tui.fake_jobs import ID, some_jobs, with_some_jobs
from tests.tui.fake_sessions import some_sessions
from tests.tui.fakes import NOW, FakeFleet, app_on, fleet_state
from tests.tui.test_containers import TRAIN
from tests.tui.waiting import opened, screen_text, text_of, until


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def suspend(self: GpuhopApp) -> Iterator[None]:
        yield

    monkeypatch.setattr(GpuhopApp, "suspend", suspend)


SIZES = [(80, 24), (120, 40), (200, 60)]
BOX = replace(TRAIN, id=ID, name="llm-pretrain", state="running", pid=418212)


def app_with_jobs(**on_gpu_01: object) -> tuple[GpuhopApp, FakeFleet]:
    state = with_some_jobs(fleet_state(), NOW)
    fields = {"sessions": (), "containers": Listing(), **on_gpu_01}
    nodes = tuple(
        replace(each, **fields) if each.name == "gpu-01" else replace(each, jobs=())  # type: ignore[arg-type]
        for each in state.nodes
    )
    return app_on(replace(state, nodes=nodes))


async def all_jobs(pilot: Pilot[int]) -> JobsScreen:
    """The screen with the fleet's jobs."""
    await opened(pilot)
    await pilot.press("J")
    await until(pilot, lambda: isinstance(pilot.app.screen, JobsScreen))
    screen = pilot.app.screen
    assert isinstance(screen, JobsScreen)
    await until(pilot, lambda: screen.query("#all-jobs") and screen.job)
    return screen


def select(screen: JobsScreen, pid: int) -> None:
    """Put the cursor on a job."""
    key = next(key for key, job in screen._jobs.items() if job.pid == pid)
    screen.query_one("#all-jobs", Rows).select(key)
    screen.lay_out()


def rows_of(screen: JobsScreen) -> str:
    return text_of(screen.query_one("#all-jobs", Rows))


@pytest.mark.parametrize("size", SIZES)
async def test_each_job_is_a_row_and_the_selected_one_is_told_in_full(
    size: tuple[int, int],
) -> None:
    app, _ = app_with_jobs()
    async with app.run_test(notifications=True, size=size) as pilot:
        screen = await all_jobs(pilot)
        shown = screen_text(pilot)
        for words in (
            "Jobs  9", "1 stalled", "everyone, by node", "── gpu-01  4 jobs, on 8 GPUs, 5 ended",
            "● running", "◐ stalled", "✗ exit 1", "✗ SIGKILL", "71 %", "marie",
            "marie (started llm-pretrain)", "process 418212 on gpu-01",
        ):  # fmt: skip
            assert words in shown, words
        select(screen, 399002)
        await until(pilot, lambda: "CUDA out of memory" in screen_text(pilot))
        assert "the GPU's, as its last line says" in screen_text(pilot)


async def test_mine_groups_and_the_filter() -> None:
    app, _ = app_with_jobs()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await all_jobs(pilot)
        await pilot.press("m")
        assert "finetune" in rows_of(screen)
        assert "train.py --config" not in rows_of(screen)
        await pilot.press("m", "o")
        assert "── marie" in rows_of(screen)
        await pilot.press("o")
        assert "── llm-pretrain" in rows_of(screen)
        await pilot.press("slash", *"state:over user:wei")
        await until(pilot, lambda: "1 of 9" in screen_text(pilot))
        assert "old.py" in rows_of(screen)
        await pilot.press(*" mem:5")  # what makes no sense is said; what did stays
        await until(pilot, lambda: "write mem>20g" in screen_text(pilot))
        assert "1 of 9" in screen_text(pilot)
        await pilot.press("enter", "escape")
        assert "Jobs  9" in screen_text(pilot)
        assert "write mem" not in screen_text(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_a_filter_that_is_typed_at_once_is_not_taken_for_keys() -> None:
    app, _ = app_with_jobs()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await all_jobs(pilot)
        names = {"/": "slash", ":": "colon", "\r": "enter"}
        for char in "/session:ft\r":
            app.post_message(events.Key(names.get(char, char), char))
        await until(pilot, lambda: "1 of 9" in screen_text(pilot))


async def test_sessions_and_containers_are_watched_while_jobs_are_in_view() -> None:
    app, fleet = app_with_jobs()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: fleet.sessions("gpu-01").watched)  # the tab is the first
        screen = await all_jobs(pilot)
        await until(pilot, lambda: fleet.sessions("gpu-01").watched)
        assert fleet.containers("gpu-01").watched
        assert not fleet.sessions("gpu-02").watched
        select(screen, 418212)
        await pilot.press("n")
        await until(pilot, lambda: app.screen is app.dashboard)
        assert app.dashboard is not None
        assert app.dashboard.selected is app.dashboard.view.node
        assert fleet.state.node("gpu-01") is app.dashboard.selected


@pytest.mark.parametrize(
    ("pid", "fields", "expected", "words"),
    [
        (
            418212,
            {"sessions": some_sessions(NOW)},
            None,
            "its tmux session is not one of yours: this is a shell in llm-pretrain",
        ),
        (
            422801,
            {"sessions": some_sessions(NOW)},
            HopTarget.attached("sweep", "/tmp/tmux-1000/default"),
            "",
        ),
        (
            401000,
            {"sessions": some_sessions(NOW)},
            HopTarget.shell(),
            "its tmux session is not one of yours: this is the node's shell",
        ),
        (390117, {}, HopTarget.shell(), "there is no way into pod 2b801b7a"),
    ],
)
async def test_enter_hops_as_near_as_there_is_a_way(
    monkeypatch: pytest.MonkeyPatch,
    pid: int,
    fields: dict[str, object],
    expected: HopTarget | None,
    words: str,
) -> None:
    app, fleet = app_with_jobs(containers=Listing(containers=(BOX,)), **fields)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        said: list[str] = []
        screen = await all_jobs(pilot)
        assert app.dashboard is not None
        monkeypatch.setattr(app.dashboard, "_say", lambda title, told, severity: said.append(told))
        select(screen, pid)
        await pilot.press("enter")
        await until(pilot, lambda: fleet.hops)
        node, target = fleet.hops[0]
        assert node == "gpu-01"
        if expected is None:
            assert target.container is not None
            assert target.container.name == "llm-pretrain"
        else:
            assert target == expected
        assert any(words in each for each in said)


async def test_t_tails_the_pane_or_the_log() -> None:
    app, fleet = app_with_jobs(sessions=some_sessions(NOW), containers=Listing(containers=(BOX,)))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await all_jobs(pilot)
        select(screen, 422801)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TailsScreen))
        assert fleet.sessions("gpu-01").tails[0].pane.id == "%3"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        select(screen, 418212)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, LogScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        select(screen, 390117)
        await pilot.press("t")
        await until(pilot, lambda: "runs in no tmux" in screen_text(pilot))


async def test_x_sends_one_signal_after_the_other_and_tells_what_comes_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(end_job, "ARM_SECONDS", 0.0)
    app, fleet = app_with_jobs()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        screen = await all_jobs(pilot)
        select(screen, 422801)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, EndJobDialog))
        shown = screen_text(pilot)
        for words in ("End a job on gpu-01?", "python finetune.py", "Process 422801 of gpu-user",
                      "GPU 4-5", "it has run for 1 h", "SIGINT: as ctrl+c does"):  # fmt: skip
            assert words in shown, words
        asked = fleet.sessions("gpu-01").asked
        await pilot.press("y")
        await until(pilot, lambda: "SIGINT was sent" in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: "SIGTERM was sent" in screen_text(pilot))
        assert "SIGKILL: at once" in screen_text(pilot)
        await pilot.press("y")
        await until(pilot, lambda: len(asked) == 3)
        assert [each[1] for each in asked] == ["INT", "TERM", "KILL"]
        over = tuple(
            replace(job, state=JobState.KILLED, signal=9, reason="SIGKILL", ended_at=NOW)
            if job.pid == 422801
            else job
            for job in some_jobs(NOW)
        )
        fleet.change("gpu-01", jobs=over)
        await until(pilot, lambda: "It is over: ✗ SIGKILL" in screen_text(pilot))
        assert not app.screen.query_one("#yes", Button).display
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)


async def test_what_cannot_be_ended_says_why() -> None:
    app, fleet = app_with_jobs()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await all_jobs(pilot)
        select(screen, 390117)
        await pilot.press("x")
        await until(pilot, lambda: "it belongs to wei" in screen_text(pilot))
        actor = fleet.sessions("gpu-01")
        actor.signalled = Signalled.OTHER
        select(screen, 422801)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, EndJobDialog))
        await pilot.press("y")
        await until(pilot, lambda: "Nothing was sent" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, EndJobDialog))
        problem = Problem("gpu-01", ErrorKind.NO_PERMISSION, "it was refused", "Ask its owner.")
        actor.refusal = ProblemError(problem)
        await pilot.press("y")
        await until(pilot, lambda: "it was refused. Ask its owner." in screen_text(pilot))


async def test_what_is_over_is_dismissed_unasked() -> None:
    app, fleet = app_with_jobs()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await all_jobs(pilot)
        select(screen, 399001)
        await pilot.press("x")
        await until(pilot, lambda: "eval.py" not in rows_of(screen))
        assert fleet.dismissed == [399001]


async def test_keys_on_the_first_tab_are_for_the_selected_job() -> None:
    app, fleet = app_with_jobs(sessions=some_sessions(NOW))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("1", "down")
        assert dashboard.view.selected_job is not None
        assert dashboard.view.selected_job.pid == 422801
        await pilot.press("enter")
        await until(pilot, lambda: fleet.hops)
        assert fleet.hops[0][1].session == "sweep"
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, EndJobDialog))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is dashboard)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TailsScreen))


async def still(pilot: Pilot[int]) -> None:
    await all_jobs(pilot)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pictures(snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
    app, _ = app_with_jobs()
    assert snap_compare(app, terminal_size=size, run_before=still)


def test_a_picture_of_the_question(snap_compare: Callable[..., bool]) -> None:
    app, _ = app_with_jobs()

    async def asked(pilot: Pilot[int]) -> None:
        screen = await all_jobs(pilot)
        select(screen, 422801)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, EndJobDialog))
        await until(pilot, lambda: "SIGINT" in screen_text(pilot))

    assert snap_compare(app, terminal_size=(80, 24), run_before=asked)
