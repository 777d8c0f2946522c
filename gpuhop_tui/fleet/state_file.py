"""A small JSON file of the user's state directory: written atomically, for this user only.

What is kept there is a convenience: that it cannot be read or written is logged, and no failure.
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from gpuhop_tui.config.atomic import write_atomically

_log = logging.getLogger(__name__)


class StateFile:
    """One file, an object of JSON. Its methods wait for the disk: not for the event loop."""

    def __init__(self, name: str, directory: Path | None = None) -> None:
        self.path = (directory or Path(platformdirs.user_state_dir("gpuhop-tui"))) / name

    def read(self) -> dict[str, Any]:
        """What it holds; nothing where it is not there or is broken."""
        try:
            held = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read: %s", self.path, error)
            return {}
        return held if isinstance(held, dict) else {}

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Reads, edits and writes it back, alone among all programs that do so."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                held = self.read()
                edit(held)
                write_atomically(self.path, json.dumps(held, indent=1).encode())
        except OSError as error:
            _log.warning("%s cannot be written: %s", self.path, error)
