"""Notifications that the terminal itself shows, also while it is not looked at. Pure text.

OSC 9 (iTerm2), OSC 99 (kitty, https://sw.kovidgoyal.net/kitty/desktop-notifications/), OSC 777
(urxvt), or the bell. A terminal multiplexer takes none of the sequences: tmux passes one through
where its option allow-passthrough is on, and always hands the bell on.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Literal

Way = Literal["osc9", "osc99", "osc777", "bell", "off"]

BELL = "\a"
_MOST = 240  # characters: a terminal shows a line or two
_TMUX_SECONDS = 2.0

# What a terminal says of itself in the environment, and what it takes.
_BY_PROGRAM: dict[str, Way] = {
    "iTerm.app": "osc9",
    "WezTerm": "osc9",
    "ghostty": "osc9",
    "rio": "osc9",
}
_BY_TERM: tuple[tuple[str, Way], ...] = (
    ("xterm-kitty", "osc99"),
    ("xterm-ghostty", "osc9"),
    ("foot", "osc777"),
    ("rxvt", "osc777"),
    ("wezterm", "osc9"),
)


def in_multiplexer(environ: Mapping[str, str]) -> bool:
    """Whether tmux or screen stands between here and the terminal."""
    term = environ.get("TERM", "")
    return bool(environ.get("TMUX") or environ.get("STY")) or term.startswith(("tmux", "screen"))


def way_for(wanted: str, environ: Mapping[str, str], passthrough: bool) -> Way:
    """How this terminal is told. `passthrough`: whether tmux passes a sequence on."""
    if wanted in ("bell", "off"):
        return "off" if wanted == "off" else "bell"
    if in_multiplexer(environ) and not passthrough:
        return "bell"
    if wanted != "auto":
        return next(way for way in ("osc9", "osc99", "osc777") if way == wanted)
    return _known(environ) or "bell"


def _known(environ: Mapping[str, str]) -> Way | None:
    """By what the terminal says of itself; inside tmux that is what tmux was started in."""
    if environ.get("KITTY_WINDOW_ID"):
        return "osc99"
    if environ.get("LC_TERMINAL") == "iTerm2":
        return "osc9"
    if way := _BY_PROGRAM.get(environ.get("TERM_PROGRAM", "")):
        return way
    term = environ.get("TERM", "")
    return next((way for start, way in _BY_TERM if term.startswith(start)), None)


def sequence(way: Way, title: str, words: str, *, in_tmux: bool = False) -> str:
    """What is written to the terminal. Both texts may hold anything: it is made plain."""
    title, words = _plain(title), _plain(words)
    match way:
        case "off":
            return ""
        case "bell":
            return BELL
        case "osc9":  # ConEmu and others take "4;..." for progress: a title begins with a letter
            text = f"\x1b]9;{title}: {words}\a"
        case "osc99":
            head, body = (base64.b64encode(text.encode()).decode() for text in (title, words))
            text = f"\x1b]99;i=gpuhop:d=0:e=1;{head}\x1b\\\x1b]99;i=gpuhop:p=body:e=1;{body}\x1b\\"
        case "osc777":  # its parts are parted by semicolons
            text = f"\x1b]777;notify;{title.replace(';', ',')};{words.replace(';', ',')}\a"
    return through_tmux(text) if in_tmux else text


def through_tmux(text: str) -> str:
    """Wrapped so that tmux(1) passes it on to its own terminal: allow-passthrough."""
    return "\x1bPtmux;" + text.replace("\x1b", "\x1b\x1b") + "\x1b\\"


async def tmux_passes(environ: Mapping[str, str]) -> bool:
    """Whether the tmux around this program passes sequences on. Before tmux 3.3 it always does,
    and has no such option. Never raises."""
    pane = environ.get("TMUX_PANE")
    if not environ.get("TMUX") or not pane:
        return False
    nothing = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            *("show-options", "-A", "-p", "-v", "-t", pane, "allow-passthrough"),
            stdin=nothing,
            stdout=asyncio.subprocess.PIPE,
            stderr=nothing,
            env=dict(environ),
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(_TMUX_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return said.strip() in (b"on", b"all")


def _plain(text: str) -> str:
    """One line of printable characters: nothing in it can end the sequence."""
    return "".join(char if char.isprintable() else " " for char in text)[:_MOST]
