"""A stable agent socket on the node: one path, for as long as the laptop is there.

sshd gives every connection a socket of its own; a tmux session keeps the path that it was started
with. So `SSH_AUTH_SOCK` in our shells is a symbolic link that each connection turns to its own
socket. A keeper on the same connection hears the laptop's heartbeats. When they end it takes the
link away, or turns it to another connection of this user that is alive, and ends its own sshd, so
that whoever waits for an agent that cannot answer is told at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.hop_script import POINT_AGENT, PRIVATE_DIRECTORY
from gpuhop_tui.ssh.link import Link

HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 7  # a laptop that says nothing for so long is away
AGAIN_SECONDS = 2.0

_log = logging.getLogger(__name__)

# Without timeout(1) only the end of input is noticed. `agents/PID` stands for one keeper each.
_KEEPER = """
own=$SSH_AUTH_SOCK; if [ -S "$own" ] && [ -n "$D" ]; then :; else exit 0; fi;
trap "" HUP PIPE; stable=$D/agent.sock; all=$D/agents; (umask 077; mkdir -p "$all");
alive() { [ -S "$all/$1" ] && kill -0 "$1" 2>/dev/null; };
for c in "$all"/*; do p=${c##*/}; if alive "$p"; then continue; fi; rm -f "$c"; done;
rm -f "$all/$$"; ln -s "$own" "$all/$$"; point "$own"; echo ready;
t=; if command -v timeout >/dev/null 2>&1; then t="timeout $1"; fi;
while l=$($t head -n 1) && [ -n "$l" ]; do
 if [ -S "$stable" ]; then :; else point "$own"; fi; done;
rm -f "$all/$$";
if [ "$(readlink "$stable")" = "$own" ]; then rm -f "$stable";
 for c in "$all"/*; do p=${c##*/}; if alive "$p"; then point "$(readlink "$c")"; break; fi; done;
fi;
p=$PPID; while [ "${p:-0}" -gt 1 ]; do n=; u=; q=;
 while read -r k v w; do case $k in Name:) n=$v;; PPid:) q=$v;; Uid:) u=${v%% *}; break;; esac;
 done </proc/$p/status; [ -n "$n" ] || break;
 case $n in sshd|sshd-session) if [ "$u" = "$(id -u)" ]; then kill "$p"; fi; break;; esac;
 p=$q; done 2>/dev/null;
case $own in /tmp/ssh-*/agent.*|*/.ssh/agent/*) rm -f "$own"; rmdir "${own%/*}";; esac 2>/dev/null
"""


def keeper_command(silence_seconds: int = SILENCE_SECONDS) -> str:
    """Keeps the stable path for as long as lines come on its input; to be run on the connection
    whose agent it is about."""
    script = " ".join((PRIVATE_DIRECTORY + POINT_AGENT + _KEEPER).split("\n")).strip()
    return f"exec {shlex.join(['sh', '-c', script, 'gpuhop', str(silence_seconds)])}"


@asynccontextmanager
async def stable_agent_socket(link: Link) -> AsyncIterator[None]:
    """Keeps the node's stable agent socket on a lending link, across its reconnects."""
    task = asyncio.create_task(_keep(link), name=f"agent socket {link.name}")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep(link: Link) -> None:
    while True:
        connection = await link.connection()
        try:
            async with link.process(keeper_command()) as process:
                await _beat(process)
        except (ProblemError, OSError) as error:
            _log.info("agent socket of %s: %s", link.name, error)
        if link.is_up and await link.connection() is connection:
            await asyncio.sleep(AGAIN_SECONDS)  # it ended by itself: no agent there, or killed


async def _beat(process: object) -> None:
    """Sends a line a second until the keeper has ended."""
    import asyncssh

    assert isinstance(process, asyncssh.SSHClientProcess)
    ended = asyncio.ensure_future(process.wait_closed())
    try:
        while not ended.done():
            process.stdin.write(b"here\n")
            await asyncio.wait([ended], timeout=HEARTBEAT_SECONDS)
    finally:
        ended.cancel()
