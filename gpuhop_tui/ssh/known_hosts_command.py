"""KnownHostsCommand (ssh_config(5)): a program of the user's that prints known_hosts lines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh.known_hosts import KnownKeys, keys_for, parse_lines

_log = logging.getLogger(__name__)


async def command_keys(hop: Hop) -> KnownKeys:
    """The keys that the hop's command prints for it. A command that fails knows none, as in ssh.

    The caller limits the time.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *hop.known_hosts_command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that what it started is ended with it
        )
    except OSError as error:
        _log.warning("KnownHostsCommand of %s cannot be run: %s", hop.name, error.strerror)
        return KnownKeys()
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        said = err.decode(errors="replace").strip()
        _log.warning(
            "KnownHostsCommand of %s failed with %d: %s", hop.name, process.returncode, said
        )
        return KnownKeys()
    return keys_for(hop, parse_lines(out.decode(errors="replace").splitlines()))
