"""The dashboard: checks that there is a screen, then hands over to the app."""

from __future__ import annotations

import argparse
import asyncio
import functools
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import CommandError

if TYPE_CHECKING:
    from gpuhop_tui.cli.hop import HopPrompter
    from gpuhop_tui.ssh.prompts import Prompter
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.opening import FirstRun, Opened, OpenFleet


def run_dashboard(options: argparse.Namespace) -> int:
    """Open the dashboard and return its exit status when it is closed."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError(
            "the dashboard needs a terminal; for scripts there is `gpuhop-tui status --json`"
        )
    from gpuhop_tui.tui.app import GpuhopApp

    if options.demo:
        opener = Opener(functools.partial(open_demo, shells=options.demo_shells))
    else:
        opener = Opener(open_configured(options.config))
    app = GpuhopApp(opener.open, hop_prompter=hop_prompter)
    _exit_on_signals(app)
    status = app.run() or app.return_code  # no result: the app failed, and has said so
    if status and opener.failure is not None:  # what the screen said stays to be read and copied
        raise CommandError(str(opener.failure).splitlines(), status)
    return status or 0


def _exit_on_signals(app: GpuhopApp) -> None:
    """Has SIGTERM and SIGHUP end the app in good order: they would leave the terminal as it is.
    A second one ends the program at once."""

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        try:
            loop = asyncio.get_running_loop()  # the app's: handlers run on the main thread
        except RuntimeError:
            raise SystemExit(128 + number) from None
        loop.call_soon_threadsafe(functools.partial(app.exit, return_code=128 + number))

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def hop_prompter() -> HopPrompter:
    """Asks on the terminal while a hop has it."""
    from gpuhop_tui.cli.hop import HopPrompter

    return HopPrompter()


class Opener:
    """Opens the fleet for the app and remembers why it could not, the last time it was tried."""

    def __init__(self, open_fleet: OpenFleet) -> None:
        self._open_fleet = open_fleet
        self.failure: Exception | None = None

    async def open(self, prompter: Prompter) -> Opened | FirstRun:
        from gpuhop_tui.tui.opening import FirstRun, Opened

        self.failure = None
        try:
            result = await self._open_fleet(prompter)
        except Exception as error:
            self.failure = error
            raise
        return result if isinstance(result, Opened | FirstRun) else Opened(result)


async def open_demo(prompter: Prompter, *, shells: bool = False) -> Opened:
    """The embedded fleet. `shells`: hops get real ones, of this machine."""
    from gpuhop_tui.demo.fleet import open_demo
    from gpuhop_tui.demo.templates import TEMPLATES
    from gpuhop_tui.tui.opening import Opened

    return Opened(await open_demo(prompter, shells=shells), templates=TEMPLATES)


def open_configured(config: Path | None) -> OpenFleet:
    """How the app gets the fleet of the config, or learns that there is none yet."""

    async def open_fleet(prompter: Prompter) -> Opened | FirstRun:
        from gpuhop_tui.cli import open as opening
        from gpuhop_tui.sessions.hop_memory import open_hops
        from gpuhop_tui.tui.opening import Opened

        path = opening.find(config)
        if not path.exists() and not opening.is_named(config):
            from gpuhop_tui.cli.first_run import first_run

            return first_run(path)
        loaded = opening.load(path)
        opening.warnings(path)
        source = await opening.build_fleet(loaded, prompter, retry=True, keep_past=True)
        return Opened(
            source,
            loaded.ui.theme,
            loaded.ui.keymap,
            open_hops(),
            loaded.templates,
            loaded.alerts,
            path,
        )

    return open_fleet
