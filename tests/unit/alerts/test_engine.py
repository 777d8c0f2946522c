"""Which states of a fleet make which alerts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.config.schema import AlertName, AlertsConfig
from gpuhop_tui.fleet.alerts.engine import UNCLEAR_SECONDS, AlertEngine, Wish
from gpuhop_tui.fleet.alerts.model import Alert, AlertKind, Severity, from_facts, to_facts
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.state import BastionState, FleetState
from gpuhop_tui.probe.sample import Gpu
from tests.unit.alerts.states import FREE, GIB, LOST, THEIRS, UP, fleet, gpu, job, node


def run(*states: FleetState, seconds: int = 70, config: AlertsConfig | None = None) -> list[Alert]:
    """Every alert, each state being there for `seconds`, with a look a second."""
    engine, found, now = AlertEngine(config or AlertsConfig()), [], 5000.0
    for state in states:
        for _ in range(seconds):
            found += engine.update(state, now)
            now += 1.0
    return found


def kinds(alerts: list[Alert]) -> list[AlertKind]:
    return [alert.kind for alert in alerts]


def test_the_config_knows_every_kind() -> None:
    assert set(get_args(AlertName)) == {kind.value for kind in AlertKind}


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        (gpu(temperature_celsius=90), AlertKind.GPU_HOT, "GPU 0 has 90 °C"),
        (
            gpu(temperature_celsius=80, throttle_reasons=("thermal (hardware)",)),
            AlertKind.GPU_HOT,
            "GPU 0 has 80 °C and is slowed down: thermal (hardware)",
        ),
        (
            gpu(throttle_reasons=("power brake",)),
            AlertKind.GPU_THROTTLED,
            "GPU 0 is held down: power brake, at 300 of 400 W",
        ),
        (
            gpu(memory_used_bytes=79 * GIB),
            AlertKind.GPU_MEMORY_FULL,
            "GPU 0 has 99 % of its memory in use",
        ),
        (
            gpu(ecc_uncorrected=2),
            AlertKind.GPU_ECC,
            "GPU 0 has 2 more uncorrected ECC errors, 2 in all",
        ),
        (
            Gpu(0, lost="fell off the bus (Xid 79)"),
            AlertKind.GPU_LOST,
            "GPU 0 does not answer: fell off the bus (Xid 79)",
        ),
    ],
)
def test_a_gpu_that_is_not_well_is_told_once(bad: Gpu, kind: AlertKind, words: str) -> None:
    found = run(fleet(node(gpu())), fleet(node(bad)), seconds=100)
    assert [(alert.kind, alert.words) for alert in found] == [(kind, words)]
    assert found[0].gpus == (0,)


def test_what_does_not_last_is_not_told() -> None:
    hot = fleet(node(gpu(temperature_celsius=95)))
    assert run(*[hot, fleet(node(gpu()))] * 10, seconds=20) == []


def test_a_power_cap_is_told_where_it_is_asked_for() -> None:
    capped = fleet(node(gpu(throttle_reasons=("power cap",))))
    assert run(capped) == []
    assert kinds(run(capped, config=AlertsConfig(power_cap=True))) == [AlertKind.GPU_THROTTLED]


def test_what_happens_to_others_is_told_where_it_is_asked_for() -> None:
    hot = fleet(node(gpu(0, THEIRS, temperature_celsius=95)))
    assert run(hot) == []
    assert kinds(run(hot, config=AlertsConfig(mine_only=False))) == [AlertKind.GPU_HOT]
    assert kinds(run(hot, config=AlertsConfig(users=("bob",)))) == [AlertKind.GPU_HOT]


def test_a_kind_that_is_off_is_not_told() -> None:
    hot = fleet(node(gpu(temperature_celsius=95)))
    assert run(hot, config=AlertsConfig(off=("gpu-hot",))) == []


def test_gpus_of_which_the_same_is_to_be_said_are_one_alert() -> None:
    well = node(*(gpu(index) for index in range(4)))
    hot = node(*(gpu(index, temperature_celsius=95) for index in range(3)), gpu(3))
    (alert,) = run(fleet(well), fleet(hot))
    assert (alert.gpus, alert.words) == ((0, 1, 2), "GPUs 0-2: each has 95 °C")


def test_errors_are_told_again_when_there_are_more_and_not_when_they_are_reset() -> None:
    counts = (3, 3, 5, 0, 1)
    found = run(*(fleet(node(gpu(ecc_uncorrected=count))) for count in counts))
    assert [alert.words for alert in found] == [
        "GPU 0 has 2 more uncorrected ECC errors, 5 in all",
        "GPU 0 has 1 more uncorrected ECC errors, 1 in all",
    ]


def test_a_gpu_that_was_lost_before_is_no_news() -> None:
    assert run(fleet(node(Gpu(0, lost="gone")))) == []


@pytest.mark.parametrize(
    ("over", "kind", "words"),
    [
        (
            job(JobState.KILLED, signal=9, ended_at=5060.0),
            AlertKind.JOB_KILLED,
            "python train.py (ann, GPUs 0-1) was killed by SIGKILL after 1 h 9 min",
        ),
        (
            job(JobState.FAILED, exit_code=2, reason="exit status 2"),
            AlertKind.JOB_FAILED,
            "python train.py (ann, GPUs 0-1) failed: exit status 2",
        ),
        (
            job(JobState.FINISHED, exit_code=0, container="lora", user_from="x"),
            AlertKind.JOB_FINISHED,
            "python train.py (ann, in lora, GPUs 0-1) finished with exit status 0",
        ),
        (
            job(JobState.OUT_OF_MEMORY, reason="the kernel killed it for memory"),
            AlertKind.JOB_OUT_OF_MEMORY,
            "python train.py (ann, GPUs 0-1) ran out of memory: the kernel killed it for memory",
        ),
        (
            job(JobState.ENDED, reason="Linux tells it from 6.15 on"),
            AlertKind.JOB_ENDED,
            "python train.py (ann, GPUs 0-1) ended; Linux tells it from 6.15 on",
        ),
    ],
)
def test_the_end_of_a_job_is_told_with_its_exit(over: Job, kind: AlertKind, words: str) -> None:
    states = [fleet(node(gpu(), jobs=jobs)) for jobs in ((), (job(),), (over,))]
    (alert,) = run(*states)
    assert (alert.kind, alert.words, alert.pid) == (kind, words, 41)
    assert (alert.exit_code, alert.signal) == (over.exit_code, over.signal)


def test_an_end_that_nobody_saw_begin_is_no_news() -> None:
    assert run(fleet(node(gpu(), jobs=(job(JobState.KILLED, signal=9),)))) == []


def test_an_end_of_before_is_told_with_its_age() -> None:
    over = job(JobState.FINISHED, exit_code=0, ended_at=1400.0)
    (alert,) = run(fleet(node(jobs=(job(),))), fleet(node(jobs=(over,))))
    assert alert.words.endswith("after 8 min, 1 h 1 min ago")


def test_ends_of_others_are_not_told() -> None:
    states = [
        fleet(node(jobs=(replace(job(state), user="bob"),)))
        for state in (JobState.RUNNING, JobState.FAILED)
    ]
    assert run(*states) == []


def test_how_a_job_ended_may_be_known_a_moment_later() -> None:
    engine = AlertEngine(AlertsConfig())
    unclear = job(JobState.ENDED, reason="not known")
    assert engine.update(fleet(node(jobs=(job(),))), 1.0) == []
    assert engine.update(fleet(node(jobs=(unclear,))), 2.0) == []
    known = fleet(node(jobs=(replace(unclear, state=JobState.FAILED, exit_code=3),)))
    assert kinds(engine.update(known, 2.5)) == [AlertKind.JOB_FAILED]
    assert engine.update(known, 2.5 + 2 * UNCLEAR_SECONDS) == []


def test_an_end_that_was_only_supposed_is_not_told() -> None:
    engine = AlertEngine(AlertsConfig())
    for now, state in enumerate((JobState.RUNNING, JobState.ENDED, JobState.RUNNING)):
        assert engine.update(fleet(node(jobs=(job(state),))), now * 1.0) == []
    assert engine.update(fleet(node(jobs=(job(),))), 60.0) == []


def test_a_stalled_job_is_told() -> None:
    stalled = job(JobState.STALLED, since=1600.0, last_busy_at=1000.0)
    (alert,) = run(fleet(node(jobs=(job(),))), fleet(node(jobs=(stalled,))))
    assert alert.kind is AlertKind.JOB_STALLED
    assert alert.words.endswith("holds memory, and its GPUs do nothing since 10 min")


def test_a_node_that_is_lost_and_back() -> None:
    found = run(fleet(node()), fleet(node(link=LOST, stale=True)), fleet(node()))
    assert [(alert.kind, alert.words) for alert in found] == [
        (AlertKind.NODE_LOST, "the link is down: no answer"),
        (AlertKind.NODE_BACK, "the link is up again"),
    ]
    assert [alert.severity for alert in found] == [Severity.BAD, Severity.GOOD]


def test_a_node_that_was_never_there_is_not_lost() -> None:
    assert run(fleet(node(link=LOST))) == []


def test_behind_a_lost_bastion_it_is_the_bastion_that_is_told_of() -> None:
    def behind(link: Any) -> FleetState:
        names = ("gpu-01", "gpu-02")
        nodes = (node(name=name, via=("jump",), link=link, stale=link is LOST) for name in names)
        return fleet(*nodes, bastions=(BastionState("jump", "", link=link),))

    found = run(behind(UP), behind(LOST), behind(UP))
    assert [(alert.kind, alert.node) for alert in found] == [
        (AlertKind.NODE_LOST, "jump"),
        (AlertKind.NODE_BACK, "jump"),
    ]
    assert "(2 nodes behind it)" in found[0].words


@pytest.mark.parametrize("wish", [Wish(), Wish("gpu-01"), Wish("gpu-01", 0)])
def test_a_gpu_that_was_waited_for(wish: Wish) -> None:
    engine = AlertEngine(AlertsConfig())
    engine.wait_for(wish)
    busy, free = fleet(node(gpu())), fleet(node(FREE))
    found = [engine.update(busy if now < 10 else free, now * 1.0) for now in range(40)]
    told = [(now, alert) for now, alerts in enumerate(found) for alert in alerts]
    ((now, alert),) = told
    assert now == 15  # it has to stay free
    assert (alert.kind, alert.node, alert.gpus) == (AlertKind.GPU_FREE, "gpu-01", (0,))
    assert engine.wishes == ()


def test_another_gpu_than_the_one_waited_for_is_not_it() -> None:
    engine = AlertEngine(AlertsConfig())
    engine.wait_for(Wish("gpu-02"))
    engine.wait_for(Wish("gpu-01", 1))
    for now in range(40):
        assert engine.update(fleet(node(FREE)), now * 1.0) == []
    assert len(engine.wishes) == 2


@given(st.lists(st.tuples(st.sampled_from([95, 60, None]), st.floats(0.1, 20.0)), max_size=80))
def test_a_temperature_that_flaps_is_told_once_a_hold_at_most(
    readings: list[tuple[int | None, float]],
) -> None:
    engine, now, told = AlertEngine(AlertsConfig()), 1000.0, []
    for celsius, step in readings:
        now += step
        state = fleet(node(gpu(temperature_celsius=celsius)))
        told += [now for _ in engine.update(state, now)]
    hold = AlertsConfig().hot_seconds
    assert all(later - earlier >= hold for earlier, later in itertools.pairwise(told))


@given(
    st.builds(
        Alert,
        st.sampled_from(AlertKind),
        st.text(),
        st.text(),
        st.floats(0, 1e11),
        st.lists(st.integers(0, 255), max_size=8).map(tuple),
        st.none() | st.text(),
        st.none() | st.integers(1, 1 << 22),
        st.none() | st.text(),
        st.none() | st.integers(0, 255),
        st.none() | st.integers(1, 64),
    )
)
def test_the_log_reads_what_it_wrote(alert: Alert) -> None:
    assert from_facts(to_facts(alert)) == alert


@pytest.mark.parametrize("facts", [{}, {"kind": "new", "node": "", "words": "", "at": 1}])
def test_what_makes_no_sense_in_the_log_is_passed_over(facts: dict[str, Any]) -> None:
    assert from_facts(facts) is None
