"""Where a job is to be found on its node: the pane that it runs in, and its container."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from gpuhop_tui.containers.model import Container, Listing
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.summary import gpu_processes
from gpuhop_tui.probe.sample import Gpu, Process, Sample
from gpuhop_tui.sessions.model import TmuxPane, TmuxSession

NOT_LOOKED = "the tmux sessions were not looked at"
NOT_LISTED = "its tmux session is not one of yours"

_Pane = tuple[TmuxSession, TmuxPane]


class Places:
    """What a node's sessions and containers tell of the places of its jobs."""

    def __init__(
        self,
        sessions: tuple[TmuxSession, ...] | None,
        listing: Listing | None,
        login: str = "",
    ) -> None:
        """`login`: the user whose sessions these are."""
        self.login = login
        self.looked_at_sessions = sessions is not None
        self._containers = {each.id: each for each in listing.containers} if listing else {}
        self._panes: dict[tuple[str, str, str], _Pane] = {}
        self._by_pid: dict[tuple[str, str], _Pane] = {}
        for session in sessions or ():
            place = session.place.id if session.place else ""
            for pane in session.panes:
                self._panes[place, session.socket, pane.id] = (session, pane)
                self._by_pid[place, f"@{pane.pid}"] = (session, pane)

    def container(self, job: Job) -> Container | None:
        return self._containers.get(job.container_id) if job.container_id else None

    def pane(self, job: Job) -> _Pane | None:
        """The pane that a job runs in, where it is listed."""
        return self.pane_of(job.tmux, job.container_id)

    def pane_of(self, tmux: str | None, container_id: str | None) -> _Pane | None:
        """The pane that the probe calls "SOCKET,$SESSION,%PANE" or "@PID", in a container or on the
        node. A pane's id is unique on its server, whatever session it was moved to; the id of its
        first process is so in a container."""
        if tmux is None or not self._panes:
            return None
        place = container_id or ""
        if tmux.startswith("@"):
            return self._by_pid.get((place, tmux))
        socket, _, rest = tmux.rpartition(",$")
        return self._panes.get((place, socket, rest.partition(",")[2]))


def with_session_names(
    sample: Sample | None, sessions: tuple[TmuxSession, ...] | None
) -> Sample | None:
    """`sample` with the names of the tmux sessions that its processes run in."""
    if sample is None or not sessions:
        return sample
    places = Places(sessions, None)

    def named(process: Process) -> Process:
        found = places.pane_of(process.tmux, process.container_id)
        return process if found is None else replace(process, tmux_session=found[0].name)

    if not any(each.tmux for gpu in sample.gpus for each in gpu_processes(gpu)):
        return sample
    return replace(sample, gpus=tuple(_with_processes(gpu, named) for gpu in sample.gpus))


def _with_processes(gpu: Gpu, change: Callable[[Process], Process]) -> Gpu:
    mig = tuple(replace(each, processes=tuple(map(change, each.processes))) for each in gpu.mig)
    return replace(gpu, processes=tuple(map(change, gpu.processes)), mig=mig)


def session_of(job: Job, sessions: Iterable[TmuxSession]) -> _Pane | None:
    """The session and pane that a job runs in, where they are listed."""
    return Places(tuple(sessions), None).pane(job)
