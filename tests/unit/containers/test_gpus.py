"""Which GPUs a container gets, and what is found in its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuhop_tui.containers.checks import check, settled
from gpuhop_tui.containers.engine import EngineFacts
from gpuhop_tui.containers.gpus import NodeGpu, NodeMig, chosen, find, granted, holders
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container, GpuGrant
from gpuhop_tui.containers.spec import ContainerSpec, Gpus, read_port
from gpuhop_tui.containers.surroundings import Surroundings, read_answer, script

GPUS = tuple(NodeGpu(k, f"GPU-{k}0000000-ab") for k in range(4))
MIG = NodeGpu(4, "GPU-40000000-ab", mig=(NodeMig("MIG-a", "1g.10gb"), NodeMig("MIG-b", "1g.10gb")))
SPEC = ContainerSpec("image:1", "train", ipc="host")
ENGINE = EngineFacts("docker", "27", "1.47", "/s", memory_bytes=64 << 30)
AROUND = Surroundings(ENGINE, gpus=(*GPUS, MIG), ports={}, user="mira", home="/home/mira")


def container(name: str, grant: GpuGrant | None, state: str = "running") -> Container:
    facts = {"Id": name, "Name": f"/{name}", "State": {"Status": state}}
    return replace(read_container("n", facts), gpus=grant)


def names(spec: ContainerSpec, around: Surroundings = AROUND) -> list[str]:
    return [finding.name for finding in check(spec, around)]


@pytest.mark.parametrize(
    ("identity", "index"),
    [("2", 2), ("GPU-20000000-ab", 2), ("GPU-2000", 2), ("MIG-b", 4), ("9", None), ("GPU-", None)],
)
def test_a_gpu_by_any_of_its_names(identity: str, index: int | None) -> None:
    gpu = find(identity, (*GPUS, MIG))
    assert (gpu.index if gpu else None) == index


def test_a_count_takes_free_ones_that_nobody_was_given() -> None:
    busy = replace(GPUS[0], free=False)
    lost = replace(GPUS[1], lost="fallen off the bus")
    gpus = (busy, lost, *GPUS[2:])
    assert [gpu.index for gpu in chosen(Gpus(count=2), gpus)] == [2, 3]
    assert [gpu.index for gpu in chosen(Gpus(count=2), gpus, [GPUS[2]])] == [3, 0]
    assert [gpu.index for gpu in chosen(Gpus(ids=("3", "GPU-1000")), gpus)] == [3, 1]


def test_who_holds_what() -> None:
    assert granted(GpuGrant(count=2), GPUS) == list(GPUS[:2])
    assert granted(GpuGrant(all=True), GPUS) == list(GPUS)
    held = holders(
        [
            container("a", GpuGrant(ids=("1",))),
            container("gone", GpuGrant(ids=("2",)), state="exited"),
            container("shares", GpuGrant(all=True)),
        ],
        GPUS,
    )
    assert held == {GPUS[1]: ["a"]}


def test_settled_is_by_uuid_and_says_who() -> None:
    spec = replace(SPEC, gpus=Gpus(ids=("1", "MIG-b")), volumes=("~/data:/d",))
    done = settled(spec, AROUND)
    assert done.gpus.ids == (GPUS[1].uuid, "MIG-b")
    assert done.volumes == ("/home/mira/data:/d",)
    assert done.labels["gpuhop.user"] == "mira"
    assert settled(replace(SPEC, gpus=Gpus(all=True)), AROUND).gpus == Gpus(all=True)
    blind = replace(AROUND, gpus=None)
    assert settled(replace(SPEC, gpus=Gpus(count=2)), blind).gpus == Gpus(count=2)


def test_findings_about_gpus() -> None:
    assert names(replace(SPEC, gpus=Gpus(ids=("9",)))) == ["gpu-missing"]
    assert names(replace(SPEC, gpus=Gpus(count=6))) == ["gpu-missing"]
    assert names(replace(SPEC, gpus=Gpus(count=2)), replace(AROUND, gpus=None)) == ["gpu-unknown"]
    assert names(replace(SPEC, gpus=Gpus(all=True)), replace(AROUND, gpus=())) == ["gpu-missing"]
    lost = replace(AROUND, gpus=(replace(GPUS[0], lost="gone"),))
    assert names(replace(SPEC, gpus=Gpus(ids=("0",))), lost) == ["gpu-lost"]
    given = replace(AROUND, containers=(container("a", GpuGrant(ids=("MIG-a",))),))
    assert names(replace(SPEC, gpus=Gpus(ids=("MIG-a",))), given) == ["gpu-given"]
    assert names(replace(SPEC, gpus=Gpus(ids=("MIG-b",))), given) == [], "another instance"
    whole = replace(AROUND, containers=(container("a", GpuGrant(ids=("4",))),))
    assert names(replace(SPEC, gpus=Gpus(ids=("MIG-b",))), whole) == ["gpu-given"]


def test_a_mig_instance_is_in_use_by_itself() -> None:
    """Its GPU is not free as soon as one instance is in use."""
    mine = NodeMig("MIG-a", "1g.10gb", users=("mira",), free=False)
    gpu = replace(MIG, users=("mira",), free=False, mig=(mine, MIG.mig[1]))
    around = replace(AROUND, gpus=(gpu,))
    assert names(replace(SPEC, gpus=Gpus(ids=("MIG-b",))), around) == []
    (found,) = check(replace(SPEC, gpus=Gpus(ids=("MIG-a", "MIG-b"))), around)
    assert found.message == "1g.10gb of GPU 4 is in use by mira"
    (found,) = check(replace(SPEC, gpus=Gpus(ids=("4",))), around)
    assert found.message == "GPU 4 is in use by mira"


def test_findings_about_shared_memory() -> None:
    gpu = Gpus(ids=("0",))
    assert names(replace(SPEC, ipc="", gpus=gpu)) == ["shm-small"]
    assert names(replace(SPEC, ipc="", gpus=gpu, shm_size=2 << 30)) == []
    assert names(replace(SPEC, ipc="", shm_size=65 << 30)) == ["shm-large"]
    assert names(replace(SPEC, ipc="")) == [], "without GPUs there is no data loader to expect"


def test_what_stops_comes_first() -> None:
    around = replace(AROUND, has_image=False, ports=None)
    spec = replace(SPEC, ports=(read_port("80:80"),))
    assert [(f.name, f.stops) for f in check(spec, around)] == [
        ("image-missing", True),
        ("not-checked", False),
    ]


def test_an_ssh_port_that_leads_nowhere_and_an_agent_that_nobody_lends_are_told() -> None:
    spec = replace(SPEC, ports=(read_port("2223:22"),), ssh_port=2222, forward_agent=True)
    around = replace(AROUND, lends_agent=False)
    told = [(f.name, f.stops) for f in check(spec, around)]
    assert told == [("agent-not-lent", False), ("ssh-unpublished", False)]
    assert check(replace(spec, ssh_port=2223), AROUND) == []


def test_ports_of_the_node_are_read_from_proc() -> None:
    said = """user mira
home /home/mira
host gpu-01
port tcp   sl  local_address rem_address   st
port tcp    0: 00000000:0016 00000000:0000 0A 00000000:00000000
port tcp    1: 0100007F:1F90 0100007F:9999 01 00000000:00000000
port tcp6   0: 00000000000000000000000000000000:22B8 0:0 0A 0
port udp    0: 00000000:0044 00000000:0000 07 0
missing 1
"""
    around = read_answer(AROUND, said, ["/a", "/b"])
    assert around.ports is not None
    assert set(around.ports) == {("tcp", 22), ("tcp", 8888), ("udp", 68)}
    assert around.missing_paths == ("/b",)
    assert (around.user, around.home, around.hostname) == ("mira", "/home/mira", "gpu-01")
    assert "\"$HOME\"'/my data'" in script(["~/my data"])
    taken = replace(SPEC, ports=(read_port("22:1"), read_port("8080:2"), read_port("8080:3")))
    messages = [finding.message for finding in check(taken, around) if finding.name == "port-taken"]
    assert messages == [
        "port 22 of the node is taken by a program on the node",
        "port 8080 is wanted twice",
    ]
