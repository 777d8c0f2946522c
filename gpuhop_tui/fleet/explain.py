"""What limits a GPU or a job, in plain words, each with the figures that show it.

Pure functions. Nothing is said without a figure: what could not be looked at is named in `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuhop_tui.fleet.alerts.words import seconds_in_words
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.fleet.summary import is_free, memory_percent
from gpuhop_tui.probe.sample import Gpu, Host

IDLE_PERCENT = 2  # a GPU that does less does nothing
LOW_PERCENT = 60  # one that does less waits for something
LOADED_PERCENT = 20  # an idle GPU lets its PCIe link fall back, to save power
FULL_PERCENT = 90
CORE_PERCENT = 90.0  # of one core: a process that is as busy cannot go faster
CPU_PERCENT = 95.0
LITTLE_MEMORY_PERCENT = 25.0
HOST_MEMORY_PERCENT = 95.0
DISK_FREE_PERCENT = 2.0
_GIB = 1 << 30
_THERMAL = ("thermal (software)", "thermal (hardware)")
_CAP = "power cap"


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that limits, and its evidence: figures as they are now."""

    words: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.words} ({self.evidence})"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The limits, what weighs most first. `state` says in a word how it is, where none is found."""

    limits: tuple[Limit, ...] = ()
    state: str = ""
    unknown: tuple[str, ...] = ()  # what could not be looked at, and why


def explain_gpu(node: NodeState, gpu: Gpu, now: float) -> Explanation:
    """What limits a GPU of a node at `now` (seconds since the epoch)."""
    sample = node.live_sample
    if sample is None:
        return Explanation(state="its figures are not those of now")
    if gpu.lost is not None:
        return Explanation(state="it does not answer")
    jobs = [job for job in node.jobs if gpu.index in job.gpus and not job.is_over]
    is_used = bool(jobs or gpu.processes)
    limits = [*_clock(gpu)]
    if is_used:
        limits += _sharing(jobs)
        limits += _idle(gpu, jobs, now)
        limits += _starved(gpu.utilization_percent, jobs, sample.host)
        limits += _link(gpu)
        limits += _host(sample.host)
        limits += _little_memory(gpu)
    state = "it is free" if is_free(gpu) else _state(gpu.utilization_percent)
    return Explanation(tuple(limits), state, tuple(_unknown(gpu, jobs, sample.host, is_used)))


def explain_job(node: NodeState, job: Job, now: float) -> Explanation:
    """What limits a job, on all of its GPUs."""
    sample = node.live_sample
    if job.is_over:
        return Explanation(state=f"it is over: {job.state.value}")
    if sample is None:
        return Explanation(state="its figures are not those of now")
    limits: list[Limit] = []
    unknown: list[str] = []
    for gpu in sample.gpus:
        if gpu.index not in job.gpus or gpu.lost is not None:
            continue
        where = f"GPU {gpu.index}"
        sharing = [each for each in node.jobs if gpu.index in each.gpus and not each.is_over]
        for limit in (*_clock(gpu), *_sharing(sharing), *_idle(gpu, [job], now), *_link(gpu)):
            limits.append(Limit(limit.words, f"{where}: {limit.evidence}"))
        limits += _little_memory(gpu, where)
        unknown += _unknown(gpu, [job], sample.host, True)
    limits += _starved(job.utilization_percent, [job], sample.host)
    limits += _host(sample.host)
    state = _state(job.utilization_percent)
    return Explanation(tuple(_merged(limits)), state, tuple(dict.fromkeys(unknown)))


def _merged(limits: Sequence[Limit]) -> list[Limit]:
    """The same words once, with the evidence of each GPU."""
    found: dict[str, list[str]] = {}
    for limit in limits:
        found.setdefault(limit.words, []).append(limit.evidence)
    return [Limit(words, "; ".join(dict.fromkeys(evidence))) for words, evidence in found.items()]


# The GPU itself


def _clock(gpu: Gpu) -> Iterator[Limit]:
    reasons = gpu.throttle_reasons or ()
    facts = [] if gpu.sm_clock_mhz is None else [f"{gpu.sm_clock_mhz} MHz"]
    thermal = [reason for reason in reasons if reason in _THERMAL]
    if thermal:
        heat = [] if gpu.temperature_celsius is None else [f"{gpu.temperature_celsius} °C"]
        yield Limit("heat holds its clock down", ", ".join([*thermal, *heat, *facts]))
    if _CAP in reasons:
        watts = []
        if gpu.power_watts is not None and gpu.power_limit_watts is not None:
            watts = [f"{gpu.power_watts:.0f} of {gpu.power_limit_watts:.0f} W"]
        yield Limit("its power cap holds its clock down", ", ".join([_CAP, *watts, *facts]))
    others = [reason for reason in reasons if reason not in (*_THERMAL, _CAP)]
    if others:
        yield Limit("its clock is held down", ", ".join([*others, *facts]))


