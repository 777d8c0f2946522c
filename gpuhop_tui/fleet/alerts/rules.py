"""What is worth an alert: pure functions of a node's state, or of two that follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuhop_tui.fleet.alerts.model import Alert, AlertKind
from gpuhop_tui.fleet.alerts.words import end_words, gpu_words, job_title, seconds_in_words
from gpuhop_tui.fleet.jobs.ends import same_process
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.state import BastionState, FleetState, NodeState
from gpuhop_tui.fleet.summary import gpu_processes, memory_percent
from gpuhop_tui.probe.sample import Gpu
from gpuhop_tui.ssh.status import LinkState

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import AlertsConfig

GPU_LOST_SECONDS = 5.0  # one that only answers late comes back sooner
THERMAL = ("thermal (software)", "thermal (hardware)")
HELD_DOWN = ("power brake", "hardware slowdown", "board limit", "reliability")
POWER_CAP = "power cap"

ConditionKey = tuple[AlertKind, str, int]  # kind, node, GPU or process (-1: the node itself)
EccCounts = Mapping[tuple[str, int], int]  # node and GPU: uncorrected errors that were told of


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is so now (or, `holds` being None, may be so)."""

    alert: Alert  # what is said once it has lasted
    hold_seconds: float = 0.0
    subject: int = -1
    holds: bool | None = True

    @property
    def key(self) -> ConditionKey:
        return self.alert.kind, self.alert.node, self.subject


# Whose it is


def is_mine(user: str | None, node: NodeState, config: AlertsConfig) -> bool:
    """Whether a user of a node is oneself: the one logged in as, or one that the config names."""
    login = node.address.rsplit("@", 1)[0] if "@" in node.address else ""
    return user is not None and (user == login or user in config.users)


def concerns_me(gpu: Gpu, node: NodeState, config: AlertsConfig) -> bool:
    """Whether a GPU's heat or memory is of interest: something of one's own runs on it."""
    if not config.mine_only:
        return True
    owners = {job.user for job in node.jobs if gpu.index in job.gpus and not job.is_over}
    owners |= {process.user for process in gpu_processes(gpu)}
    return any(is_mine(user, node, config) for user in owners)


# What lasts


def conditions(node: NodeState, ecc: EccCounts, config: AlertsConfig) -> Iterator[Condition]:
    """What is so on a node now. Of a node whose figures are old nothing is known: `is_known`."""
    sample = node.live_sample
    for gpu in sample.gpus if sample is not None else ():
        if gpu.lost is not None:
            alert = _of_gpu(AlertKind.GPU_LOST, node, gpu, f"does not answer: {gpu.lost}")
            yield Condition(alert, GPU_LOST_SECONDS, gpu.index)
            continue
        yield from _errors(node, gpu, ecc)
        if concerns_me(gpu, node, config):
            yield from _heat(node, gpu, config)
            yield from _held_down(node, gpu, config)
            yield from _memory(node, gpu, config)
    for job in node.jobs:
        if job.state is JobState.STALLED and (
            not config.mine_only or is_mine(job.user, node, config)
        ):
            yield Condition(_stalled(job), 0.0, job.pid)


def _heat(node: NodeState, gpu: Gpu, config: AlertsConfig) -> Iterator[Condition]:
    celsius, reasons = gpu.temperature_celsius, gpu.throttle_reasons
    thermal = [reason for reason in reasons or () if reason in THERMAL]
    if thermal or (celsius is not None and celsius >= config.hot_celsius):
        degrees = "" if celsius is None else f"has {celsius} °C"
        slowed = f"is slowed down: {', '.join(thermal)}" if thermal else ""
        words = " and ".join(filter(None, (degrees, slowed)))
        alert = _of_gpu(AlertKind.GPU_HOT, node, gpu, words)
        yield Condition(alert, config.hot_seconds, gpu.index)
    elif celsius is None:
        yield _unknown(AlertKind.GPU_HOT, node, gpu)


def _held_down(node: NodeState, gpu: Gpu, config: AlertsConfig) -> Iterator[Condition]:
    if gpu.throttle_reasons is None:
        yield _unknown(AlertKind.GPU_THROTTLED, node, gpu)
        return
    counted = (*HELD_DOWN, POWER_CAP) if config.power_cap else HELD_DOWN
    found = [reason for reason in gpu.throttle_reasons if reason in counted]
    if found:
        words = f"is held down: {', '.join(found)}"
        if gpu.power_watts is not None and gpu.power_limit_watts is not None:
            words += f", at {gpu.power_watts:.0f} of {gpu.power_limit_watts:.0f} W"
        alert = _of_gpu(AlertKind.GPU_THROTTLED, node, gpu, words)
        yield Condition(alert, config.throttled_seconds, gpu.index)


