"""Open a page in the desktop's browser, where there is a desktop.

Never by a browser that would take the terminal, as `webbrowser` may: the dashboard has it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping

SECONDS = 5.0

# Program, and one of the variables that say its desktop is there.
_PROGRAMS = (
    ("wslview", ("WSL_DISTRO_NAME",)),
    ("xdg-open", ("DISPLAY", "WAYLAND_DISPLAY")),
    ("gio", ("DISPLAY", "WAYLAND_DISPLAY")),
)


def browser_command(
    environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> tuple[str, ...] | None:
    """The command that opens a URL, which follows it; None where there is no desktop."""
    path = environ.get("PATH")
    if platform == "darwin":
        return ("open",) if shutil.which("open", path=path) else None
    for name, needs in _PROGRAMS:
        if any(environ.get(each) for each in needs) and shutil.which(name, path=path):
            return ("gio", "open") if name == "gio" else (name,)
    return None


async def open_in_browser(url: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether it was handed over. A browser that is slow to start counts as one that has it."""
    command = browser_command(environ)
    if command is None:
        return False
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            url,
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(SECONDS):
            return await process.wait() == 0
    except TimeoutError:
        return True
