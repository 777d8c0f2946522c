"""What counts as free, the totals, and the order of the freest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuhop_tui.fleet.containers import node_gpus
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.fleet.summary import (
    GpuPlace,
    Totals,
    fleet_totals,
    freest,
    gpu_processes,
    is_busy,
    is_free,
    memory_percent,
    node_totals,
    node_utilization,
    use_percent,
)
from gpuhop_tui.probe.sample import Gpu, MigInstance, Process, Sample
from gpuhop_tui.ssh.status import LinkState, LinkStatus

G = 1 << 30
PROCESS = Process(pid=1, user="ann", command="train", memory_bytes=G, started_at=0.0)


def gpu(index: int = 0, util: int | None = 0, used: int | None = 0, **more: object) -> Gpu:
    memory = None if used is None else used * G
    return Gpu(
        index=index,
        utilization_percent=util,
        memory_used_bytes=memory,
        memory_total_bytes=100 * G,
        **more,  # type: ignore[arg-type]
    )


def instance(used: int, *processes: Process) -> MigInstance:
    return MigInstance(0, None, "1g.10gb", used * G, 10 * G, processes=processes)


def node(name: str, *gpus: Gpu, stale: bool = False) -> NodeState:
    state = LinkState.WAITING if stale else LinkState.UP
    return NodeState(
        name, "me@" + name, link=LinkStatus(state), sample=Sample("nvml", 0.0, gpus=gpus),
        stale=stale,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("item", "free", "busy"),
    [
        (gpu(), True, False),
        (gpu(util=4, used=4), True, False),
        (gpu(util=5), False, True),
        (gpu(used=5), False, True),
        (gpu(processes=(PROCESS,)), False, True),
        (gpu(util=None), False, False),
        (gpu(used=None), False, False),
        (gpu(util=None, used=50), False, True),
        (gpu(missing={"processes": "no permission"}), False, False),
        (gpu(lost="Xid 79"), False, False),
        (gpu(util=None, mig=(instance(0), instance(0))), True, False),
        (gpu(util=None, mig=(instance(0), instance(5))), False, True),
        (gpu(util=None, mig=(instance(0, PROCESS),)), False, True),
    ],
)
def test_free_and_busy(item: Gpu, free: bool, busy: bool) -> None:
    assert is_free(item) is free
    assert is_busy(item) is busy


def test_memory_of_a_gpu_without_memory_is_unknown() -> None:
    assert memory_percent(replace(gpu(), memory_total_bytes=0)) is None
    assert memory_percent(gpu(used=25)) == 25.0


def test_use_of_a_mig_gpu_is_the_share_of_its_instances() -> None:
    assert use_percent(gpu(util=None, mig=(instance(0), instance(9)))) == 50.0
    assert use_percent(gpu(util=0)) == 0
    assert use_percent(gpu(util=50, lost="gone")) is None


def test_totals_add_up_and_share_users() -> None:
    other = replace(PROCESS, user="bob")
    a = node("a", gpu(0, 90, 50, processes=(PROCESS,)), gpu(1), gpu(2, lost="Xid 79"))
    b = node("b", gpu(0, 90, 50, processes=(PROCESS, other)), gpu(1, None))
    totals = fleet_totals([a, b])
    assert totals == Totals(2, 2, 5, 1, 2, frozenset({"ann", "bob"}))
    assert totals.unknown == 2


def test_old_figures_are_neither_free_nor_busy() -> None:
    old = node("a", gpu(0), gpu(1, 90, processes=(PROCESS,)), stale=True)
    assert node_totals(old) == Totals(1, 0, 2, 0, 0)
    assert node_utilization(old) is None


def test_users_of_mig_instances_count() -> None:
    assert node_totals(node("a", gpu(0, None, mig=(instance(0, PROCESS),)))).users == {"ann"}


def test_a_node_without_a_sample_has_no_gpus() -> None:
    assert node_totals(NodeState("a", "a")) == Totals(nodes=1)


def test_the_mean_leaves_out_what_is_unknown() -> None:
    assert node_utilization(node("a", gpu(0, 40), gpu(1, 60), gpu(2, None))) == 50.0
    assert node_utilization(node("a", gpu(0, None))) is None


def test_freest_first() -> None:
    state = FleetState(
        nodes=(
            node("one-free", gpu(0, 90, 90), gpu(1)),
            node("old", gpu(0), stale=True),
            node("two-free", gpu(0), gpu(1), gpu(2, 10, 60), gpu(3, lost="Xid 79")),
            node("mig", gpu(0, None, mig=(instance(9), instance(0), instance(0), instance(0)))),
        )
    )
    assert freest(state) == [
        GpuPlace("two-free", 0),
        GpuPlace("two-free", 1),
        GpuPlace("one-free", 1),
        GpuPlace("mig", 0),
        GpuPlace("two-free", 2),
        GpuPlace("one-free", 0),
    ]


def test_a_process_of_an_instance_that_its_gpu_lists_too_is_there_once() -> None:
    process = Process(1, "ann", "python", 5, 1.0)
    instance = MigInstance(0, "MIG-0", "1g.10gb", processes=(process,))
    assert list(gpu_processes(Gpu(0, mig=(instance,), processes=(process,)))) == [process]
    assert list(gpu_processes(Gpu(0, mig=(instance,)))) == [process]


def test_each_mig_instance_is_free_or_not_by_itself() -> None:
    busy = replace(instance(0, PROCESS), uuid="MIG-a")
    idle = replace(instance(0), uuid="MIG-b")
    whole = gpu(0, None, mig=(busy, idle), processes=(PROCESS,))
    (found,) = node_gpus(node("a", whole).sample) or ()
    assert not found.free
    assert [(each.uuid, each.free, each.users) for each in found.mig] == [
        ("MIG-a", False, ("ann",)),
        ("MIG-b", True, ()),
    ]
