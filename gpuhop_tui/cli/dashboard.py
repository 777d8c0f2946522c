"""The dashboard: checks that there is a screen, then hands over to the app."""

from __future__ import annotations

import argparse
import sys

from gpuhop_tui.cli.failure import CommandError


def run_dashboard(options: argparse.Namespace) -> int:
    """Open the dashboard and return its exit status when it is closed."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError(
            "the dashboard needs a terminal; for scripts there is `gpuhop-tui status --json`"
        )
    raise CommandError("the dashboard is not here yet; use `gpuhop-tui status`")