def _memory(node: NodeState, gpu: Gpu, config: AlertsConfig) -> Iterator[Condition]:
    percent = memory_percent(gpu)
    if percent is None:
        yield _unknown(AlertKind.GPU_MEMORY_FULL, node, gpu)
    elif percent >= config.memory_full_percent:
        words = f"has {percent:.0f} % of its memory in use"
        alert = _of_gpu(AlertKind.GPU_MEMORY_FULL, node, gpu, words)
        yield Condition(alert, config.memory_full_seconds, gpu.index)


def _errors(node: NodeState, gpu: Gpu, ecc: EccCounts) -> Iterator[Condition]:
    """Uncorrected ECC errors, more than were told of. Fewer: they were reset."""
    count = gpu.ecc_uncorrected
    told = ecc.get((node.name, gpu.index))
    if count is not None and told is not None and count > told:
        words = f"has {count - told} more uncorrected ECC errors, {count} in all"
        yield Condition(_of_gpu(AlertKind.GPU_ECC, node, gpu, words), 0.0, gpu.index)


def _of_gpu(kind: AlertKind, node: NodeState, gpu: Gpu, words: str) -> Alert:
    users = sorted({process.user for process in gpu_processes(gpu) if process.user})
    return Alert(
        kind,
        node.name,
        f"GPU {gpu.index} {words}",
        gpus=(gpu.index,),
        user=", ".join(users) or None,
    )


def _unknown(kind: AlertKind, node: NodeState, gpu: Gpu) -> Condition:
    return Condition(Alert(kind, node.name, ""), subject=gpu.index, holds=None)


def _stalled(job: Job) -> Alert:
    idle = ""
    if job.last_busy_at is not None:
        idle = f" since {seconds_in_words(max(0.0, job.since - job.last_busy_at))}"
    words = f"{job_title(job)} holds memory, and its GPUs do nothing{idle}"
    return Alert(
        AlertKind.JOB_STALLED,
        job.node,
        words,
        gpus=job.gpus,
        job=job.name or None,
        pid=job.pid,
        user=job.user,
    )


# Links


def link_conditions(
    state: FleetState, was_up: frozenset[str], config: AlertsConfig
) -> Iterator[Condition]:
    """Bastions and nodes that were there and are not. Behind a bastion that is lost nothing is
    known of a node: it is the bastion that is told of."""
    down = {
        each.name
        for each in state.bastions
        if each.name in was_up and each.link.state is not LinkState.UP
    }
    places: tuple[BastionState | NodeState, ...] = (*state.bastions, *state.nodes)
    for place in places:
        if place.name not in was_up or place.link.state is LinkState.UP:
            continue
        hidden = any(name in down for name in place.via)
        why = f": {place.link.problem.message}" if place.link.problem is not None else ""
        behind = _behind(state, place)
        words = f"the link is down{why}{behind}"
        yield Condition(
            Alert(AlertKind.NODE_LOST, place.name, words),
            config.node_lost_seconds,
            holds=None if hidden else True,
        )


def _behind(state: FleetState, place: BastionState | NodeState) -> str:
    if isinstance(place, NodeState):
        return ""
    count = sum(place.name in node.via for node in state.nodes)
    return f" ({count} node{'' if count == 1 else 's'} behind it)"


# What happens once


def ended_jobs(before: tuple[Job, ...], after: tuple[Job, ...]) -> Iterator[Job]:
    """The jobs that went on before and are over now."""
    if before is after:
        return
    live = {(job.pid, job.started_at) for job in before if not job.is_over}
    for job in after:
        if job.is_over and any(
            same_process((job.pid, job.started_at), key) for key in live if key[0] == job.pid
        ):
            yield job


_ENDS = {
    JobState.FINISHED: AlertKind.JOB_FINISHED,
    JobState.FAILED: AlertKind.JOB_FAILED,
    JobState.KILLED: AlertKind.JOB_KILLED,
    JobState.OUT_OF_MEMORY: AlertKind.JOB_OUT_OF_MEMORY,
    JobState.ENDED: AlertKind.JOB_ENDED,
}


def end_alert(job: Job, now: float) -> Alert:
    """What is said of a job that is over."""
    return Alert(
        _ENDS[job.state],
        job.node,
        end_words(job, now),
        gpus=job.gpus,
        job=job.name or None,
        pid=job.pid,
        user=job.user,
        exit_code=job.exit_code,
        signal=job.signal,
    )


def free_alert(node: str, index: int, name: str | None) -> Alert:
    """What is said of a GPU that was waited for."""
    what = f" ({name})" if name else ""
    words = f"{gpu_words([index])}{what} is free"
    return Alert(AlertKind.GPU_FREE, node, words, gpus=(index,))
