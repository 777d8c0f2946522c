"""What this terminal can show, by what it says of itself in the environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping

from gpuhop_tui.fleet.doctor.finding import LAPTOP, Finding, ok, unchecked, warning

SECONDS = 2.0
_TRUECOLOUR = ("truecolor", "24bit")
# tmux(1): with anything but `on` it drops the OSC 52 of programs in it. What is passed through
# (allow-passthrough) would have to be wrapped, which gpuhop's is not.
_WANTED = {"set-clipboard": ("on",)}


def check_terminal(
    environ: Mapping[str, str], tmux: Mapping[str, str] | None, size: tuple[int, int] | None
) -> Iterator[Finding]:
    """Colours, characters, size, clipboard. `tmux`: options of the tmux around us, None where
    there is none. `size`: columns and lines; None: output is no terminal."""
    if size is None:
        yield unchecked("terminal", LAPTOP, "the output is no terminal")
        return
    faults = [*_colour(environ), *_characters(environ), *_size(*size), *_tmux(tmux)]
    yield from faults
    if not faults:
        name = environ.get("TERM_PROGRAM") or environ.get("TERM", "")
        yield ok("terminal", LAPTOP, f"{name}: colours, UTF-8, {size[0]}×{size[1]}")
    yield unchecked(
        "clipboard",
        LAPTOP,
        "no terminal says whether it follows OSC 52 and the mouse: copy something, and paste it",
    )


def _colour(environ: Mapping[str, str]) -> Iterator[Finding]:
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        yield _warning(
            f"TERM is {term or 'not set'}", "screens cannot be drawn", "export TERM=xterm-256color"
        )
    elif environ.get("NO_COLOR"):
        yield _warning("NO_COLOR is set", "numbers stay, but no colour is shown", "unset NO_COLOR")
    elif environ.get("COLORTERM", "").lower() not in _TRUECOLOUR and "direct" not in term:
        yield _warning(
            "the terminal does not say that it shows true colour",
            "colours are rounded to the nearest of 256 or 16",
            "export COLORTERM=truecolor  # if it does",
        )


def _characters(environ: Mapping[str, str]) -> Iterator[Finding]:
    name = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    if "utf-8" not in name.lower() and "utf8" not in name.lower():
        yield _warning(
            f"the locale is {name or 'not set'}, and not UTF-8",
            "bars and names with accents may take the wrong width",
            "export LANG=C.UTF-8",
        )


def _size(columns: int, lines: int) -> Iterator[Finding]:
    if columns < 80 or lines < 24:
        yield _warning(
            f"the terminal has {columns}×{lines} characters",
            "the dashboard wants 80×24 at least",
            "printf '\\e[8;24;80t'  # or pull the window larger",
        )


def _tmux(options: Mapping[str, str] | None) -> Iterator[Finding]:
    for name, wanted in _WANTED.items():
        value = options.get(name) if options is not None else wanted[0]
        if value is not None and value not in wanted:
            yield _warning(
                f"tmux has {name} {value}",
                "what is copied in gpuhop does not get through tmux to your clipboard",
                f"tmux set -g {name} on  # and in ~/.tmux.conf",
            )


def _warning(message: str, cause: str, command: str) -> Finding:
    return warning("terminal", LAPTOP, message, cause, command)


async def surrounding_tmux(environ: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """Options of the tmux that this program runs in; None where it runs in none."""
    if not environ.get("TMUX") or shutil.which("tmux") is None:
        return None
    found: dict[str, str] = {}
    for name in _WANTED:
        with contextlib.suppress(OSError, TimeoutError):
            process = await asyncio.create_subprocess_exec(
                *("tmux", "show-options", "-gv", name),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                out, _ = await asyncio.wait_for(process.communicate(), SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
                continue
            if process.returncode == 0 and (value := out.decode(errors="replace").strip()):
                found[name] = value
    return found
