"""A look around on a bastion or node: one shell there, fed line by line, that runs plain tools.

Fed by its standard input, the commands are nothing to a login shell of whatever kind.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.ssh.link import Link

SECONDS = 12.0
_LONGEST = 1 << 16  # bytes that are read of what it says

_READY = "echo gpuhop-ready\n"
_CLOCK = 'echo "gpuhop-clock $(date +%s.%N)"\n'
_LOOK = r"""
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
echo "user $(id -un)"
v='import sys; print("%d.%d.%d" % sys.version_info[:3])'
p=$(command -v python3) && echo "python $("$p" -c "$v" 2>/dev/null)"
t=$(command -v tmux) && echo "tmux $(tmux -V 2>/dev/null)"
for n in nvidia-smi nvidia-ctk nvidia-container-runtime nvidia-container-runtime-hook; do
command -v $n >/dev/null && echo "program $n"
done
who 2>/dev/null | while read -r w x; do echo "who $w"; done
c=${XDG_CACHE_HOME:-$HOME/.cache}
[ -d "$c" ] || c=$HOME
for d in "$HOME" "$c"; do
[ -w "$d" ] || echo "readonly $d"
df -Pk "$d" 2>/dev/null | while read -r a total used free e f; do echo "disk $total $free $d"; done
done
echo gpuhop-done
"""


@dataclass(slots=True)
class Look:
    """What was seen. `reason` says why it is not all, where it is not."""

    reason: str = ""
    user: str = ""
    python: str | None = None  # version; None: there is none, "": it does not start
    tmux: str | None = None
    programs: set[str] = field(default_factory=set)
    logged_in: set[str] = field(default_factory=set)
    read_only: list[str] = field(default_factory=list)
    disks: dict[str, tuple[int, int]] = field(default_factory=dict)  # path: free, total bytes
    clock_ahead: float | None = None  # seconds that its clock is ahead of ours
    clock_within: float = 0.0  # seconds that this may be wrong by: half the round trip

    @property
    def others(self) -> int:
        """Other users who are logged in."""
        return len(self.logged_in - {self.user})


async def look(link: Link, seconds: float = SECONDS) -> Look:
    """Never raises: what could not be seen has its reason."""
    seen = Look()
    try:
        async with asyncio.timeout(seconds), link.process("exec sh") as process:
            process.stdin.write(_READY.encode())
            await _read_until(process.stdout, b"gpuhop-ready", seen)
            asked, started = time.time(), time.monotonic()
            process.stdin.write(_CLOCK.encode())
            line = await _read_until(process.stdout, b"gpuhop-clock", seen)
            took = time.monotonic() - started
            _take_clock(seen, line, asked + took / 2, took)
            process.stdin.write(_LOOK.encode())
            await _read_until(process.stdout, b"gpuhop-done", seen)
    except TimeoutError:
        seen.reason = f"no answer within {seconds:.0f} s"
    except ProblemError as error:
        seen.reason = error.problem.message
    except EOFError:
        seen.reason = "it runs no commands, or ended them early"
    return seen


async def _read_until(stream: object, mark: bytes, seen: Look) -> str:
    """Takes in lines until the one that begins with `mark`, and returns that. Raises EOFError."""
    readline = stream.readline  # type: ignore[attr-defined]
    size = 0
    while size < _LONGEST:
        line: bytes = await readline()
        size += len(line)
        if not line:
            break
        if line.startswith(mark):
            return line.decode(errors="replace").strip()
        _take(seen, line.decode(errors="replace").strip())
    raise EOFError


def _take_clock(seen: Look, line: str, ours: float, took: float) -> None:
    text = line.partition(" ")[2]
    try:
        theirs, exact = (float(text), True) if text[-1:].isdigit() else (0.0, False)
        if not exact or "." not in text:  # no %N in its date(1): whole seconds, counted down
            theirs, took = float(text.partition(".")[0]) + 0.5, took + 1.0
    except ValueError:
        return
    seen.clock_ahead, seen.clock_within = theirs - ours, took / 2


def _take(seen: Look, line: str) -> None:
    word, _, rest = line.partition(" ")
    match word:
        case "user":
            seen.user = rest
        case "python":
            seen.python = rest
        case "tmux":
            seen.tmux = rest.removeprefix("tmux").strip()
        case "program":
            seen.programs.add(rest)
        case "who":
            seen.logged_in.add(rest)
        case "readonly":
            seen.read_only.append(rest)
        case "disk":
            total, free, path = (*rest.split(" ", 2), "", "")[:3]
            if total.isdecimal() and free.isdecimal():
                seen.disks[path] = int(free) * 1024, int(total) * 1024
