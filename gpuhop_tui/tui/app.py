"""The dashboard's app: opens a fleet, passes its states to the screen, and closes it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import BindingType
from textual.worker import Worker, WorkerState

from gpuhop_tui.tui import keymap as keys
from gpuhop_tui.tui.hopping import Hopper, HopPrompter
from gpuhop_tui.tui.messages import (
    Asked,
    FleetChanged,
    FleetFailed,
    FleetFirstRun,
    FleetOpened,
    Withdrawn,
)
from gpuhop_tui.tui.palette import use_colors
from gpuhop_tui.tui.prompter import TuiPrompter
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.opening import OpeningScreen
from gpuhop_tui.tui.work import JobState, Work, WorkChanged, WorkEnded

if TYPE_CHECKING:
    from textual.command import Provider

    from gpuhop_tui.config.schema import AlertsConfig, TemplateConfig
    from gpuhop_tui.fleet.state import FleetSource
    from gpuhop_tui.tui.alerting import Alerting
    from gpuhop_tui.tui.opening import OpenFleet
    from gpuhop_tui.tui.screens.dashboard import DashboardScreen

log = logging.getLogger(__name__)

SECONDS_BETWEEN_PAINTS = 0.1  # states that come faster are merged
SECONDS_TO_STOP = 5.0
EXIT_CONFIG = 2


def _fleet_commands() -> type[Provider]:
    from gpuhop_tui.tui.commands import FleetCommands

    return FleetCommands


class GpuhopApp(App[int]):
    """Shows one fleet.

    The first frame waits for nothing: what is slow to import comes after it, the dashboard
    included. Then `open_fleet` is awaited; its fleet is started, watched, and stopped when the app
    ends. The app's result is the exit status: 0, or 2 where no fleet could be opened.
    """

    TITLE = "gpuhop"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {_fleet_commands}
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("help", "palette", "quit")]

    def __init__(
        self,
        open_fleet: OpenFleet,
        *,
        keymap: Mapping[str, str] | None = None,
        theme: str | None = None,
        clock: Callable[[], float] = time.time,
        hop_prompter: Callable[[], HopPrompter] | None = None,
    ) -> None:
        super().__init__()
        self.clock = clock
        self.source: FleetSource | None = None
        self.dashboard: DashboardScreen | None = None  # None: before the second frame
        self.work = Work(self.post_message, clock)
        self.templates: tuple[TemplateConfig, ...] = ()
        self.config_path: Path | None = None  # None: there is no file to save templates in
        self.alerting: Alerting | None = None  # None: the fleet is not open yet
        self._open_fleet = open_fleet
        self._prompter = TuiPrompter(self)
        self.hopper = Hopper(self, self._prompter, hop_prompter)
        self._failed = False
        self._use(theme, keymap)

    def get_default_screen(self) -> OpeningScreen:
        return OpeningScreen()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return use_colors(self.current_theme)

    def on_mount(self) -> None:
        self.call_after_refresh(self._furnish)

    # Opening

    async def _furnish(self) -> None:
        """Lay the dashboard over the first frame, then open the fleet."""
        from gpuhop_tui.tui.screens.dashboard import DashboardScreen

        self.dashboard = DashboardScreen(self.clock)
        await self.push_screen(self.dashboard)
        self.open()

    def open(self) -> None:
        """Read the config and start the fleet, in the background."""
        self._failed = False
        self._start_worker(self._open(), "open")

    async def _open(self) -> None:
        from gpuhop_tui.tui.opening import FirstRun, Opened

        try:
            result = await self._open_fleet(self._prompter)
        except Exception as error:
            log.info("the fleet could not be opened", exc_info=error)
            self.post_message(FleetFailed(error))
            return
        if isinstance(result, FirstRun):
            self.post_message(FleetFirstRun(result))
        else:
            opened = result if isinstance(result, Opened) else Opened(result)
            self.post_message(FleetOpened(opened))

    def on_fleet_opened(self, message: FleetOpened) -> None:
        opened = message.opened
        self._use(opened.theme, opened.keymap)
        self.source = opened.source
        self.templates, self.config_path = tuple(opened.templates), opened.config_path
        if self.dashboard is not None:
            self.dashboard.offer_hops(opened.open_hops)
        self._begin_alerts(opened.source, opened.alerts)
        self._start_worker(self._watch(opened.source), "watch")
        self._start_worker(self._begin(opened.source), "start")

    async def _begin(self, source: FleetSource) -> None:
        await source.start()
        await source.restore_ports()

    def on_fleet_first_run(self, message: FleetFirstRun) -> None:
        self._failed = True
        from gpuhop_tui.tui.screens.first_run import FirstRunScreen

        self.push_screen(FirstRunScreen(message.first_run), self._after_trouble)

    def on_fleet_failed(self, message: FleetFailed) -> None:
        self._failed = True
        from gpuhop_tui.tui.screens.open_failed import OpenFailedScreen

        self.push_screen(OpenFailedScreen(message.error), self._after_trouble)

    def _after_trouble(self, again: bool | None) -> None:
        if again:
            self.open()
        else:
            self.exit(EXIT_CONFIG)

    def _use(self, theme: str | None, keymap: Mapping[str, str] | None) -> None:
        """Take the look and the keys of a config; what is not known there is said, not obeyed."""
        if theme and theme in self.available_themes:
            self.theme = theme
        elif theme:
            self._warn(f"There is no theme {theme!r}.")
        if keymap:
            unknown = keys.unknown_ids(keymap)
            known = {name: key for name, key in keymap.items() if name not in unknown}
            self.set_keymap(known)
            if unknown:
                self._warn("ui.keymap names no key: " + ", ".join(unknown))
            if clashes := keys.clashes(known):
                self._warn("ui.keymap gives one key to two: " + "; ".join(clashes))

    def _warn(self, words: str) -> None:
        self.notify(clean(words), severity="warning", timeout=10, markup=False)

    # The running fleet

    async def _watch(self, source: FleetSource) -> None:
        """Post the newest state, at most ten times a second."""
        self.post_message(FleetChanged(source.state))
        async for state in source.changes():
            if self.alerting is not None:
                self.alerting.observe(state)
            self.post_message(FleetChanged(state))
            await asyncio.sleep(SECONDS_BETWEEN_PAINTS)

    def on_fleet_changed(self, message: FleetChanged) -> None:
        if self.dashboard is not None:
            self.dashboard.show(message.state, self.source)

    # Alerts

    def _begin_alerts(self, source: FleetSource, config: AlertsConfig | None) -> None:
        from gpuhop_tui.config.schema import AlertsConfig
        from gpuhop_tui.tui.alerting import Alerting

        self.alerting = Alerting(self, config or AlertsConfig(), self.clock, self._to_terminal)
        self._start_worker(self.alerting.start(source), "alerts")

    def _to_terminal(self, text: str) -> None:
        """Textual's driver writes frames and this one after the other, each as a whole."""
        if self._driver is not None:
            self._driver.write(text)

    def show_alerts(self) -> None:
        """Say in the header what is unread, silent, or waited for."""
        if self.alerting is not None and self.dashboard is not None:
            from gpuhop_tui.tui.render.alerts import indicator

            desk = self.alerting.desk
            silent = desk.silent_until - self.clock()
            self.dashboard.header.show_alerts(indicator(desk.unread, silent, desk.wishes))

    def key_of(self, id: str) -> str:
        """The key of a binding, as it is shown to the user."""
        return keys.shown_key(self, id)

    # Questions

    def on_asked(self, message: Asked) -> None:
        answer = message.answer
        if answer.done():  # given up while the question waited for its turn
            return

        def give(result: object) -> None:
            if not answer.done():
                answer.set_result(result)

        self.push_screen(message.dialog, give)

    def on_withdrawn(self, message: Withdrawn) -> None:
        message.dialog.withdraw()

    def action_help(self) -> None:
        from gpuhop_tui.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(getattr(self.screen, "HELP_FIRST", "")))

    # Work in the background

    def on_work_changed(self, message: WorkChanged) -> None:
        if self.dashboard is not None:
            self.dashboard.show_work()

    def on_work_ended(self, message: WorkEnded) -> None:
        job = message.job
        if job.quiet:
            return
        words = f"{job.words}. {job.advice}" if job.advice else job.words
        self.notify(
            clean(words),
            title=clean(f"{job.title} on {job.node}").replace("[", r"\["),
            severity="error" if job.state is JobState.FAILED else "information",
            timeout=12 if job.advice else 6,
            markup=False,
        )

    # Ending

    def action_quit_fleet(self) -> None:
        """Leave; where a transfer or a build runs, or what is typed would be lost, once that is
        confirmed."""
        unsaved = [words for each in self.screen_stack if (words := getattr(each, "unsaved", ""))]
        if self.work.transfers or unsaved:
            from gpuhop_tui.tui.screens.work import ask_to_leave

            ask_to_leave(self, self.work.transfers, unsaved, self._leave)
        else:
            self._leave()

    async def action_quit(self) -> None:
        """Textual's own key for it."""
        self.action_quit_fleet()

    def _leave(self) -> None:
        self.exit(EXIT_CONFIG if self._failed else 0)

    async def on_unmount(self) -> None:
        await self._end_work()
        if self.alerting is not None:
            await self.alerting.desk.close()
        if self.source is None:
            return
        try:
            await asyncio.wait_for(self.source.stop(), SECONDS_TO_STOP)
        except Exception as error:
            log.warning("the fleet did not stop cleanly", exc_info=error)

    async def _end_work(self) -> None:
        try:
            await asyncio.wait_for(self.work.close(), SECONDS_TO_STOP)
        except Exception as error:
            log.warning("work in the background did not end cleanly", exc_info=error)

    def _fatal_error(self) -> None:
        """A mistake of ours. Textual would print a traceback with every local, passphrases too."""
        error = self._exception
        log.critical("the dashboard failed", exc_info=error)
        self.panic(
            Text(clean(f"gpuhop-tui stopped on a mistake of its own: {error!r}")),
            Text("Please report it; --log-file PATH keeps the details."),
        )

    # Workers

    def _start_worker(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.run_worker(work, name=name, group=name, exclusive=True, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            log.error("worker %s failed", event.worker.name, exc_info=error)
            self.notify(
                clean(f"{type(error).__name__}: {error}"),
                title=f"Something went wrong ({event.worker.name})",
                severity="error",
                timeout=15,
                markup=False,
            )
