"""The state of the whole fleet as plain immutable data: all that a screen or `--json` shows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gpuhop_tui.containers.model import Listing
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.problem import Problem
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.ssh.guard.model import Lending, SignatureEvent
from gpuhop_tui.ssh.status import LinkEvent, LinkState, LinkStatus

if TYPE_CHECKING:
    from gpuhop_tui.fleet.alerts.desk import Notes
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.fleet.doctor.examine import Scope
    from gpuhop_tui.fleet.doctor.finding import Finding
    from gpuhop_tui.fleet.past_jobs import PastJob
    from gpuhop_tui.fleet.ports.node import NodePorts
    from gpuhop_tui.fleet.sessions import NodeSessions
    from gpuhop_tui.fleet.store.points import StoredPoint
    from gpuhop_tui.sessions.hop import Tell
    from gpuhop_tui.sessions.hop_target import HopResult, HopTarget
    from gpuhop_tui.ssh.keychain import Keychain
    from gpuhop_tui.ssh.terminal import Terminal


@dataclass(frozen=True, slots=True)
class BastionState:
    """One bastion: its link, its place in the chain, its log."""

    name: str
    address: str  # user@host:port
    via: tuple[str, ...] = ()  # bastions before it, outermost first
    link: LinkStatus = field(default_factory=LinkStatus)
    events: tuple[LinkEvent, ...] = ()  # oldest first, bounded


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node: its link, its last sample (kept when the link is lost), its log."""

    name: str
    address: str  # user@host:port
    via: tuple[str, ...] = ()  # bastions before it, outermost first
    tags: tuple[str, ...] = ()
    link: LinkStatus = field(default_factory=LinkStatus)
    sample: Sample | None = None
    stale: bool = False  # the sample is not live: link down, or no line within 3 intervals
    probe_problem: Problem | None = None  # the link is up but there are no figures
    events: tuple[LinkEvent, ...] = ()  # oldest first, bounded
    sessions: tuple[TmuxSession, ...] | None = None  # None: not looked at; kept when stale
    sessions_problem: Problem | None = None  # the link is up but they cannot be told
    sessions_left_out: str = ""  # why some, in containers, are not among them
    containers: Listing | None = None  # None: not looked at; kept when stale
    containers_problem: Problem | None = None  # the link is up but they cannot be told
    jobs: tuple[Job, ...] = ()  # those that go on, then those that ended; kept when stale

    @property
    def live_sample(self) -> Sample | None:
        """The sample, where it is one of now."""
        return None if self.stale else self.sample

    @property
    def problem(self) -> Problem | None:
        """What stands between the user and this node's figures, if anything."""
        if self.link.state is not LinkState.UP:
            return self.link.problem
        return self.probe_problem or (self.sample.problem if self.sample else None)


@dataclass(frozen=True, slots=True)
class FleetState:
    """Everything, at one moment. Order is the config file's."""

    bastions: tuple[BastionState, ...] = ()
    nodes: tuple[NodeState, ...] = ()
    agent: str = ""  # one line about the agent, such as "2 keys"
    lent_to: tuple[str, ...] = ()  # nodes with a shell open that may use the agent
    lendings: tuple[Lending, ...] = ()  # the same, with all that is known of each
    signatures: tuple[SignatureEvent, ...] = ()  # the guard's last decisions, oldest first
    agent_locked: bool = False  # whether everything is refused to whom the agent is lent to
    past_problem: str = ""  # why the past is not kept across restarts, where it should be
    past_notice: str = ""  # what became of a file of the past that was broken
    forwarded_ports: int = 0  # local ports that lead to nodes

    def node(self, name: str) -> NodeState | None:
        return next((node for node in self.nodes if node.name == name), None)


HistoryPoint = tuple[float, float | None, float | None]
"""(seconds since the epoch, utilization percent, memory used percent); None is a gap."""


class FleetSource(Protocol):
    """What a screen or a command needs of a running fleet; `Fleet` and test doubles are one."""

    @property
    def state(self) -> FleetState: ...

    def changes(self) -> AsyncIterator[FleetState]:
        """Yields the newest state after each change; changes that pile up are merged."""
        ...

    def history(self, node: str, gpu_index: int) -> Sequence[HistoryPoint]:
        """The recent past of one GPU, oldest first, bounded."""
        ...

    async def past(
        self, node: str, gpu_index: int, since: float, until: float
    ) -> Sequence[StoredPoint]:
        """All figures of one GPU between two times (seconds since the epoch), oldest first, each
        for as long as it held; gaps as such."""
        ...

    async def past_gpus(self, node: str) -> Sequence[int]:
        """The indexes of the GPUs of which a past was kept, in order."""
        ...

    async def past_jobs(self) -> Sequence[PastJob]:
        """The jobs that ended in the last seven days, as far as that was seen, newest first."""
        ...

    @property
    def notes(self) -> Notes | None:
        """What keeps small facts across restarts; None: there is nothing that does."""
        ...

    def retry(self, name: str | None = None) -> None:
        """Try the named bastion's or node's link now, blocked or waiting; None: all of them."""
        ...

    def watch_sessions(self, wanted: bool) -> None:
        """Begins or ends to list the tmux sessions of every node: on while somebody looks."""
        ...

    def sessions(self, node: str) -> NodeSessions | None:
        """What acts upon a node's tmux sessions; None where the way to the node is not known."""
        ...

    async def hop(
        self,
        node: str,
        target: HopTarget,
        *,
        is_asking: Callable[[], bool],
        on_terminal: Callable[[Terminal | None], None],
        on_line: Callable[[Tell | None], None],
    ) -> HopResult:
        """Hands the terminal over to a session on a node until it is left. See `run_hop`."""
        ...

    def dismiss_job(self, node: str, pid: int, started_at: float | None) -> None:
        """Forgets a job that is over, or off the GPUs. See `Job`."""
        ...

    def lock_agent(self, locked: bool) -> None:
        """Refuses everything to everybody whom the agent is lent to, until it is unlocked."""
        ...

    def revoke_grant(self, grant: int) -> None:
        """Ends what was allowed for a while, by its id."""
        ...

    def watch_containers(self, wanted: bool) -> None:
        """Begins or ends to list the containers of every node: on while somebody looks."""
        ...

    def containers(self, node: str) -> NodeContainers | None:
        """A node's engine, to act upon; None where the way to the node is not known."""
        ...

    def ports(self, node: str) -> NodePorts | None:
        """What listens on a node and is forwarded; None where the way to it is not known."""
        ...

    async def restore_ports(self) -> None:
        """Forwards again what was saved, of every node; the fleet has been started."""
        ...

    @property
    def keychain(self) -> Keychain:
        """The agent's keys and the user's key files, to be looked at and acted upon."""
        ...

    def examine(self, scope: Scope) -> AsyncGenerator[Finding, None]:
        """Every check of the doctor, told as each ends; the fleet has been started."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...
