"""The guard of one program: every lending, the decisions on them, the lock."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.ssh.guard.audit import AuditLog
from gpuhop_tui.ssh.guard.facts import Borrower
from gpuhop_tui.ssh.guard.judge import Judge
from gpuhop_tui.ssh.guard.lent import LentAgent, Means
from gpuhop_tui.ssh.guard.model import Lending, SignatureEvent
from gpuhop_tui.ssh.guard.names import HostNames
from gpuhop_tui.ssh.guard.policy import Policy
from gpuhop_tui.ssh.guard.questions import SECONDS, Ask, Questions
from gpuhop_tui.ssh.known_hosts import KnownHosts
from gpuhop_tui.ssh.prompts import Prompter

EVENTS_KEPT = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """`hops`: the servers of the config, whose names are shown for their host keys.
    `bastions`: names of those that lead to others. `audit`: the log's file; None: the usual one."""

    policy: Policy = field(default_factory=Policy)
    hops: tuple[Hop, ...] = ()
    bastions: frozenset[str] = frozenset()
    signatures_a_minute: int = 60
    question_seconds: float = SECONDS
    audit: Path | None = None


class Guard:
    """All methods are for the event loop's thread."""

    def __init__(
        self, settings: GuardSettings, prompter: Prompter, known_hosts: KnownHosts
    ) -> None:
        self._questions = Questions(prompter, settings.question_seconds)
        self._judge = Judge(settings.policy, self._questions)
        self._means = Means(
            self._judge,
            HostNames(known_hosts, settings.hops),
            self._record,
            self._note,
            self._tell,
            settings.signatures_a_minute,
        )
        self._audit = AuditLog(settings.audit)
        # One thread, so that lines stand in the order of the decisions.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="agent log")
        self._numbers = itertools.count(1)
        self._lent: dict[int, LentAgent] = {}
        self._events: deque[SignatureEvent] = deque(maxlen=EVENTS_KEPT)
        self._listeners: list[Callable[[], None]] = []
        self._bastions = set(settings.bastions)  # that were not warned about yet
        self._noting: set[asyncio.Task[bool]] = set()

    # Lending

    def lend(self, route: Route, agent_socket: str) -> LentAgent:
        """Another lending of the agent at `agent_socket`, not started yet. `end` ends it."""
        borrower = Borrower(route.target.name, tuple(hop.name for hop in route.via))
        lent = LentAgent(next(self._numbers), borrower, agent_socket, self._means)
        self._lent[lent.number] = lent
        self._tell()
        return lent

    async def end(self, lent: LentAgent) -> None:
        """Its socket is gone, and what was allowed to it."""
        self._lent.pop(lent.number, None)
        await lent.close()
        self._tell()

    async def close(self) -> None:
        """Ends every lending, and waits until the log is written."""
        self._questions.drop()
        for lent in tuple(self._lent.values()):
            await self.end(lent)
        await asyncio.gather(*self._noting, return_exceptions=True)
        self._writer.shutdown(wait=False)

    def warning(self, node: str) -> str:
        """What a person should know who lends the agent there; empty where it was said before."""
        if node not in self._bastions:
            return ""
        self._bastions.discard(node)
        return f"root on {node} can use your agent now; `via` leads onward without forward_agent"

    # What is shown, and what a person does

    @property
    def lendings(self) -> tuple[Lending, ...]:
        return tuple(lent.state for lent in self._lent.values())

    @property
    def events(self) -> tuple[SignatureEvent, ...]:
        """The last decisions, oldest first."""
        return tuple(self._events)

    @property
    def locked(self) -> bool:
        return self._judge.locked

    def lock(self, locked: bool) -> None:
        """Locked, every request is refused until it is unlocked, and what was allowed is over."""
        self._judge.lock(locked)
        self._tell()

    def revoke(self, grant: int) -> None:
        """Ends a grant, by its id."""
        self._judge.grants.revoke(grant)
        self._tell()

    def asked_through(self, ask: Ask) -> AbstractContextManager[None]:
        """While the block runs, questions are put by `ask`: a full-screen program has the
        terminal."""
        return self._questions.asked_through(ask)

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` after every change, until what this returns is called."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    # The log

    async def _record(self, event: SignatureEvent) -> bool:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._writer, self._audit.append, event)
        except OSError as error:
            why = f"the log {self._audit.path} cannot be written: {error.strerror or error}"
            _log.error("%s", why)
            self._keep(replace(event, allowed=False, reason=why))
            return False
        self._keep(event)
        return True

    def _note(self, event: SignatureEvent) -> None:
        task = asyncio.create_task(self._record(event))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    def _keep(self, event: SignatureEvent) -> None:
        verb = "allowed" if event.allowed else "denied"
        _log.info("%s: %s: %s (%s)", event.node, event.what, verb, event.reason)
        self._events.append(event)
        self._tell()

    def _tell(self) -> None:
        for callback in tuple(self._listeners):
            with contextlib.suppress(Exception):
                callback()
