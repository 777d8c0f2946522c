"""Where alerts come together: found in the fleet's states, logged, handed on, or silenced."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gpuhop_tui.fleet.alerts.deliver import DeliveryError, post, run_command
from gpuhop_tui.fleet.alerts.engine import AlertEngine, Wish
from gpuhop_tui.fleet.alerts.model import Alert, from_facts, to_facts
from gpuhop_tui.fleet.state import FleetState

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import AlertsConfig

LOOK_SECONDS = 1.0
MOST_KEPT = 300
KEPT_SECONDS = 7 * 86400.0
MOST_AT_ONCE = 4  # programs or webhooks under way; what comes meanwhile waits
NOTE = "alert"

_log = logging.getLogger(__name__)


class Notes(Protocol):
    """Keeps small facts across restarts; `gpuhop_tui.fleet.store.store.Store` is one."""

    def note(self, kind: str, key: str, at: float, facts: dict[str, Any]) -> None: ...

    async def notes(self, kind: str, since: float) -> list[dict[str, Any]]: ...


class Source(Protocol):
    """A fleet that has a state."""

    @property
    def state(self) -> FleetState: ...


class AlertDesk:
    """Is given every state by `observe`, and from `start` to `close` looks by itself each second at
    what has to last. Used on the event loop.

    on_alerts: told of alerts that are not silenced, as they come.
    on_failure: told in words why a way of telling them failed; once, until it has worked again.
    """

    def __init__(
        self,
        config: AlertsConfig,
        *,
        clock: Callable[[], float] = time.time,
        on_alerts: Callable[[Sequence[Alert]], None] = lambda _alerts: None,
        on_failure: Callable[[str], None] = lambda _words: None,
    ) -> None:
        self.config = config
        self.engine = AlertEngine(config)
        self.log: tuple[Alert, ...] = ()  # oldest first, bounded
        self.unread = 0
        self.silent_until = 0.0
        self.on_alerts, self.on_failure = on_alerts, on_failure
        self._clock = clock
        self._notes: Notes | None = None
        self._number = 0
        self._failed: set[str] = set()
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, source: Source, notes: Notes | None = None) -> None:
        """Begins to look. `notes` keeps the log."""
        self._notes = notes
        self._begin(self._look(source), "alerts")
        if notes is not None:
            self._begin(self._remember(notes), "alerts of before")

    async def close(self) -> None:
        """Ends the watching; programs under way are ended, too."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What is waited for, and silence

    @property
    def wishes(self) -> tuple[Wish, ...]:
        return self.engine.wishes

    def wait_for(self, wish: Wish) -> None:
        self.engine.wait_for(wish)

    def give_up(self, wish: Wish) -> None:
        self.engine.give_up(wish)

    @property
    def is_silent(self) -> bool:
        return self._clock() < self.silent_until

    def silence(self, seconds: float) -> None:
        """Tells nothing for so long; 0 ends that. The log goes on."""
        self.silent_until = self._clock() + seconds if seconds else 0.0

    def read(self) -> None:
        """The log has been looked at."""
        self.unread = 0

    # Watching

    def observe(self, state: FleetState) -> list[Alert]:
        """Takes a state, and tells what is to be told of it; returns that."""
        try:
            found = self.engine.update(state, self._clock())
        except Exception:  # a mistake of ours in a rule must not end all the rest
            _log.exception("a look for alerts failed")
            return []
        if not found:
            return found
        self.log = (*self.log, *found)[-MOST_KEPT:]
        self.unread = min(MOST_KEPT, self.unread + len(found))
        for alert in found:
            _log.info("%s: %s", alert.title, alert.words)
            self._keep(alert)
        if self.is_silent:
            return found
        self.on_alerts(found)
        for alert in found:
            if self.config.command:
                self._begin(self._hand_on("command", alert), "alert command")
            if self.config.webhook is not None:
                self._begin(self._hand_on("webhook", alert), "alert webhook")
        return found

    async def _look(self, source: Source) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.observe(source.state)

    # Handing on

    async def _hand_on(self, way: str, alert: Alert) -> None:
        async with self._slots:
            try:
                if way == "command":
                    await run_command(self.config.command, alert)
                elif self.config.webhook is not None:
                    await post(self.config.webhook, alert)
            except DeliveryError as error:
                _log.warning("alert by %s: %s", way, error)
                if way not in self._failed:
                    self._failed.add(way)
                    self.on_failure(f"An alert could not be handed on by {way}: {error}")
            else:
                self._failed.discard(way)

    # The log across restarts

    def _keep(self, alert: Alert) -> None:
        if self._notes is not None:
            self._number += 1
            key = f"{alert.at:.3f}-{self._number}"
            self._notes.note(NOTE, key, alert.at, to_facts(alert))

    async def _remember(self, notes: Notes) -> None:
        kept = await notes.notes(NOTE, self._clock() - KEPT_SECONDS)
        before = [alert for facts in kept if (alert := from_facts(facts)) is not None]
        known = set(self.log)
        earlier = [alert for alert in before if alert not in known]
        self.log = (*earlier, *self.log)[-MOST_KEPT:]

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)
