"""What limits a GPU or a job: nothing without a figure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.explain import Explanation, explain_gpu, explain_job
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.probe.sample import Disk, Gpu, Host, Sample
from tests.unit.alerts.states import FREE, GIB, gpu, job, node

NOW = 5000.0
LINK: dict[str, Any] = {
    "pcie_generation": 4, "pcie_generation_max": 4, "pcie_width": 16, "pcie_width_max": 16,
}  # fmt: skip
WELL = gpu(0, utilization_percent=97, memory_used_bytes=70 * GIB, sm_clock_mhz=1410, **LINK)
HOST = Host(
    cpu_count=64, cpu_percent=20.0, memory_used_bytes=100 * GIB, memory_total_bytes=512 * GIB,
    disks=(Disk("/", 100 * GIB, 400 * GIB),),
)  # fmt: skip
JOB = job(gpus=(0,), busiest_percent=40.0, processes=12, waiting=0)


def explained(item: Gpu, jobs: tuple[Job, ...] = (JOB,), host: Host = HOST) -> Explanation:
    return explain_gpu(_node(item, jobs=jobs, host=host), item, NOW)


def _node(*gpus: Gpu, jobs: tuple[Job, ...] = (JOB,), host: Host = HOST) -> NodeState:
    return node(sample=Sample("nvml", NOW, gpus=gpus, host=host), jobs=jobs)


def test_what_is_well_has_no_limit() -> None:
    found = explained(WELL)
    assert found == Explanation((), "it works to capacity: utilization 97 %", ())


SLOW: dict[str, Any] = {"utilization_percent": 31}


@pytest.mark.parametrize(
    ("changes", "jobs", "host", "words"),
    [
        (
            {"throttle_reasons": ("thermal (hardware)",), "temperature_celsius": 89},
            (JOB,), HOST,
            "heat holds its clock down (thermal (hardware), 89 °C, 1410 MHz)",
        ),
        (
            {"throttle_reasons": ("power cap",), "power_watts": 398.0},
            (JOB,), HOST,
            "its power cap holds its clock down (power cap, 398 of 400 W, 1410 MHz)",
        ),
        (
            {"throttle_reasons": ("power brake",)},
            (JOB,), HOST,
            "its clock is held down (power brake, 1410 MHz)",
        ),
        (
            {"pcie_generation": 3, "pcie_width": 8},
            (JOB,), HOST,
            "its PCIe link runs below what it can (generation 3 of 4, 8 of 16 lanes)",
        ),
        (
            {"memory_used_bytes": 6 * GIB},
            (JOB,), HOST,
            "little of its memory is used: there is room for more at a time (6.0 of 80 GiB)",
        ),
        (
            {},
            (JOB, replace(JOB, pid=42, user="bob")), HOST,
            "2 jobs share it (python train.py of ann, python train.py of bob)",
        ),
        (
            SLOW, (replace(JOB, busiest_percent=100.0),), HOST,
            "one process keeps a whole CPU core busy while the GPU waits (python train.py: its "
            "busiest process 100 % of a core, utilization 31 %)",
        ),
        (
            SLOW, (replace(JOB, waiting=3),), HOST,
            "processes wait, mostly for a disk (python train.py: 3 of 12 in uninterruptible "
            "sleep, utilization 31 %)",
        ),
        (
            SLOW, (JOB,), replace(HOST, cpu_percent=99.0),
            "all CPU cores are busy (99 % of 64 cores, utilization 31 %)",
        ),
        (
            {}, (JOB,), replace(HOST, memory_used_bytes=500 * GIB),
            "the node's memory is nearly full (500 of 512 GiB)",
        ),
        (
            {}, (JOB,), replace(HOST, disks=(Disk("/data", GIB, 400 * GIB),)),
            "the disk of /data is nearly full (1.0 of 400 GiB free)",
        ),
        (
            {"utilization_percent": 0},
            (replace(JOB, state=JobState.STALLED, last_busy_at=NOW - 2460),), HOST,
            "memory is held, and nothing is computed (70 GiB held, utilization 0 %, for 41 min)",
        ),
    ],
)  # fmt: skip
def test_each_limit_is_told_with_its_evidence(
    changes: dict[str, Any], jobs: tuple[Job, ...], host: Host, words: str
) -> None:
    found = explained(replace(WELL, **changes), jobs, host)
    assert [str(limit) for limit in found.limits] == [words]


def test_an_idle_gpu_is_allowed_a_slow_link() -> None:
    found = explained(replace(WELL, utilization_percent=0, pcie_generation=1))
    assert all("PCIe" not in limit.words for limit in found.limits)


def test_a_busy_core_beside_a_busy_gpu_limits_nothing() -> None:
    assert explained(WELL, (replace(JOB, busiest_percent=100.0, waiting=2),)).limits == ()


def test_a_free_gpu_is_free() -> None:
    found = explained(replace(FREE, **LINK), ())
    assert found == Explanation((), "it is free", ())


def test_what_cannot_be_looked_at_is_named_and_not_guessed() -> None:
    blind = replace(
        WELL,
        throttle_reasons=None,
        utilization_percent=None,
        pcie_generation=None,
        missing={"throttle_reasons": "no permission", "utilization_percent": "MIG is on"},
    )
    found = explained(blind, (replace(JOB, busiest_percent=None),), Host())
    assert found.limits == ()
    assert found.state == ""
    assert found.unknown == (
        "throttling: no permission",
        "utilization: MIG is on",
        "PCIe: not reported",
        "CPU: not reported",
        "its processes: not measured",
    )


def test_a_job_is_limited_by_each_of_its_gpus() -> None:
    both = replace(JOB, gpus=(0, 1), utilization_percent=90.0)
    capped = replace(WELL, throttle_reasons=("power cap",))
    here = _node(capped, replace(capped, index=1), jobs=(both,))
    (limit,) = explain_job(here, both, NOW).limits
    assert limit.words == "its power cap holds its clock down"
    assert limit.evidence.startswith("GPU 0: power cap, 300 of 400 W, 1410 MHz; GPU 1: power cap")


def test_what_is_old_or_over_is_not_explained() -> None:
    assert explain_gpu(replace(_node(WELL), stale=True), WELL, NOW).limits == ()
    assert explain_job(_node(WELL), replace(JOB, state=JobState.FAILED), NOW).limits == ()
    assert explained(Gpu(0, lost="gone")).state == "it does not answer"


@given(
    st.builds(
        Gpu,
        index=st.just(0),
        utilization_percent=st.none() | st.integers(0, 100),
        memory_used_bytes=st.none() | st.integers(0, 80 * GIB),
        memory_total_bytes=st.none() | st.integers(0, 80 * GIB),
        temperature_celsius=st.none() | st.integers(0, 120),
        throttle_reasons=st.none()
        | st.lists(st.text("abc ", min_size=1, max_size=9).filter(str.strip), max_size=3).map(
            tuple
        ),
        pcie_generation=st.none() | st.integers(1, 6),
        pcie_generation_max=st.none() | st.integers(1, 6),
        pcie_width=st.none() | st.integers(1, 32),
        pcie_width_max=st.none() | st.integers(1, 32),
    ),
    st.none() | st.floats(0, 400),
    st.none() | st.integers(0, 9),
)
def test_every_limit_has_evidence(item: Gpu, core: float | None, waiting: int | None) -> None:
    mine = replace(JOB, busiest_percent=core, waiting=waiting, utilization_percent=None)
    for found in (explained(item, (mine,)), explain_job(_node(item, jobs=(mine,)), mine, NOW)):
        assert all(limit.words and limit.evidence.strip() for limit in found.limits)
        assert len({limit.words for limit in found.limits}) == len(found.limits)
