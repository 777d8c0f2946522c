"""`gpuhop-tui audit`: what the lent agent was asked for, by whom, and what became of it."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from gpuhop_tui.cli.failure import CommandError
from gpuhop_tui.cli.text import clean
from gpuhop_tui.ssh.guard.audit import default_path, files
from gpuhop_tui.ssh.guard.model import said_by_host

POLL_SECONDS = 0.3
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

Line = dict[str, Any]


def run_audit(options: argparse.Namespace) -> int:
    """Print the log, oldest first; with `--follow`, what comes too, until a signal or a closed
    pipe. Returns the exit status: 0.

    Raises `CommandError` where the log cannot be read or `--since` is no time.
    """
    since = parse_since(options.since, time.time()) if options.since else 0.0
    path = default_path()
    shown = 0
    try:
        for line in _lines(path, follow=options.follow):
            if line.get("time", 0) < since:
                continue
            shown += 1
            print(json.dumps(line) if options.json else words(line), flush=options.follow)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}", 1) from None
    if not shown and not options.json:
        print("gpuhop-tui: nothing was asked of a lent agent", file=sys.stderr)
    return 0


def parse_since(text: str, now: float, option: str = "--since") -> float:
    """Seconds since the epoch of "30m", "2h", "7d" ago, or of a date and time in ISO 8601, local
    where it names no zone. Raises `CommandError`, which names the option."""
    if ago := re.fullmatch(r"(\d{1,9})([smhdw])", text):
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise CommandError(
            f"{option} {text!r} is no time: give 30m, 2h or 7d, or a date such as 2025-11-12T14:00"
        ) from None


def words(line: Line) -> str:
    """One decision on one line."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.get("time", 0)))
    node = line.get("node", "?")
    via = f" (via {', '.join(line['via'])})" if line.get("via") else ""
    parts = [at, f"{line.get('decision', '?'):7}", f"{node}{via}", what(line)]
    if line.get("through"):
        parts.append(f"passed on through {', '.join(line['through'])}")
    if line.get("key"):
        parts.append(f"key {line.get('key_comment') or line['key']}")
    parts.append(str(line.get("reason", "")))
    if line.get("unlogged"):
        parts.append(f"and {line['unlogged']} refusals before, not logged one by one")
    return clean("  ".join(parts))


def what(line: Line) -> str:
    """What was asked for."""
    purpose, user = line.get("purpose"), said_by_host(str(line.get("user")))
    where = (line.get("destination") or [line.get("host_key")])[0]
    if purpose == "login":
        return f"log in as {user} at {where}"
    if purpose == "unbound":
        return f"log in as {user} at a server that was not proven (unbound)"
    if purpose == "signature":
        return f"sign for {said_by_host(str(line.get('namespace')))}"
    if purpose == "unknown":
        return "sign data of an unknown kind"
    return str(line.get("request", "?"))


def _lines(path: Path, *, follow: bool) -> Iterator[Line]:
    """The lines of the log and of what was rotated away, oldest first. Raises OSError."""
    inode, done = 0, 0
    for file in files(path):
        with file.open("rb") as stream:
            data = stream.read()
            inode, done = file.stat().st_ino, data.rfind(b"\n") + 1
        yield from _parsed(data[:done])
    while follow:
        time.sleep(POLL_SECONDS)
        for file in files(path)[-2:]:  # what was being written may just have been rotated
            status = file.stat()
            if file != path and status.st_ino != inode:
                continue
            if status.st_ino != inode:
                inode, done = status.st_ino, 0
            with file.open("rb") as stream:
                stream.seek(done)
                data = stream.read()
            data = data[: data.rfind(b"\n") + 1]
            done += len(data)
            yield from _parsed(data)


def _parsed(data: bytes) -> Iterator[Line]:
    for text in data.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("time"), int | float):
            yield line
