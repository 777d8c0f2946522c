"""Asking for a GPU by courtesy: a note on its node that every user of gpuhop sees.

It keeps nobody away from the GPU, and ends by itself. What the probe reads of it, and how much of
it can be forged: `gpuhop_tui.probe.remote.reservations`.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
from datetime import datetime, timedelta

from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.probe.remote.reservations import DIRECTORY, LONGEST_SECONDS
from gpuhop_tui.probe.sample import Gpu, Reservation
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions.shell import Runner

LONGEST_NOTE = 120
_CLOCK = re.compile(r"(\d{1,2})[:.](\d{2})")
_SPAN = re.compile(r"(?=\d)(?:(\d{1,3})\s*d)?\s*(?:(\d{1,3})\s*h)?\s*(?:(\d{1,4})\s*(?:m|min))?")


def login(node: NodeState) -> str:
    """The user that one is on a node; "" where that is not known."""
    return node.address.rsplit("@", 1)[0] if "@" in node.address else ""


def own_reservation(node: NodeState, gpu: Gpu) -> Reservation | None:
    """One's own of a GPU."""
    return next((each for each in gpu.reservations if each.user == login(node)), None)


def others_reservation(node: NodeState, gpu: Gpu) -> Reservation | None:
    """The one of somebody else that holds longest."""
    others = [each for each in gpu.reservations if each.user != login(node)]
    return max(others, key=lambda each: each.until, default=None)


def seconds_until(text: str, now: float) -> float:
    """How long from `now` (seconds since the epoch) until "18:00" (today, else tomorrow), or "2h",
    "1h30m", "45m", "2d". Raises ValueError with the words that say what is wrong."""
    text = text.strip().lower()
    if clock := _CLOCK.fullmatch(text):
        hour, minute = int(clock[1]), int(clock[2])
        if hour > 23 or minute > 59:
            raise ValueError(f"there is no time {text}")
        here = datetime.fromtimestamp(now).astimezone()
        until = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if until <= here:
            until += timedelta(days=1)
        return until.timestamp() - now
    if span := _SPAN.fullmatch(text):
        days, hours, minutes = (int(part or 0) for part in span.groups())
        seconds = 86400.0 * days + 3600.0 * hours + 60.0 * minutes
        if not 60.0 <= seconds < LONGEST_SECONDS:
            raise ValueError("from a minute to 30 days")
        return seconds
    raise ValueError('a time such as "18:00", or how long, such as "2h", "45m" or "1d"')


async def reserve(shell: Runner, node: str, gpu: Gpu, seconds: float, note: str) -> None:
    """Writes one's own note on a GPU, in place of the one there was. Raises ProblemError."""
    answer = await shell.run(reserve_script(_key(gpu), seconds, note, secrets.token_hex(4)))
    if answer.status != 0:
        raise ProblemError(_refused(node, answer.text))


async def end_reservation(shell: Runner, node: str, gpu: Gpu) -> None:
    """Removes one's own note from a GPU. Raises ProblemError."""
    answer = await shell.run(end_script(_key(gpu)))
    if answer.status != 0:
        raise ProblemError(_refused(node, answer.text))


def reserve_script(gpu: str, seconds: float, note: str, token: str) -> str:
    """For sh(1): the time is the node's own. `token` makes the file's name one that nobody else
    can have taken."""
    facts = json.dumps({"gpu": gpu, "note": note.strip()[:LONGEST_NOTE]}, ensure_ascii=False)
    head = shlex.quote(facts[:-1].replace("%", "%%").replace("\\", "\\\\") + ', "until": %d}')
    name = f"{_plain(gpu)}.{token}"
    return f"""
d={DIRECTORY}; p=${{d%/*}}
(umask 0; mkdir -m 1777 "$p" || :; mkdir -m 1777 "$d" || :) 2>/dev/null
if [ -L "$p" ] || [ -L "$d" ] || [ ! -d "$d" ]; then echo "$d is no directory"; exit 1; fi
umask 022; set -C
until=$(( $(date +%s) + {int(seconds)} )) || exit 1
printf {head} "$until" >"$d/.{name}" || exit 1
mv "$d/.{name}" "$d/{name}" || exit 1
{_remove(gpu, besides=name)}
"""


def end_script(gpu: str) -> str:
    """For sh(1)."""
    return f"\nd={DIRECTORY}\n{_remove(gpu)}\n"


def _remove(gpu: str, besides: str = "") -> str:
    """One's own files for a GPU, but for one."""
    return f"""for f in "$d/{_plain(gpu)}".*; do
 if [ -f "$f" ] && [ ! -L "$f" ] && [ -O "$f" ] && [ "$f" != "$d/{besides}" ]; then
  rm -f "$f" || exit 1
 fi
done"""


def _key(gpu: Gpu) -> str:
    if not gpu.uuid:
        raise ProblemError(
            Problem(
                "the GPU",
                ErrorKind.NO_PROBE,
                f"GPU {gpu.index} has no UUID to name it by",
                "its node does not tell it: see its details",
            )
        )
    return gpu.uuid


def _plain(gpu: str) -> str:
    """As the name of a file."""
    return re.sub(r"[^A-Za-z0-9-]", "_", gpu)[:96]


def _refused(node: str, said: str) -> Problem:
    lines = [line for line in said.splitlines() if line.strip()]
    why = lines[-1].strip() if lines else "it gave no reason"
    advice = f"See who may write there: ssh {node} ls -ld {DIRECTORY}"
    return Problem(node, ErrorKind.REFUSED, f"the note cannot be kept: {why}", advice)
