"""The log file: asked for by `--log-file`, its owner's alone, and the only log there is."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from gpuhop_tui.cli.failure import CommandError

LEVELS = ("debug", "info", "warning", "error")


def start_log(path: Path | None, level: str) -> None:
    """Send all logging to `path` (created 0600, appended to), or nowhere where it is None.

    Nothing is ever logged to the terminal: it belongs to the dashboard and to the commands' output.
    Raises `CommandError` where the file cannot be opened.
    """
    root = logging.getLogger()
    if path is None:
        root.addHandler(logging.NullHandler())
        return
    path = path.expanduser()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.fchmod(handle, 0o600)
    except OSError as error:
        raise CommandError(f"cannot write the log file {path}: {error.strerror}") from None
    handler = logging.StreamHandler(os.fdopen(handle, "a", encoding="utf-8"))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(level.upper())
