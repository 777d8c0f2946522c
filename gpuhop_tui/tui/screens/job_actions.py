"""What the dashboard does about jobs: hop to one, tail it, end it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuhop_tui.fleet.jobs.groups import login_of
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.jobs.places import session_of
from gpuhop_tui.fleet.jobs.signals import may_end
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.tui.screens.container_hops import ContainerHops

if TYPE_CHECKING:
    from gpuhop_tui.containers.model import Container
    from gpuhop_tui.fleet.state import NodeState
    from gpuhop_tui.sessions.model import TmuxPane, TmuxSession

LOOK_SECONDS = 4.0  # for the sessions and containers of a node that nobody has looked at yet


def wants_sessions(node: NodeState) -> bool:
    """Whether a job of this node has more to tell where its tmux sessions are listed."""
    return any(job.tmux for job in node.jobs)


def wants_containers(node: NodeState) -> bool:
    """The same of containers."""
    return any(job.container_id for job in node.jobs)


class JobActions(ContainerHops):
    """The part of the dashboard that acts on jobs."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        if action == "hop_job" or (action in ("tail", "stop") and self.view.shows_jobs):
            return self._job_in_hand is not None
        return super().check_action(action, parameters)

    def action_jobs(self) -> None:
        """Show the jobs of the whole fleet."""
        from gpuhop_tui.tui.screens.jobs import JobsScreen

        self.app.push_screen(JobsScreen(self))

    # The selected one

    @property
    def _job_in_hand(self) -> Job | None:
        """The selected job, while the keys go to the list: jobs are the first tab, and nothing is
        to be ended that nobody has gone to."""
        return self.view.selected_job if self.focused is self.view.jobs else None

    def action_hop_job(self) -> None:
        if (job := self._job_in_hand) is not None:
            self.hop_to_job(job)

    def action_tail(self) -> None:
        if (job := self._job_in_hand) is not None:
            self.tail_job(job)
        else:
            super().action_tail()

    def action_stop(self) -> None:
        if (job := self._job_in_hand) is not None:
            self.end_job(job)
        else:
            super().action_stop()

    # Listing, for as long as somebody looks

    @property
    def sessions_in_view(self) -> NodeState | None:
        node = self.view.node
        if self.view.shows_jobs and node is not None and wants_sessions(node):
            return node
        return super().sessions_in_view

    @property
    def containers_in_view(self) -> NodeState | None:
        node = self.view.node
        if self.view.shows_jobs and node is not None and wants_containers(node):
            return node
        return super().containers_in_view

    # Hopping and tailing

    def hop_to_job(self, job: Job) -> None:
        """Hop as near to a job as there is a way: its session, its container, its node."""
        self._work(self._hop_to_job(job), "hop")

    async def _hop_to_job(self, job: Job) -> None:
        from gpuhop_tui.tui.screens.hop_as import HopAs

        await self._looked(job)
        node = self._node_of(job)
        if node is None:
            return
        found = self._pane_of(job)
        if found is not None:
            session, _ = found
            self.hop(node, HopTarget.attached(session.name, session.socket, session.place))
            return
        container = self._container_of(job)
        why = self._why_no_session(job)
        if container is not None and container.running:
            self._say(node.name, f"{why}: this is a shell in {container.name}", "information")
            self._hop_into(container, HopAs())
            return
        if job.container_id is not None:
            why += f"; {self._why_no_container(job, node)}"
        self._say(node.name, f"{why}: this is the node's shell", "warning")
        self.hop(node, HopTarget.shell())

    def tail_job(self, job: Job) -> None:
        """Watch what a job says."""
        self._work(self._tail_job(job), "tail")

    async def _tail_job(self, job: Job) -> None:
        await self._looked(job)
        found, container = self._pane_of(job), self._container_of(job)
        if found is not None:
            self._tail(*found)
        elif container is not None:
            if container.pid is not None and container.pid != job.pid:
                words = f"process {job.pid} is not the main program of {container.name}: its log"
                self._say(job.node, f"{words} has what that one prints", "warning")
            self._show_log(container)
        else:
            why = self._why_no_session(job)
            self._say(job.node, f"{why}: what it says cannot be seen from here", "warning")

    def _show_log(self, container: Container) -> None:
        from gpuhop_tui.containers.log_follow import ContainerLog
        from gpuhop_tui.tui.screens.logs import LogScreen

        containers = self._engine_of(container.node)
        if containers is not None:
            log = ContainerLog(containers.engine, container, self.clock)
            self.app.push_screen(LogScreen(log, self.clock))

    async def _looked(self, job: Job) -> None:
        """Waits until the sessions and containers of a job's node are listed, if they matter."""
        source = self.source
        if source is None:
            return
        needs_sessions = job.tmux is not None and self._pane_of(job) is None
        needs_containers = job.container_id is not None and self._container_of(job) is None

        def is_known() -> bool:
            node = self._node_of(job)
            if node is None:
                return True
            told = node.sessions is not None or node.sessions_problem
            listed = node.containers is not None or node.containers_problem
            return bool((told or not needs_sessions) and (listed or not needs_containers))

        if is_known():
            return
        self._say(job.node, "looking where it runs…", "information")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                async for _ in source.changes():
                    if is_known():
                        return

    def _node_of(self, job: Job) -> NodeState | None:
        return self.source.state.node(job.node) if self.source else None

    def _pane_of(self, job: Job) -> tuple[TmuxSession, TmuxPane] | None:
        node = self._node_of(job)
        return session_of(job, node.sessions or ()) if node is not None else None

    def _container_of(self, job: Job) -> Container | None:
        node = self._node_of(job)
        listing = node.containers if node is not None else None
        each = listing.containers if listing is not None else ()
        return next((c for c in each if c.id == job.container_id), None)

    def _why_no_session(self, job: Job) -> str:
        node = self._node_of(job)
        if job.tmux is None and job.session is not None:
            return f"which pane of {job.session} it has is not told"
        if job.tmux is None:
            return "it runs in no tmux session"
        if node is not None and node.sessions_problem is not None:
            return node.sessions_problem.message
        if job.is_over:
            return "its tmux session is gone"
        return "its tmux session is not one of yours"

    def _why_no_container(self, job: Job, node: NodeState) -> str:
        if job.pod is not None:
            return f"there is no way into pod {job.pod} from here"
        if node.containers_problem is not None:
            return node.containers_problem.message
        container = self._container_of(job)
        if container is None:
            return f"its container {job.where} is not one of this engine's"
        return f"its container {container.name} is {container.state}"

    # Ending

    def end_job(self, job: Job) -> None:
        """End a job once that is confirmed, signal by signal; dismiss unasked what is over."""
        from gpuhop_tui.tui.screens.end_job import EndJobDialog

        source = self.source
        if source is None:
            return
        if job.is_over:
            source.dismiss_job(*job.key)
            self._say(job.node, f"{job.name or 'the job'} dismissed", "information")
            return
        node = self._node_of(job)
        sessions = self._sessions_of(node)
        if node is None or sessions is None:
            return
        if why := may_end(job, login_of(node)):
            self._say(node.name, f"Process {job.pid} cannot be ended: {why}", "error")
            return
        container = self._container_of(job)
        is_main = container is not None and container.pid == job.pid
        main_of = container.name if container is not None and is_main else ""
        look = _looker(self, job)
        self.app.push_screen(EndJobDialog(job, sessions, look, self.clock, main_of))


def _looker(actions: JobActions, job: Job) -> Callable[[], Job | None]:
    """Tells a job as it is now; None where it is no longer listed."""

    def look() -> Job | None:
        node = actions._node_of(job)
        return next((each for each in node.jobs if each.key == job.key), None) if node else None

    return look
