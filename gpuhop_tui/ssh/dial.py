"""A TCP connection that is there soon after the network is.

The kernel repeats a lost SYN after 1, 3, 7, 15 s: on a network that comes back, one attempt alone
would sit out the longest pause. So another attempt is begun every half second, and the first that
answers wins. A network that answers, if only with a refusal, sees a single attempt. Each attempt
begins with another of the name's addresses, so that a broken IPv6 delays nobody (RFC 8305).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from gpuhop_tui.config.hops import AddressFamily

AGAIN_SECONDS = 0.5
AT_ONCE = 5  # attempts under way; a round trip may take up to 2 s


_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}

_Found = tuple[int, int, int, str, Any]  # of getaddrinfo


async def dial(
    host: str, port: int, family: AddressFamily = "any", local: str | None = None
) -> socket.socket:
    """A connected, non-blocking socket. The caller limits the time. Raises OSError.

    family, local: AddressFamily and BindAddress of ssh_config(5).
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=_FAMILIES[family], type=socket.SOCK_STREAM)
    sources = await _sources(local, family) if local is not None else None
    addresses = deque(found)
    under_way: deque[asyncio.Task[socket.socket]] = deque()
    try:
        while True:
            if len(under_way) == AT_ONCE:
                _drop(under_way.popleft())
            under_way.append(asyncio.ensure_future(_connect(tuple(addresses), sources)))
            addresses.rotate(-1)
            done, _ = await asyncio.wait(
                under_way, timeout=AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                winner = min(done, key=lambda task: task.exception() is not None)
                under_way.remove(winner)
                return winner.result()
    finally:
        for task in under_way:
            _drop(task)


async def _sources(local: str, family: AddressFamily) -> dict[int, Any]:
    """The local addresses that `local` stands for, one a family. Raises OSError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            local, 0, family=_FAMILIES[family], type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise _not_here(local, error) from None
    return {family: address for family, *_rest, address in reversed(found)}


def _not_here(local: str, error: OSError) -> OSError:
    return OSError(error.errno, f"BindAddress {local}: {error.strerror}")


async def _connect(found: Sequence[_Found], sources: dict[int, Any] | None) -> socket.socket:
    """Tries the addresses one after the other, as connect(2) users do, from `sources` if any."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("no address")
    for family, kind, protocol, _name, address in found:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            sock.setblocking(False)
            if sources is not None:
                _bind(sock, sources)
            await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
    raise failure


def _bind(sock: socket.socket, sources: dict[int, Any]) -> None:
    source = sources.get(sock.family)
    if source is None:
        raise OSError(errno.EADDRNOTAVAIL, "BindAddress has no address of that family")
    try:
        sock.bind(source)
    except OSError as error:
        raise _not_here(str(source[0]), error) from None


def _drop(task: asyncio.Task[socket.socket]) -> None:
    """Ends an attempt, and closes its socket should it have won after all."""

    def close(ended: asyncio.Task[socket.socket]) -> None:
        with contextlib.suppress(asyncio.CancelledError, OSError):
            ended.result().close()

    task.cancel()
    task.add_done_callback(close)
