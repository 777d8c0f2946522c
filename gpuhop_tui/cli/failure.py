"""How a command gives up: lines for stderr and an exit status, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2  # a wrong command line, or a config with errors
EXIT_INTERNAL = 70  # a fault of gpuhop-tui itself (EX_SOFTWARE of sysexits.h)
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_PIPE = 141  # 128 + SIGPIPE
EXIT_TERMINATED = 143  # 128 + SIGTERM


class CommandError(Exception):
    """Stops the command: `lines` are for the user, `status` is for the shell."""

    def __init__(self, lines: str | Sequence[str], status: int = EXIT_USAGE) -> None:
        self.lines = (lines,) if isinstance(lines, str) else tuple(lines)
        self.status = status
        super().__init__("\n".join(self.lines))


def discard_stdout() -> None:
    """Keep the interpreter from failing once more when it flushes a closed pipe at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
