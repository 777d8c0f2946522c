"""Jobs of a whole fleet: which of them are wanted, in which order, and under which headings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gpuhop_tui.fleet.jobs.filter import Filter
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.state import NodeState


class Grouping(StrEnum):
    """What jobs are put together by."""

    NODE = "node"
    USER = "user"
    CONTAINER = "container"
    NONE = "none"

    @property
    def next(self) -> Grouping:
        every = tuple(Grouping)
        return every[(every.index(self) + 1) % len(every)]


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs under one heading; `name` is empty where there is none."""

    name: str
    jobs: tuple[Job, ...]

    @property
    def gpus(self) -> int:
        """GPUs that its jobs are on now."""
        places = {(job.node, gpu) for job in self.jobs if not job.is_over for gpu in job.gpus}
        return len(places)


def login_of(node: NodeState) -> str:
    """The user that one is on a node: of its address USER@HOST."""
    return node.address.rpartition("@")[0]


def is_mine(job: Job, login: str) -> bool:
    """Whether a job is one's own: its processes are, or one started their container."""
    return bool(login) and login in (job.user, job.process_user)


def wanted_jobs(nodes: Iterable[NodeState], only_mine: bool, asked: Filter) -> Iterator[Job]:
    """The jobs of these nodes that a filter lets through."""
    for node in nodes:
        login = login_of(node)
        for job in node.jobs:
            if (not only_mine or is_mine(job, login)) and asked.holds(job):
                yield job


def grouped(jobs: Iterable[Job], by: Grouping) -> list[Group]:
    """The jobs in groups: in the order in which they come for nodes, else by name; within one
    those that go on come first."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_name(job, by), []).append(job)
    names: Sequence[str] = list(groups)
    if by in (Grouping.USER, Grouping.CONTAINER):
        names = sorted(names, key=lambda name: (name.startswith("("), name.casefold()))
    return [Group(name, tuple(sorted(groups[name], key=_order))) for name in names]


def _name(job: Job, by: Grouping) -> str:
    match by:
        case Grouping.NODE:
            return job.node
        case Grouping.USER:
            return job.user or "(user not known)"
        case Grouping.CONTAINER:
            return job.where or "(no container)"
    return ""


def _order(job: Job) -> tuple[bool, float]:
    return job.is_over, -(job.ended_at or 0.0)
