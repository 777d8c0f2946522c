"""A stable agent socket on the node: one path, for as long as the laptop is there.

sshd gives every connection a socket of its own; a tmux session keeps the path that it was started
with. So `SSH_AUTH_SOCK` in our shells is a symbolic link that each connection turns to its own
socket. A keeper on the same connection hears the laptop's heartbeats. When they end it takes the
link away, or turns it to another connection of this user that is alive, and ends its own sshd, so
that whoever waits for an agent that cannot answer is told at once.

Containers that shall have the agent have a directory mounted (see `ssh.container_agent`). Where it
is there, the connection has sshd listen in it, too, and the keeper keeps a link to that as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.hop_script import POINT_AGENT, PRIVATE_DIRECTORY
from gpuhop_tui.sessions.in_container import one_line
from gpuhop_tui.ssh.container_agent import DIRECTORY
from gpuhop_tui.ssh.link import Link

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection, SSHClientProcess, SSHListener

HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 7  # a laptop that says nothing for so long is away
AGAIN_SECONDS = 2.0
LONGEST_PATH = 103  # of a socket, unix(4) on macOS; Linux has 107

_log = logging.getLogger(__name__)

# Without timeout(1) only the end of input is noticed. `agents/PID` stands for one keeper each, and
# $M/agent.PID is what its connection has sshd listen at for containers: there the link is relative,
# as it is followed inside them.
_KEEPER = """
own=$SSH_AUTH_SOCK; if [ -S "$own" ] && [ -n "$D" ]; then :; else exit 0; fi;
trap "" HUP PIPE; stable=$D/agent.sock; all=$D/agents; (umask 077; mkdir -p "$all");
alive() { [ -S "$all/$1" ] && kill -0 "$1" 2>/dev/null; };
for c in "$all"/*; do p=${c##*/}; if alive "$p"; then continue; fi; rm -f "$c"; done;
rm -f "$all/$$"; ln -s "$own" "$all/$$"; point "$own"; echo ready;
for c in "$M"/agent.*; do p=${c##*.}; if [ "$p" = sock ] || alive "$p"; then :; else
 rm -f "$c"; fi; done; inside=; mine=agent.$$;
turn() { chmod 666 "$M/$1" && ln -s "$1" "$M/.$mine" && mv -f "$M/.$mine" "$M/agent.sock"; }
 2>/dev/null;
mounted() { if [ -z "$inside" ]; then if [ -d "$M" ] && [ -O "$M" ]; then inside=1;
 rm -f "$M/$mine"; echo "inside $M/$mine"; fi;
 elif [ -S "$M/$mine" ]; then p=$(readlink "$M/agent.sock");
 if alive "${p#agent.}"; then :; else turn "$mine"; fi; fi; };
mounted;
t=; if command -v timeout >/dev/null 2>&1; then t="timeout $1"; fi;
while l=$($t head -n 1) && [ -n "$l" ]; do
 if [ -S "$stable" ]; then :; else point "$own"; fi;
 if [ "$l" = listening ]; then turn "$mine"; else mounted; fi; done;
rm -f "$all/$$" "$M/$mine" 2>/dev/null;
if [ "$(readlink "$M/agent.sock")" = "$mine" ]; then rm -f "$M/agent.sock";
 for c in "$all"/*; do p=${c##*/};
 if alive "$p" && [ -S "$M/agent.$p" ]; then turn "agent.$p"; break; fi; done; fi;
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
    script = one_line(PRIVATE_DIRECTORY + POINT_AGENT + DIRECTORY + _KEEPER)
    return f"exec {shlex.join(['sh', '-c', script, 'gpuhop', str(silence_seconds)])}"


@asynccontextmanager
async def stable_agent_socket(
    link: Link, refused: Callable[[str], None] = lambda _why: None
) -> AsyncIterator[None]:
    """Keeps the node's stable agent socket on a lending link, across its reconnects. `refused` is
    told why containers do not get theirs, where that is so."""
    task = asyncio.create_task(_keep(link, refused), name=f"agent socket {link.name}")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep(link: Link, refused: Callable[[str], None]) -> None:
    while True:
        connection = await link.connection()
        try:
            async with link.process(keeper_command()) as process:
                await _Keeper(link, connection, process, refused).run()
        except (ProblemError, OSError) as error:
            _log.info("agent socket of %s: %s", link.name, error)
        if link.is_up and await link.connection() is connection:
            await asyncio.sleep(AGAIN_SECONDS)  # it ended by itself: no agent there, or killed


class _Keeper:
    """The laptop's end of one keeper."""

    def __init__(
        self,
        link: Link,
        connection: SSHClientConnection,
        process: SSHClientProcess[bytes],
        refused: Callable[[str], None],
    ) -> None:
        self._link, self._connection, self._process = link, connection, process
        self._refused = refused
        self._listener: SSHListener | None = None

    async def run(self) -> None:
        """Sends a line a second until the keeper has ended, and listens where it says."""
        ended = asyncio.ensure_future(self._process.wait_closed())
        reader = asyncio.ensure_future(self._read())
        try:
            while not ended.done():
                self._process.stdin.write(b"here\n")
                await asyncio.wait([ended], timeout=HEARTBEAT_SECONDS)
        finally:
            ended.cancel()
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, ProblemError):
                await reader
            if self._listener is not None:
                self._listener.close()

    async def _read(self) -> None:
        while line := await self._process.stdout.readline():
            word, _, path = line.decode(errors="replace").strip().partition(" ")
            if word == "inside" and path.startswith("/") and self._listener is None:
                await self._listen(path)

    async def _listen(self, path: str) -> None:
        """Has sshd listen there (streamlocal-forward@openssh.com, OpenSSH PROTOCOL section 2.4)."""
        import asyncssh

        lent = self._link.lent_socket
        if lent is None:
            return None
        if len(path.encode()) > LONGEST_PATH:
            return self._refuse(f"{path} is too long for a socket")
        try:
            self._listener = await self._connection.forward_remote_path(path, lent)
        except asyncssh.ChannelListenError:
            return self._refuse("its sshd does not forward sockets (AllowStreamLocalForwarding)")
        except (asyncssh.Error, OSError) as error:
            _log.info("agent for containers of %s: %s", self._link.name, error)
            return None
        self._process.stdin.write(b"listening\n")
        return None

    def _refuse(self, why: str) -> None:
        words = f"no agent in containers of {self._link.name}: {why}"
        self._link.note(words)
        self._refused(words)
