"""One start at a time on a node, among those who use gpuhop: a courtesy lock.

The lock is flock(2) on a file in the node's /tmp, held by a shell on the link: it is free again the
moment that shell ends, however it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.ssh.link import Link

WAIT_SECONDS = 20

# Opened for reading only: others' files in a sticky directory cannot be opened for writing where
# fs.protected_regular is set (proc_sys_fs(5)).
_SCRIPT = f"""f=/tmp/gpuhop-start.lock
[ -e $f ] || (umask 0; set -C; : >$f) 2>/dev/null
command -v flock >/dev/null 2>&1 && [ -r $f ] || {{ echo gpuhop:none; exit; }}
exec 9<$f
flock -w {WAIT_SECONDS} 9 && echo gpuhop:held || {{ echo gpuhop:busy; exit; }}
exec cat >/dev/null"""


@asynccontextmanager
async def one_start_at_a_time(link: Link) -> AsyncIterator[None]:
    """Holds the lock; where the node has none to give, the check after the creation has to do.

    Raises ContainerError where another start has held it for WAIT_SECONDS, ProblemError where there
    is no link.
    """
    quoted = _SCRIPT.replace("'", "'\\''")
    async with link.process(f"exec sh -c '{quoted}'") as process:
        try:
            async with asyncio.timeout(WAIT_SECONDS + 10):
                said = ""
                while not said.startswith("gpuhop:") and (line := await process.stdout.readline()):
                    said = line.decode(errors="replace")  # start-up files may have said something
        except TimeoutError:
            said = "gpuhop:none"
        if said.startswith("gpuhop:busy"):
            raise ContainerError(
                f"{link.name}: somebody else has been starting a container for {WAIT_SECONDS} s",
                "Try again in a moment.",
            )
        yield
