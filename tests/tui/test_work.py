"""Work in the background: how far it is, what became of it, and what leaving the app asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from textual.pilot import Pilot

from gpuhop_tui.containers.build import BuildProgress
from gpuhop_tui.containers.copy import CopyProgress
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.progress import Layer, PullProgress
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.render.line import plain
from gpuhop_tui.tui.render.work import indicator, job_details, job_rows, percent_of, step_line
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.work import LeaveDialog, WorkScreen
from gpuhop_tui.tui.work import Job, JobState, Kind, Step, Transfer, Work
from tests.tui.fakes import NOW, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until

SIZES = [(80, 24), (120, 40), (200, 60)]
MB = 1_000_000

PULL = PullProgress(
    "pytorch/pytorch:2.8.0-cuda12.6-cudnn9-devel",
    (
        Layer("4f4fb700ef54", "Already exists"),
        Layer("a4d1e2b3c4f5", "Pull complete"),
        Layer("b5e2f3a4d5c6", "Extracting", 120 * MB, 300 * MB),
        Layer("c6f3a4b5e6d7", "Downloading", 1400 * MB, 3000 * MB),
        Layer("d7a4b5c6f7e8", "Waiting"),
    ),
    1700 * MB, 3300 * MB, 85.0 * MB, 19.0,
)  # fmt: skip
BUILD = BuildProgress(
    "pytorch-ssh:2.8", 2000, 2000, 3, 9, "RUN apt-get update && apt-get install -y openssh-server",
    ("Step 3/9 : RUN apt-get update && apt-get install -y openssh-server",
     " ---> Running in 0123456789ab", *(f"Get:{n} http://deb.debian.org" for n in range(40))),
    secrets=("id_rsa",),
)  # fmt: skip


@dataclass
class Steps:
    """Work that is driven by hand."""

    steps: asyncio.Queue[Step | Exception | None] = field(default_factory=asyncio.Queue)
    let_go: bool = False

    async def __call__(self, job: Job) -> str:
        try:
            while (step := await self.steps.get()) is not None:
                if isinstance(step, Exception):
                    raise step
                job.tell(step)
            return "it is there"
        finally:
            self.let_go = True

    def put(self, step: Step | Exception | None) -> None:
        self.steps.put_nowait(step)


# The jobs


@pytest.fixture
def work() -> Work:
    return Work(lambda _message: None, lambda: NOW)


async def test_a_job_tells_how_far_it_is_and_how_it_ended(work: Work) -> None:
    steps = Steps()
    job = work.begin("Pull x:1", "gpu-01", Kind.PULL, steps)
    assert work.jobs == work.running == work.transfers == (job,)
    steps.put(PULL)
    steps.put(None)
    await job.wait()
    assert (job.state, job.words, job.step, job.ended_at) == (
        JobState.DONE, "it is there", PULL, NOW
    )  # fmt: skip
    assert work.jobs == (job,)
    assert work.running == ()
    work.dismiss(job)
    assert work.jobs == ()


@pytest.mark.parametrize(
    ("error", "words", "advice"),
    [
        (ContainerError("gpu-01: pulling failed", "Check the tag."), "gpu-01: pulling failed",
         "Check the tag."),
        (ProblemError(Problem("gpu-01", ErrorKind.LOST, "lost", "Begin again.")), "gpu-01: lost",
         "Begin again."),
        (KeyError("odd"), "it failed unexpectedly: 'odd'", "log file"),
    ],
    ids=["container", "problem", "other"],
)  # fmt: skip
async def test_a_failure_is_an_outcome(
    work: Work, error: Exception, words: str, advice: str
) -> None:
    steps = Steps()
    job = work.begin("Build x:1", "gpu-01", Kind.BUILD, steps)
    steps.put(BUILD)
    steps.put(error)
    await job.wait()
    assert job.state is JobState.FAILED
    assert job.error is error
    assert words in job.words
    assert advice in job.advice
    assert job.lines == BUILD.lines  # what it wrote last is kept


async def test_cancelling_lets_the_work_let_go(work: Work) -> None:
    steps = Steps()
    job = work.begin("Copy a", "gpu-01", Kind.COPY, steps)
    await asyncio.sleep(0)
    work.cancel(job)
    await job.wait()
    assert job.state is JobState.CANCELLED
    assert steps.let_go
    other = work.begin("Copy b", "gpu-01", Kind.COPY, Steps())
    await work.close()
    assert other.state is JobState.CANCELLED


async def test_only_so_many_outcomes_are_kept(work: Work) -> None:
    running = work.begin("first", "gpu-01", Kind.COPY, Steps())
    for number in range(60):
        steps = Steps()
        steps.put(None)
        await work.begin(str(number), "gpu-01", Kind.COPY, steps).wait()
    work.begin("last", "gpu-01", Kind.COPY, Steps())
    assert running in work.jobs
    assert len(work.jobs) == 52
    await work.close()


async def test_what_waits_for_a_job_may_be_cancelled_without_it(work: Work) -> None:
    job = work.begin("Copy a", "gpu-01", Kind.COPY, Steps())
    waiter = asyncio.ensure_future(job.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert job.is_running
    await work.close()


# How it looks


@pytest.mark.parametrize(
    ("step", "percent", "words"),
    [
        (PULL, 51.5, ["2/5 layers", "1.7 GB of 3.3 GB", "85.0 MB/s", "eta 19 s"]),
        (replace(PULL, waiting="gpu-01: the connection was lost"), 51.5, ["waiting: gpu-01"]),
        (BUILD, 22.2, ["step 3/9", "RUN apt-get update"]),
        (replace(BUILD, step=0, steps=0, sent_bytes=500), 25, ["sent  500 B of 2.0 kB"]),
        (replace(BUILD, pulling=PULL), 22.2, ["step 3/9  base image  1.7 GB of 3.3 GB"]),
        (CopyProgress("model.pt", 10 * MB, None), None, ["model.pt  10.0 MB"]),
        (Transfer("model.pt", 10 * MB, 40 * MB), 25, ["model.pt  10.0 MB of 40.0 MB"]),
        ("starting it", None, ["starting it"]),
    ],
    ids=["pull", "waiting", "build", "sending", "base", "copy", "transfer", "words"],
)
def test_a_step_on_one_line(step: Step, percent: float | None, words: list[str]) -> None:
    found = percent_of(step)
    assert found == (None if percent is None else pytest.approx(percent, abs=0.1))
    line = plain(step_line(step, 150))
    for each in words:
        assert each in line
    for width in (20, 40, 60, 80):
        assert len(plain(step_line(step, width))) <= width


async def test_the_speed_of_a_copy_is_that_of_its_last_seconds(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("gpuhop_tui.tui.work.time.monotonic", lambda: now)
    job = work.begin("Copy a", "gpu-01", Kind.COPY, Steps())
    for done in (0, 2 * MB, 4 * MB):
        job.tell(Transfer("a", done, 10 * MB))
        now += 1.0
    assert job.bytes_per_second == 2 * MB
    row = plain(job_rows([job], 120, NOW)[1][1])
    assert "2.0 MB/s" in row
    assert "eta 3 s" in row
    await work.close()


async def test_details_show_layers_and_output(work: Work) -> None:
    job = work.begin("Pull x", "gpu-01", Kind.PULL, Steps())
    job.tell(PULL)
    shown = [plain(line) for line in job_details(job, 100)]
    assert len(shown) == 5
    assert "Extracting" in shown[2]
    assert "40 %" in shown[2]
    assert "1.4 GB of 3.0 GB" in shown[3]
    job.tell(BUILD)
    text = "\n".join(plain(line) for line in job_details(job, 100))
    assert "look like secrets, and are sent to the node: id_rsa" in text
    assert "Get:39" in text
    await work.close()


async def test_text_of_a_node_cannot_harm(work: Work) -> None:
    job = work.begin("Pull \x1b[2Jx", "gpu\x9b-01", Kind.PULL, Steps())
    job.tell(replace(BUILD, instruction="RUN \x1b]0;x\x07", lines=("\x1b[2J",)))
    text = "".join(plain(line) for line in job_details(job, 60))
    text += "".join(plain(line) for _, line in job_rows([job], 60, NOW))
    text += plain(indicator([job], 30))
    assert text.isprintable()
    await work.close()


# On the screen


def begin(app: GpuhopApp, title: str = "Pull x:1", kind: Kind = Kind.PULL) -> tuple[Job, Steps]:
    steps = Steps()
    return app.work.begin(title, "gpu-01", kind, steps), steps


async def test_what_runs_is_seen_from_everywhere() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        assert "w work" not in screen_text(pilot)
        await pilot.press("w")
        assert app.screen is app.dashboard
        job, steps = begin(app)
        await until(pilot, lambda: "⇣ pull" in screen_text(pilot))
        assert "w work" in screen_text(pilot)
        steps.put(PULL)
        await until(pilot, lambda: "⇣ pull 52 %" in screen_text(pilot))
        other, _ = begin(app, "Copy a", Kind.COPY)
        await until(pilot, lambda: "⇣ 2 under way" in screen_text(pilot))
        app.work.cancel(other)
        steps.put(None)
        await job.wait()
        await until(pilot, lambda: "⇣" not in screen_text(pilot))
        await until(pilot, lambda: "it is there" in screen_text(pilot), "the toast")
        assert "w work" in screen_text(pilot)  # the outcomes are kept


@pytest.mark.parametrize("size", SIZES)
async def test_the_work_screen_cancels_and_dismisses(size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=size) as pilot:
        await opened(pilot)
        job, steps = begin(app, "Pull x:1")
        steps.put(PULL)
        await pilot.press("w")
        await until(pilot, lambda: "Pull x:1 on gpu-01" in screen_text(pilot))
        await until(pilot, lambda: "Extracting" in screen_text(pilot))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await until(pilot, lambda: "Layers that are finished" in screen_text(pilot))
        await pilot.press("enter")  # no
        await until(pilot, lambda: isinstance(app.screen, WorkScreen))
        assert job.is_running
        await pilot.press("x", "y")
        await until(pilot, lambda: job.state is JobState.CANCELLED)
        await until(pilot, lambda: "– Pull x:1" in screen_text(pilot))
        await pilot.press("x")
        await until(pilot, lambda: "Nothing was begun" in screen_text(pilot))
        assert app.work.jobs == ()
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        await until(pilot, lambda: "w work" not in screen_text(pilot))


async def test_a_long_output_is_followed_until_somebody_scrolls() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        _, steps = begin(app, "Build x:1", Kind.BUILD)
        steps.put(BUILD)
        await pilot.press("w")
        await until(pilot, lambda: "Get:39" in screen_text(pilot))
        steps.put(replace(BUILD, lines=(*BUILD.lines, "and one more")))
        await until(pilot, lambda: "and one more" in screen_text(pilot))
        await pilot.press("tab", "up", "up", "up")
        await until(pilot, lambda: "and one more" not in screen_text(pilot))
        steps.put(replace(BUILD, lines=(*BUILD.lines, "and one more", "and another")))
        job = app.work.jobs[0]
        await until(pilot, lambda: getattr(job.step, "lines", ())[-1:] == ("and another",))
        await pilot.pause()
        assert "and another" not in screen_text(pilot)
        await pilot.press("c")
        await until(pilot, lambda: "and another" in app.clipboard)


# Leaving


async def test_leaving_asks_while_a_pull_runs() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        job, steps = begin(app, "Pull x:1")
        steps.put(PULL)
        await until(pilot, lambda: job.step is PULL)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, LeaveDialog))
        await until(pilot, lambda: "Pull x:1 on gpu-01, at 52 %" in screen_text(pilot))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is app.dashboard)
        assert job.is_running
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, LeaveDialog))
        await pilot.press("y")
    assert app.return_value == 0
    assert steps.let_go
    assert job.state is JobState.CANCELLED
    assert fleet.stopped


@pytest.mark.parametrize("kind", [Kind.START, None], ids=["start", "nothing"])
async def test_leaving_asks_about_nothing_else(kind: Kind | None) -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        if kind is not None:
            begin(app, "Start x", kind)
        _, steps = begin(app)
        steps.put(None)
        await until(pilot, lambda: not app.work.transfers)
        await pilot.press("q")
    assert app.return_value == 0


# Pictures


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("what", ["pull", "build", "failed", "quit"])
def test_pictures(snap_compare: Callable[..., bool], what: str, size: tuple[int, int]) -> None:
    app, _ = app_on(fleet_state())

    async def ready(pilot: Pilot[int]) -> None:
        await opened(pilot)
        ended, steps = begin(app, "Start train", Kind.START)
        steps.put(None)
        await ended.wait()
        failed, steps = begin(app, "Build x:1", Kind.BUILD)
        steps.put(replace(BUILD, lines=(*BUILD.lines[:6], "E: Unable to locate package tmx")))
        steps.put(
            ContainerError(
                "gpu-01: building x:1 failed: step 3 of 9: the command returned a non-zero code: "
                "100 (E: Unable to locate package tmx)",
                "Mend the Dockerfile.",
            )
        )
        await failed.wait()
        _, steps = begin(app, "Build pytorch-ssh:2.8", Kind.BUILD)
        steps.put(BUILD)
        _, steps = begin(app, f"Pull {PULL.image}")
        steps.put(PULL)
        await until(pilot, lambda: app.work.jobs[0].step is PULL)
        app.clear_notifications()
        if what == "quit":
            await pilot.press("q")
            await until(pilot, lambda: isinstance(app.screen, LeaveDialog))
        else:
            await pilot.press("w", *{"build": ["down"], "failed": ["down", "down"]}.get(what, []))
            await until(pilot, lambda: isinstance(app.screen, WorkScreen))
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=ready)
