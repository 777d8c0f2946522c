"""Copying in the system's own way, beside OSC 52: not every terminal follows that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping

SECONDS = 3.0

# Program and arguments, and the variable that says its display is there.
_PROGRAMS = (
    (("pbcopy",), None),
    (("wl-copy",), "WAYLAND_DISPLAY"),
    (("xclip", "-selection", "clipboard"), "DISPLAY"),
    (("xsel", "--clipboard", "--input"), "DISPLAY"),
    (("clip.exe",), "WSL_DISTRO_NAME"),
)


def system_program(environ: Mapping[str, str] = os.environ) -> tuple[str, ...] | None:
    """The command that takes text for this desktop's clipboard, or None where there is none."""
    for command, needs in _PROGRAMS:
        if (needs is None or environ.get(needs)) and shutil.which(
            command[0], path=environ.get("PATH")
        ):
            return command
    return None


async def copy_by_system(text: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Hands `text` to the desktop's clipboard; whether that went well. Never raises OSError."""
    command = system_program(environ)
    if command is None:
        return False
    quiet = asyncio.subprocess.DEVNULL
    try:
        # No pipe for its output: xclip and wl-copy stay behind, to serve what was copied.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(SECONDS):
            await process.communicate(text.encode(errors="replace"))
    except (TimeoutError, OSError):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return False
    return process.returncode == 0
