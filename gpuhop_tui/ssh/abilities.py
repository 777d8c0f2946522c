"""What a server grants, found out by asking it: ways to log in, TCP forwarding, sessions.

Each asks one question on a link that is up, and leaves nothing open.
"""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.ssh.link import SESSIONS, Link

SECONDS = 10.0
_PROHIBITED = 1  # reason code of RFC 4254, section 5.1


class NotAskedError(Exception):
    """The question could not be put; the text is the reason."""


def server_version(link: Link) -> str | None:
    """The software of the server's identification string (RFC 4253, section 4.2), if it is up."""
    connection = link.current
    if connection is None:
        return None
    version = str(connection.get_extra_info("server_version") or "")
    return version.removeprefix("SSH-2.0-") or None


async def forwards_tcp(link: Link) -> bool:
    """Whether the server opens direct-tcpip channels (AllowTcpForwarding, sshd_config(5)); asked
    for its own SSH port. Raises NotAskedError."""
    connection = _open(link)
    try:
        async with asyncio.timeout(SECONDS):
            _reader, writer = await connection.open_connection("127.0.0.1", link.route.target.port)
    except asyncssh.ChannelOpenError as error:
        return error.code != _PROHIBITED
    except (asyncssh.Error, OSError) as error:
        raise NotAskedError(_reason(error)) from None
    writer.close()
    return True


async def sessions_refused_after(link: Link, most: int = SESSIONS - 1) -> int | None:
    """How many sessions were open when the server refused another (MaxSessions, sshd_config(5));
    None where it opened `most` at once. Raises NotAskedError."""
    _open(link)
    try:
        async with asyncio.timeout(SECONDS), contextlib.AsyncExitStack() as stack:
            while link.sessions_open < most:
                before = link.sessions_open
                try:
                    await stack.enter_async_context(link.process("exec cat"))
                except ProblemError as error:
                    if not link.is_up:
                        raise NotAskedError(error.problem.message) from None
                    return before
    except (asyncssh.Error, OSError) as error:
        raise NotAskedError(_reason(error)) from None
    return None


async def login_methods(link: Link, port: int) -> tuple[str, ...]:
    """The ways to log in that a server at `port` of the link's own machine offers to root, before
    any key is shown (RFC 4252, section 5). Raises NotAskedError, also where nothing answers."""
    connection = _open(link)
    try:
        async with asyncio.timeout(SECONDS):
            methods = await asyncssh.get_server_auth_methods(
                "127.0.0.1", port, "root", tunnel=connection, config=None
            )
    except (asyncssh.Error, OSError, ValueError) as error:
        raise NotAskedError(_reason(error)) from None
    return tuple(methods)


def _open(link: Link) -> asyncssh.SSHClientConnection:
    connection = link.current
    if connection is None:
        raise NotAskedError("the link is not up")
    return connection


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:.0f} s"
    if isinstance(error, asyncssh.Error):
        return error.reason or type(error).__name__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
