"""Round trips on an open connection: is the far side there, and how far is it?

asyncssh has a keepalive of its own, but tells nobody how long it took, and it has no public call
for one. This is the one place that uses its inside for that; tests fail loudly if it changes.
"""

from __future__ import annotations

import asyncio
import time

import asyncssh

INTERVAL_SECONDS = 2.0
ANSWER_SECONDS = 4.0  # with the interval: a dead peer is found in 6 s or less
AFTER_WAKE_SECONDS = 2.0  # after a sleep the connection is most likely dead


async def round_trip(connection: asyncssh.SSHClientConnection) -> float:
    """Seconds that one `keepalive@openssh.com` global request takes (RFC 4254, section 4).

    Any answer will do, a refusal too. The caller limits the time. Raises ConnectionError where
    the connection is closed.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    await connection._make_global_request(b"keepalive@openssh.com")
    if connection.is_closed():
        raise ConnectionError("the connection is closed")
    return loop.time() - started


def stood_still(asked_at: float, patience: float) -> bool:
    """Whether a wait of `patience` seconds, begun at `asked_at` (monotonic), ended so late that
    this program itself was stopped meanwhile: then a missing answer proves nothing."""
    return time.monotonic() - asked_at > patience + INTERVAL_SECONDS
