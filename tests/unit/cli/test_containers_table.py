"""The table and the JSON of `containers`, and when a node counts as listed."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gpuhop_tui.cli.containers import is_listed
from gpuhop_tui.cli.containers_table import render_containers
from gpuhop_tui.containers.listing import NOT_YET, read_container
from gpuhop_tui.containers.model import Container, DiskUse, GpuGrant, Listing, LostGpus, Port
from gpuhop_tui.fleet.containers import gpu_processes, with_container_names, with_gpu_memory
from gpuhop_tui.fleet.containers_report import report_containers
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import Gpu, Process, Sample
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.status import LinkState, LinkStatus

NOW = 10_000.0
TRAIN = replace(
    read_container("gpu-01", {"Id": "ab" * 32, "Name": "/train", "State": {"Status": "running"}}),
    image="pytorch:2.8",
    started_at=NOW - 7200,
    gpus=GpuGrant(ids=("0", "1")),
    ports=(Port(22, host_port=2222),),
    cpu_percent=250.0,
    memory_bytes=3 << 30,
    gpu_memory_bytes=40 << 30,
    missing={},
)
DEAD = replace(TRAIN, id="cd" * 32, name="dead", state="exited", exit_code=137, finished_at=NOW - 5)
DISK = DiskUse(5 << 30, 0, 0, 0, 0)


def node(*containers: Container, problem: Problem | None = None, sample: Sample | None = None
         ) -> NodeState:  # fmt: skip
    return NodeState(
        "gpu-01",
        "mira@gpu-01",
        link=LinkStatus(LinkState.UP),
        containers=Listing("docker 27.3", containers, disk=DISK) if containers else None,
        containers_problem=problem,
        sample=sample,
    )


def table(*nodes: NodeState, width: int = 120) -> str:
    return render_containers(FleetState(nodes=nodes), now=NOW, width=width)


def test_a_line_a_container() -> None:
    lines = table(node(TRAIN, DEAD)).splitlines()
    assert lines[0].split("  ") == ["gpu-01", "up", "docker 27.3", "2 containers", "images 5.0 GiB"]
    train, dead = lines[1:]
    for part in ("train", "running 2 h", "250 %", "3.0 GiB", "40.0 GiB", "gpus 0,1", "2222→22"):
        assert part in train
    assert "exited 137 5 s" in dead


def test_lost_gpus_and_problems_are_told_with_the_way_out() -> None:
    lost = replace(TRAIN, lost_gpus=LostGpus(0, 2, "its rights were taken away", "Restart it."))
    said = table(node(lost))
    assert "lost its GPUs: its rights were taken away" in said
    assert "Restart it." in said
    problem = Problem("gpu-01", ErrorKind.NO_DOCKER, "there is no Docker", "Install it.")
    said = table(node(problem=problem))
    assert "no-docker at gpu-01: there is no Docker" in said
    assert "Install it." in said


@given(st.text(max_size=40), st.text(max_size=40), st.integers(60, 200))
def test_whatever_an_engine_says_stays_inside_the_width(name: str, image: str, width: int) -> None:
    container = replace(TRAIN, name=name, image=image, error=image, state="exited")
    for line in table(node(container), width=width).splitlines():
        assert cell_len(line) <= width
        assert not any(unicodedata.category(char).startswith("C") for char in line)


def test_the_report_says_all_of_it() -> None:
    report = json.loads(json.dumps(report_containers(FleetState(nodes=(node(TRAIN),)))))
    told = report["nodes"][0]["containers"][0]
    assert told["name"] == "train"
    assert told["gpus"] == {"all": False, "count": None, "ids": ["0", "1"]}
    assert told["ports"][0]["host_port"] == 2222
    assert "node" not in told
    assert report["nodes"][0]["disk"]["images_bytes"] == 5 << 30


def test_when_a_node_is_listed() -> None:
    sample = Sample("nvml", NOW)
    assert not is_listed(node())
    assert is_listed(node(DEAD))
    assert not is_listed(node(TRAIN)), "what its processes hold on the GPUs is not known yet"
    assert is_listed(node(TRAIN, sample=sample))
    unmeasured = replace(TRAIN, cpu_percent=None, missing={"cpu_percent": NOT_YET})
    assert not is_listed(node(unmeasured, sample=sample))
    never = replace(TRAIN, cpu_percent=None, missing={"cpu_percent": "the engine is too old"})
    assert is_listed(node(never, sample=sample))


def test_processes_and_containers_know_each_other() -> None:
    ours = Process(7, "mira", "train.py", 2 << 30, None, container_id=TRAIN.id)
    other = Process(8, "noor", "x", 1 << 30, None, container_id="ef" * 32)
    gpus = (Gpu(0, processes=(ours, other)), Gpu(1, processes=(ours,)))
    sample = Sample("nvml", NOW, gpus=gpus)
    listing = Listing("docker", (TRAIN, DEAD))
    named = with_container_names(sample, listing)
    assert named is not None
    assert [p.container for p in named.gpus[0].processes] == ["train", None]
    joined = with_gpu_memory(listing, sample)
    assert joined is not None
    assert joined.containers[0].gpu_memory_bytes == 4 << 30
    assert [process.pid for process in gpu_processes(TRAIN, sample)] == [7]
    blind = with_gpu_memory(Listing("docker", (replace(TRAIN, gpu_memory_bytes=None),)), None)
    assert blind is not None
    assert blind.containers[0].missing["gpu_memory_bytes"] == "no figures from the node's GPUs"
    silent = replace(sample, gpus=(Gpu(0, processes=(replace(ours, memory_bytes=None),)),))
    joined = with_gpu_memory(listing, silent)
    assert joined is not None
    assert joined.containers[0].gpu_memory_bytes is None
    assert "driver" in joined.containers[0].missing["gpu_memory_bytes"]
