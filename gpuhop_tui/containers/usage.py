"""CPU and memory of a container, from what GET /containers/ID/stats answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters of one container at one moment. None: the engine does not say."""

    cpu_ns: int | None  # CPU time used since its start
    system_ns: int | None  # CPU time of the whole node
    cpus: int
    memory_bytes: int | None  # without the file cache, as `docker stats` has it
    memory_limit_bytes: int | None
    read_at: str = ""
    network_bytes: tuple[int, int] | None = None  # received, sent, since its start
    disk_bytes: tuple[int, int] | None = None  # read, written, since its start
    pids: int | None = None


def read_usage(facts: Json) -> Usage:
    """From one answer."""
    cpu, memory = _at(facts, "cpu_stats"), _at(facts, "memory_stats")
    cpus = int(cpu.get("online_cpus") or len(_at(cpu, "cpu_usage").get("percpu_usage") or ()) or 1)
    used = memory.get("usage")
    details = _at(memory, "stats")
    if isinstance(used, int):  # cgroup version 1, then 2
        cache = int(details.get("total_inactive_file", details.get("inactive_file", 0)) or 0)
        used = used - cache if cache < used else used
    networks = [each for each in _at(facts, "networks").values() if isinstance(each, Mapping)]
    moved = _at(facts, "blkio_stats").get("io_service_bytes_recursive")
    return Usage(
        cpu_ns=_at(cpu, "cpu_usage").get("total_usage"),
        system_ns=cpu.get("system_cpu_usage"),
        cpus=cpus,
        memory_bytes=used,
        memory_limit_bytes=memory.get("limit") or None,
        read_at=str(facts.get("read") or ""),
        network_bytes=(
            sum(int(each.get("rx_bytes") or 0) for each in networks),
            sum(int(each.get("tx_bytes") or 0) for each in networks),
        )
        if networks
        else None,
        disk_bytes=None if moved is None else (_moved(moved, "read"), _moved(moved, "write")),
        pids=_at(facts, "pids_stats").get("current"),
    )


def cpu_percent(before: Usage, now: Usage) -> float | None:
    """Between two moments; 100 is one core. None where the node's clock stood still, or the
    container was started anew."""
    if None in (before.cpu_ns, before.system_ns, now.cpu_ns, now.system_ns):
        return None
    assert before.cpu_ns is not None
    assert before.system_ns is not None
    assert now.cpu_ns is not None
    assert now.system_ns is not None
    used, passed = now.cpu_ns - before.cpu_ns, now.system_ns - before.system_ns
    if passed <= 0 or used < 0:
        return None
    return round(used / passed * now.cpus * 100, 1)


def _moved(entries: Any, operation: str) -> int:
    return sum(
        int(each.get("value") or 0)
        for each in entries
        if str(each.get("op", "")).lower() == operation
    )


def _at(facts: Json, name: str) -> Json:
    value = facts.get(name)
    return value if isinstance(value, Mapping) else {}
