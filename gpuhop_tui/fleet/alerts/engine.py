"""From the states of a fleet, as they follow each other, to alerts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuhop_tui.fleet.alerts import rules
from gpuhop_tui.fleet.alerts.hold import Hold, Turn
from gpuhop_tui.fleet.alerts.model import Alert, AlertKind
from gpuhop_tui.fleet.alerts.rules import Condition, ConditionKey
from gpuhop_tui.fleet.alerts.words import gpu_words
from gpuhop_tui.fleet.jobs.ends import same_process
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.reservations import others_reservation
from gpuhop_tui.fleet.state import BastionState, FleetState, NodeState
from gpuhop_tui.fleet.summary import is_free
from gpuhop_tui.ssh.status import LinkState

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import AlertsConfig

UNCLEAR_SECONDS = 1.5  # how a job ended may become known a moment later


@dataclass(frozen=True, slots=True)
class Wish:
    """A GPU that is waited for until it is free: any, one of a node, or this one."""

    node: str | None = None
    index: int | None = None

    def __str__(self) -> str:
        if self.node is None:
            return "a free GPU"
        if self.index is None:
            return f"a free GPU on {self.node}"
        return f"GPU {self.index} of {self.node}"


class AlertEngine:
    """Takes every state, and a look a second where nothing changes. One alert is told once."""

    def __init__(self, config: AlertsConfig) -> None:
        self._config = config
        self._nodes: dict[str, NodeState] = {}
        self._holds: dict[str, dict[ConditionKey, Hold]] = {}  # of each node
        self._links_held: dict[ConditionKey, Hold] = {}
        self._conditions: dict[str, dict[ConditionKey, Condition]] = {}  # of each, as last seen
        self._was_up: frozenset[str] = frozenset()
        self._ecc: dict[tuple[str, int], int] = {}
        self._unclear: dict[tuple[str, int], tuple[Job, float]] = {}  # node and process: since
        self._wishes: dict[Wish, dict[tuple[str, int], Hold]] = {}

    def update(self, state: FleetState, now: float) -> list[Alert]:
        """What is to be told of at `now` (seconds since the epoch)."""
        found: list[Alert] = []
        for node in state.nodes:
            before = self._nodes.get(node.name)
            self._nodes[node.name] = node
            if before is not node:
                found += self._ends(before, node, now)
                self._look_at(before, node)
            found += self._lasting(node, now)
        found += self._settled(now)
        found += self._links(state, now)
        found += self._freed(state, now)
        told = (alert for alert in found if alert.kind.value not in self._config.off)
        return [replace(alert, at=now) for alert in merged(told)]

    # Waiting for a GPU

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """What is waited for."""
        return tuple(self._wishes)

    def wait_for(self, wish: Wish) -> None:
        """Tells, once, when such a GPU has been free for a moment."""
        self._wishes.setdefault(wish, {})

    def give_up(self, wish: Wish) -> None:
        """Waits for it no longer."""
        self._wishes.pop(wish, None)

    def _freed(self, state: FleetState, now: float) -> Iterator[Alert]:
        for wish in list(self._wishes):
            holds = self._wishes[wish]
            for node in state.nodes:
                if wish.node not in (None, node.name) or node.live_sample is None:
                    continue
                for gpu in node.live_sample.gpus:
                    if wish.index not in (None, gpu.index):
                        continue
                    key = node.name, gpu.index
                    hold = holds.setdefault(key, Hold(self._config.free_seconds))
                    free = is_free(gpu) and others_reservation(node, gpu) is None
                    if hold.see(now, free) is Turn.ON and wish in self._wishes:
                        del self._wishes[wish]
                        yield rules.free_alert(node.name, gpu.index, gpu.name)

    # What lasts

    def _look_at(self, before: NodeState | None, node: NodeState) -> None:
        if node.live_sample is None:
            self._conditions[node.name] = {}
            return
        for gpu in node.live_sample.gpus:
            key, count = (node.name, gpu.index), gpu.ecc_uncorrected
            if count is not None and count < self._ecc.setdefault(key, count):
                self._ecc[key] = count  # they were reset
        found = list(rules.conditions(node, self._ecc, self._config))
        if before is None or before.sample is None:  # lost before anybody looked: that is no news
            for each in found:
                if each.alert.kind is AlertKind.GPU_LOST:
                    holds = self._holds.setdefault(node.name, {})
                    holds[each.key] = Hold(each.hold_seconds, is_on=True)
        self._conditions[node.name] = {each.key: each for each in found}

    def _lasting(self, node: NodeState, now: float) -> Iterator[Alert]:
        found = self._conditions[node.name]
        holds = self._holds.setdefault(node.name, {})
        known = node.live_sample is not None
        _begin(holds, found)
        for key in list(holds):
            here = found.get(key)
            so = (here.holds if here is not None else False) if known else None
            if _see(holds, key, now, so) is Turn.ON and here is not None:
                yield here.alert
                if key[0] is AlertKind.GPU_ECC:
                    self._tell_errors(node, key[2])

    def _tell_errors(self, node: NodeState, index: int) -> None:
        for gpu in node.sample.gpus if node.sample is not None else ():
            if gpu.index == index and gpu.ecc_uncorrected is not None:
                self._ecc[node.name, index] = gpu.ecc_uncorrected
        self._look_at(node, node)

    # Links

    def _links(self, state: FleetState, now: float) -> Iterator[Alert]:
        places: tuple[BastionState | NodeState, ...] = (*state.bastions, *state.nodes)
        holds = self._links_held
        found = {
            each.key: each for each in rules.link_conditions(state, self._was_up, self._config)
        }
        _begin(holds, found)
        for key in list(holds):
            here = found.get(key)
            turn = _see(holds, key, now, here.holds if here is not None else False)
            if turn is Turn.ON and here is not None:
                yield here.alert
            elif turn is Turn.OFF:
                yield Alert(AlertKind.NODE_BACK, key[1], "the link is up again")
        up = {place.name for place in places if place.link.state is LinkState.UP}
        self._was_up = self._was_up | up

    # Ends of jobs

    def _ends(self, before: NodeState | None, node: NodeState, now: float) -> Iterator[Alert]:
        for job in rules.ended_jobs(before.jobs if before is not None else (), node.jobs):
            if self._config.mine_only and not rules.is_mine(job.user, node, self._config):
                continue
            if job.state is JobState.ENDED:
                self._unclear[node.name, job.pid] = job, now
            else:
                yield rules.end_alert(job, now)

    def _settled(self, now: float) -> Iterator[Alert]:
        """Ends of which nothing was known at first: they are told once it is, or in any case."""
        for key, (told, since) in list(self._unclear.items()):
            job = _found(told, self._nodes[key[0]].jobs)
            if job is None or not job.is_over:  # it was supposed only
                del self._unclear[key]
            elif job.state is not JobState.ENDED or now - since >= UNCLEAR_SECONDS:
                del self._unclear[key]
                yield rules.end_alert(job, now)


def _begin(holds: dict[ConditionKey, Hold], found: Mapping[ConditionKey, Condition]) -> None:
    for key, condition in found.items():
        if condition.holds and key not in holds:
            holds[key] = Hold(condition.hold_seconds)


def _see(holds: dict[ConditionKey, Hold], key: ConditionKey, now: float, so: bool | None) -> Turn:
    hold = holds[key]
    turn = hold.see(now, so)
    if hold.is_idle:
        del holds[key]
    return turn


def _found(job: Job, jobs: Iterable[Job]) -> Job | None:
    key = job.pid, job.started_at
    return next((each for each in jobs if same_process((each.pid, each.started_at), key)), None)


def merged(alerts: Iterable[Alert]) -> list[Alert]:
    """GPUs of a node of which the same is to be said become one alert."""
    found: dict[tuple[object, ...], Alert] = {}
    for alert in alerts:
        single = len(alert.gpus) == 1 and alert.pid is None
        words = alert.words.split(" ", 2)[2] if single else alert.words
        key = (alert.kind, alert.node, words, alert.user, alert.pid)
        other = found.get(key)
        if other is None or not single:
            found[key] = alert
            continue
        gpus = tuple(sorted({*other.gpus, *alert.gpus}))
        found[key] = replace(other, gpus=gpus, words=f"{gpu_words(gpus)}: each {words}")
    return list(found.values())