def _link(gpu: Gpu) -> Iterator[Limit]:
    if gpu.utilization_percent is None or gpu.utilization_percent < LOADED_PERCENT:
        return
    found = []
    generation, best = gpu.pcie_generation, gpu.pcie_generation_max
    if generation is not None and best is not None and generation < best:
        found.append(f"generation {generation} of {best}")
    width, widest = gpu.pcie_width, gpu.pcie_width_max
    if width is not None and widest is not None and width < widest:
        found.append(f"{width} of {widest} lanes")
    if found:
        yield Limit("its PCIe link runs below what it can", ", ".join(found))


def _little_memory(gpu: Gpu, where: str = "") -> Iterator[Limit]:
    percent, busy = memory_percent(gpu), gpu.utilization_percent
    if percent is None or busy is None or gpu.mig or busy <= IDLE_PERCENT:
        return
    if percent < LITTLE_MEMORY_PERCENT:
        evidence = f"{_gib(gpu.memory_used_bytes)} of {_gib(gpu.memory_total_bytes)} GiB"
        evidence = f"{where}: {evidence}" if where else evidence
        yield Limit("little of its memory is used: there is room for more at a time", evidence)


# Who is on it


def _sharing(jobs: Sequence[Job]) -> Iterator[Limit]:
    if len(jobs) > 1:
        names = [f"{job.name or job.pid} of {job.user or 'an unknown user'}" for job in jobs]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield Limit(f"{len(jobs)} jobs share it", ", ".join(names[:3]) + more)


def _idle(gpu: Gpu, jobs: Sequence[Job], now: float) -> Iterator[Limit]:
    busy, used = gpu.utilization_percent, gpu.memory_used_bytes
    if busy is None or used is None or busy > IDLE_PERCENT:
        return
    since = [job.last_busy_at for job in jobs if job.last_busy_at is not None]
    facts = [f"{_gib(used)} GiB held", f"utilization {busy} %"]
    if since and all(job.state is JobState.STALLED for job in jobs):
        facts.append(f"for {seconds_in_words(now - max(since))}")
    yield Limit("memory is held, and nothing is computed", ", ".join(facts))


def _starved(busy: float | None, jobs: Sequence[Job], host: Host) -> Iterator[Limit]:
    """The CPU or a disk does not keep up, as far as a GPU that has time to spare shows it."""
    if busy is None or busy >= LOW_PERCENT:
        return
    idle = f"utilization {busy:.0f} %"
    for job in jobs:
        core, name = job.busiest_percent, job.name or f"process {job.pid}"
        if core is not None and core >= CORE_PERCENT:
            words = "one process keeps a whole CPU core busy while the GPU waits"
            yield Limit(words, f"{name}: its busiest process {core:.0f} % of a core, {idle}")
        if job.waiting:
            every = "" if job.processes is None else f" of {job.processes}"
            evidence = f"{name}: {job.waiting}{every} in uninterruptible sleep, {idle}"
            yield Limit("processes wait, mostly for a disk", evidence)
    if host.cpu_percent is not None and host.cpu_percent >= CPU_PERCENT:
        cores = "" if host.cpu_count is None else f" of {host.cpu_count} cores"
        yield Limit("all CPU cores are busy", f"{host.cpu_percent:.0f} %{cores}, {idle}")


def _host(host: Host) -> Iterator[Limit]:
    used, total = host.memory_used_bytes, host.memory_total_bytes
    if used is not None and total and 100.0 * used / total >= HOST_MEMORY_PERCENT:
        yield Limit("the node's memory is nearly full", f"{_gib(used)} of {_gib(total)} GiB")
    for disk in host.disks:
        if disk.total_bytes and 100.0 * disk.free_bytes / disk.total_bytes < DISK_FREE_PERCENT:
            words = f"the disk of {disk.path} is nearly full"
            yield Limit(words, f"{_gib(disk.free_bytes)} of {_gib(disk.total_bytes)} GiB free")


# Without a limit


def _state(busy: float | None) -> str:
    if busy is None:
        return ""
    if busy >= FULL_PERCENT:
        return f"it works to capacity: utilization {busy:.0f} %"
    return f"none of the figures shows a limit: utilization {busy:.0f} %"


def _unknown(gpu: Gpu, jobs: Sequence[Job], host: Host, is_used: bool) -> Iterator[str]:
    wanted = {"throttle_reasons": "throttling"}
    if is_used:
        wanted |= {"utilization_percent": "utilization", "pcie_generation": "PCIe"}
    for field, name in wanted.items():
        if getattr(gpu, field) is None:
            yield f"{name}: {gpu.missing.get(field, 'not reported')}"
    if is_used and host.cpu_percent is None:
        yield f"CPU: {host.missing.get('cpu_percent', 'not reported')}"
    for job in jobs:
        if job.busiest_percent is None:
            yield f"its processes: {job.missing.get('busiest_percent', 'not measured')}"


def _gib(value: int | None) -> str:
    if value is None:
        return "?"
    amount = value / _GIB
    return f"{amount:.0f}" if amount >= 10 else f"{amount:.1f}"
