"""The `--json` contract: the fields, their types, and a reason for every null."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.jobs.fold import fold
from gpuhop_tui.fleet.report import JOB_FIGURES, report_fleet, report_node
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import Disk, Gpu, Host, MigInstance, Process, Sample
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.status import LinkState, LinkStatus

NODE = {
    "name", "state", "error", "via", "connect_seconds", "source", "driver", "cuda", "sampled_at",
    "gpus",
    # beside the contract's: what else a screen shows
    "tags", "rtt_seconds", "host", "jobs",
}  # fmt: skip
HOST = {
    "hostname", "boot_time", "cpu_count", "cpu_percent", "memory_used_bytes",
    "memory_total_bytes", "load_1", "disks", "missing",
}  # fmt: skip
GPU = {
    "index", "uuid", "name", "utilization_percent", "memory_used_bytes", "memory_total_bytes",
    "temperature_celsius", "power_watts", "power_limit_watts", "fan_percent", "sm_clock_mhz",
    "throttle_reasons", "ecc_uncorrected", "mig", "missing", "processes",
    "pcie_generation", "pcie_generation_max", "pcie_width", "pcie_width_max", "reservations",
}  # fmt: skip
PROCESS = {
    "pid", "user", "command", "memory_bytes", "started_at", "container", "container_id",
    "tmux_session",
}  # fmt: skip
NOT_FIGURES = {"index", "mig", "missing", "processes", "reservations"}


def node(sample: Sample | None, **more: object) -> NodeState:
    return NodeState(
        name="gpu-01",
        address="me@10.0.0.50",
        via=("jump-server",),
        link=LinkStatus(state=LinkState.UP, connect_seconds=0.25),
        sample=sample,
        **more,  # type: ignore[arg-type]
    )


def sample(*gpus: Gpu, problem: Problem | None = None) -> Sample:
    return Sample("nvml", 1_700_000_000.5, "535.104", "12.2", gpus=gpus, problem=problem)


def test_fields_are_those_of_the_contract() -> None:
    gpu = Gpu(0, processes=(Process(7, "ann", "python", 1, 2.0),))
    report = report_fleet(FleetState(nodes=(node(sample(gpu)),)))
    assert set(report) == {"schema", "nodes"}
    assert report["schema"] == 1
    (reported,) = report["nodes"]
    assert set(reported) == NODE
    assert set(reported["host"]) == HOST
    assert set(reported["host"]["missing"]) == HOST - {"disks", "missing"}
    assert set(reported["gpus"][0]) == GPU
    assert set(reported["gpus"][0]["processes"][0]) == PROCESS
    assert reported["via"] == ["jump-server"]
    assert json.loads(json.dumps(report)) == report


def test_a_node_without_a_sample_has_every_field() -> None:
    reported = report_node(NodeState("gpu-01", "me@host"))
    assert set(reported) == NODE
    assert reported["state"] == "down"
    assert reported["gpus"] == []
    assert reported["source"] is reported["sampled_at"] is reported["error"] is None
    assert reported["host"] is None


def test_a_lost_gpu_says_so_for_every_figure() -> None:
    lost = "lost (Xid 79, 12:41)"
    gpu = report_node(node(sample(Gpu(3, uuid="GPU-3", lost=lost))))["gpus"][0]
    assert gpu["uuid"] == "GPU-3"
    assert set(gpu["missing"]) == GPU - NOT_FIGURES - {"uuid"}
    assert set(gpu["missing"].values()) == {lost}


def test_the_machine_around_the_gpus_is_told_with_its_disks() -> None:
    host = Host(
        "gpu-01", cpu_percent=0.0, disks=(Disk("/", 5, 10),), missing={"load_1": "no /proc"}
    )
    told = report_node(node(Sample("nvml", 1.0, host=host)))["host"]
    assert told["cpu_percent"] == 0.0
    assert told["disks"] == [{"path": "/", "free_bytes": 5, "total_bytes": 10}]
    assert told["missing"]["load_1"] == "no /proc"


def test_the_reason_of_the_probe_is_kept_and_zero_is_a_figure() -> None:
    gpu = Gpu(0, utilization_percent=0, throttle_reasons=(), missing={"fan_percent": "no fan"})
    reported = report_node(node(sample(gpu)))["gpus"][0]
    assert reported["missing"]["fan_percent"] == "no fan"
    assert "utilization_percent" not in reported["missing"]
    assert "throttle_reasons" not in reported["missing"]
    assert reported["utilization_percent"] == 0
    assert reported["throttle_reasons"] == []


def test_a_node_that_is_up_without_a_driver_has_an_error() -> None:
    problem = Problem("gpu-01", ErrorKind.NO_DRIVER, "no NVIDIA driver", "install one")
    reported = report_node(node(sample(problem=problem)))
    assert reported["state"] == "up"
    assert reported["error"] == {
        "hop": "gpu-01",
        "kind": "no-driver",
        "message": "no NVIDIA driver",
        "advice": "install one",
    }


def test_mig_instances_are_reported_with_their_reasons() -> None:
    instance = MigInstance(1, "MIG-1", "1g.10gb", missing={"memory_used_bytes": "no permission"})
    (mig,) = report_node(node(sample(Gpu(0, mig=(instance,)))))["gpus"][0]["mig"]
    assert mig["missing"]["memory_used_bytes"] == "no permission"
    assert mig["missing"]["memory_total_bytes"]
    assert mig["name"] == "1g.10gb"


FIGURES = {
    "utilization_percent": st.none() | st.integers(0, 100),
    "memory_used_bytes": st.none() | st.integers(0, 2**40),
    "power_watts": st.none() | st.floats(0, 1000),
    "throttle_reasons": st.none() | st.lists(st.text(max_size=9), max_size=3).map(tuple),
    "missing": st.dictionaries(st.sampled_from(sorted(GPU)), st.text(min_size=1), max_size=9),
    "lost": st.none() | st.text(min_size=1),
}


@given(st.builds(Gpu, index=st.integers(0, 63), **FIGURES))
def test_a_figure_is_null_exactly_where_a_reason_is_given(gpu: Gpu) -> None:
    reported = report_node(node(sample(gpu)))["gpus"][0]
    for name in GPU - NOT_FIGURES:
        assert (reported[name] is None) == bool(reported["missing"].get(name)), name


def test_a_job_is_told_with_the_reason_of_each_figure_that_is_missing() -> None:
    gpu = Gpu(3, processes=(Process(7, "ann", "python a.py", 1, 2.0),))
    state = node(sample(gpu))
    jobs = fold("gpu-01", replace(sample(gpu), jobs=None))
    (job,) = report_node(replace(state, jobs=tuple(jobs)))["jobs"]
    assert (job["pid"], job["gpus"], job["state"], job["name"]) == (
        7,
        [3],
        "running",
        "python a.py",
    )
    blank = {name for name in JOB_FIGURES if job[name] is None}
    assert set(job["missing"]) == blank
    assert all(job["missing"].values())
