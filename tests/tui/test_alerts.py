"""Alerts on the screen: told, logged, silenced; and a GPU that is waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from gpuhop_tui.config.schema import AlertsConfig
from gpuhop_tui.fleet.alerts.model import Alert, AlertKind
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.sessions.hop_target import HopResult, HopTarget
from gpuhop_tui.ssh.prompts import Prompter
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.opening import Opened
from gpuhop_tui.tui.screens.alerts import AlertsScreen
from tests.tui.fakes import GIB, NOW, FakeFleet, busy_node, fleet_state, gpu
from tests.tui.waiting import opened, screen_text, until

JOB = Job(
    "gpu-01", 418212, NOW - 11520, gpus=(0, 1, 2, 3), user="marie",
    name="python train.py --config big.yaml", process_user="marie",
)  # fmt: skip
KILLED = replace(JOB, state=JobState.KILLED, signal=9, ended_at=NOW, reason="SIGKILL")
CONFIG = AlertsConfig(users=("marie",), terminal="osc9")


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def with_jobs(*jobs: Job) -> FleetState:
    state = fleet_state()
    nodes = tuple(replace(n, jobs=jobs) if n.name == "gpu-01" else n for n in state.nodes)
    return replace(state, nodes=nodes)


def alerting_app(
    state: FleetState, config: AlertsConfig = CONFIG
) -> tuple[GpuhopApp, FakeFleet, Clock, list[str]]:
    """The app, its fleet, its clock, and what is written to its terminal."""
    fleet, clock, written = FakeFleet(state, lambda _node, _gpu: []), Clock(), list[str]()

    async def open_fleet(prompter: Prompter) -> Opened:
        return Opened(fleet, alerts=config)

    app = GpuhopApp(open_fleet, clock=clock)
    app._to_terminal = written.append  # type: ignore[method-assign]
    return app, fleet, clock, written


async def seen(pilot: Pilot[int], words: str) -> None:
    await until(pilot, lambda: words in screen_text(pilot), words)


async def toasted(pilot: Pilot[int], words: str) -> None:
    """A toast has said this, however its lines are broken."""
    said = pilot.app._notifications
    await until(pilot, lambda: any(words in toast.message for toast in said), words)


async def watched(pilot: Pilot[int], app: GpuhopApp) -> None:
    """The dashboard is open, and alerts have looked at its first state."""
    await opened(pilot)
    await until(pilot, lambda: app.alerting and app.alerting.desk.engine._nodes, "a first look")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_end_of_a_job_is_told_logged_and_led_to(size: tuple[int, int]) -> None:
    app, fleet, _, written = alerting_app(with_jobs(JOB))
    async with app.run_test(notifications=True, size=size) as pilot:
        await watched(pilot, app)
        fleet.set(with_jobs(KILLED))
        await seen(pilot, "Job killed on gpu-01")
        await seen(pilot, "1 alert")
        words = "python train.py --config big.yaml (marie, GPUs 0-3) was killed by SIGKILL"
        assert written == [f"\x1b]9;job killed on gpu-01: {words} after 3 h 12 min\a"]

        await pilot.press("exclamation_mark")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        await seen(pilot, "Alerts   1")
        await seen(pilot, "SIGKILL")
        await pilot.press("enter")
        dashboard = app.dashboard
        assert dashboard is not None
        await until(pilot, lambda: app.screen is dashboard)
        assert dashboard.view.node is not None
        assert dashboard.view.node.name == "gpu-01"
        await until(pilot, lambda: "1 alert" not in screen_text(pilot).splitlines()[0])


async def test_silence_is_shown_and_only_logs() -> None:
    app, fleet, clock, written = alerting_app(with_jobs(JOB))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await watched(pilot, app)
        await pilot.press("M")
        await seen(pilot, "silent 30 min")
        fleet.set(with_jobs(KILLED))
        await seen(pilot, "1 alert")
        assert written == []
        assert "Job killed" not in screen_text(pilot)
        clock.now += 1801
        dashboard = app.dashboard
        assert dashboard is not None
        dashboard.tick()
        await until(pilot, lambda: "silent 30 min" not in screen_text(pilot).splitlines()[0])


async def test_many_alerts_at_once_are_one_toast_and_one_notification() -> None:
    jobs = tuple(replace(JOB, pid=number, name=f"python {number}.py") for number in range(1, 9))
    app, fleet, _, written = alerting_app(with_jobs(*jobs))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await watched(pilot, app)
        fleet.set(with_jobs(*(replace(KILLED, pid=job.pid, name=job.name) for job in jobs)))
        await seen(pilot, "8 alerts")
        assert len(app._notifications) == 1
        assert len(written) == 1


def _node(free: bool) -> NodeState:
    node = busy_node(NOW)
    assert node.sample is not None
    last = gpu(7, used=0.4 if free else 70, util=0 if free else 99)
    gpus = (*(replace(each, memory_used_bytes=60 * GIB) for each in node.sample.gpus[:7]), last)
    return replace(node, sample=replace(node.sample, gpus=gpus))


async def test_the_freest_asked_for_twice_waits_for_one_and_leads_to_it() -> None:
    app, fleet, clock, written = alerting_app(FleetState(nodes=(_node(free=False),)))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await watched(pilot, app)
        await pilot.press("f")
        await toasted(pilot, "f again waits for one")
        await pilot.press("f")
        await seen(pilot, "waits for a free GPU")
        fleet.set(FleetState(nodes=(_node(free=True),)))
        dashboard = app.dashboard
        assert dashboard is not None
        for _ in range(3):  # it has to stay free
            clock.now += 5.0
            assert app.alerting is not None
            app.alerting.observe(fleet.state)
        await toasted(pilot, "GPU 7 (NVIDIA A100-SXM4-80GB) is free · f goes there")
        assert len(written) == 1
        dashboard.view.select_gpu(0)
        await pilot.press("f")
        assert dashboard.view.gpus.selected == 7
        assert "waits for a free GPU" not in screen_text(pilot).splitlines()[0]


async def test_twice_slowly_is_no_wish() -> None:
    app, _, clock, _ = alerting_app(FleetState(nodes=(_node(free=False),)))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await watched(pilot, app)
        await pilot.press("f")
        clock.now += 5.0
        await pilot.press("f")
        assert app.alerting is not None
        assert app.alerting.desk.wishes == ()


async def test_what_is_waited_for_is_given_up() -> None:
    app, _, _, _ = alerting_app(FleetState(nodes=(_node(free=False),)))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await watched(pilot, app)
        await pilot.press("f", "f", "exclamation_mark")
        await seen(pilot, "Nothing yet")
        await seen(pilot, "waits for a free GPU")
        await pilot.press("x")
        assert app.alerting is not None
        assert app.alerting.desk.wishes == ()


async def test_while_a_hop_has_the_terminal_its_line_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, fleet, _, written = alerting_app(with_jobs(JOB))
    on_line: list[tuple[str, bytes]] = []

    async def hop(node: str, target: HopTarget, **more: Callable[[object], None]) -> HopResult:
        more["on_line"](lambda text, sequence: on_line.append((text, sequence)))
        fleet.set(with_jobs(KILLED))
        await until(pilot, lambda: on_line, "the line")
        more["on_line"](None)
        return fleet.hop_result

    monkeypatch.setattr(fleet, "hop", hop)
    monkeypatch.setattr("gpuhop_tui.tui.hopping.handed_over", lambda _app, work: work())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await watched(pilot, app)
        dashboard = app.dashboard
        assert dashboard is not None
        dashboard.go_to_node("gpu-01")
        await pilot.press("enter")
        await toasted(pilot, "etached from gpuhop")
    ((text, sequence),) = on_line
    assert text.startswith("job killed on gpu-01: python train.py")
    assert sequence.startswith(b"\x1b]9;job killed on gpu-01")
    assert written == []


# Pictures

ALERTS = (
    Alert(AlertKind.NODE_LOST, "gpu-03", "the link is down: no answer to keepalives", NOW - 90000),
    Alert(AlertKind.NODE_BACK, "gpu-03", "the link is up again", NOW - 89000),
    Alert(AlertKind.GPU_HOT, "gpu-01", "GPU 3 has 91 °C and is slowed down: thermal (hardware)",
          NOW - 4000, (3,), user="marie"),
    Alert(AlertKind.JOB_STALLED, "gpu-01",
          "torchrun finetune.py (jonas, GPUs 4-5) holds memory, and its GPUs do nothing",
          NOW - 1200, (4, 5)),
    Alert(AlertKind.JOB_FINISHED, "lab-a",
          "python sample.py --steps 50 (priya, GPU 0) finished with exit status 0 after 24 min",
          NOW - 600, (0,)),
    Alert(AlertKind.JOB_KILLED, "gpu-01",
          "python train.py --config big.yaml --resume last (marie, in llm-pretrain, GPUs 0-3) was "
          "killed by SIGKILL after 3 h 12 min", NOW - 10, (0, 1, 2, 3)),
)  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_log_picture(snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
    app, _, _, _ = alerting_app(fleet_state())

    async def ready(pilot: Pilot[int]) -> None:
        await watched(pilot, app)
        assert app.alerting is not None
        app.alerting.desk.log = ALERTS
        app.alerting.desk.silence(1200)
        await pilot.press("exclamation_mark")
        await seen(pilot, "SIGKILL")
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=ready)
