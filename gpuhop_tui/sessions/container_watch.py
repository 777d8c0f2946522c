"""The tmux sessions in a node's containers: one round trip for all of them.

Which containers have a tmux server is seen on the node itself, by the names and cgroups of its
processes (proc(5)): a container without one costs nothing. Only the others are asked, by
`docker exec`, as their own user.
"""

from __future__ import annotations

import logging
import secrets
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.container_shell import ContainerShell, Shell
from gpuhop_tui.sessions.in_container import DEFAULT_SOCKET, FIND_ENGINE, InContainer
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.shell import have_end_told
from gpuhop_tui.sessions.tmux import (
    Listing,
    look_script,
    plain,
    read_found,
    read_last_lines,
    read_listing,
    wanted,
    with_last_line,
)

INTERVAL_SECONDS = 4.0  # between two looks: each costs the node a `docker exec` a container
MOST = 16  # containers asked at once
_CONTAINER_SECONDS = 4  # a container that takes longer is left out
_TIMEOUT = 30.0

_log = logging.getLogger(__name__)


class ContainerSessions:
    """Those of one node; `look` reads them where the last look is old enough."""

    def __init__(self, shell: Shell, docker_socket: str = DEFAULT_SOCKET) -> None:
        self._shell = shell
        self._docker_socket = docker_socket
        self._looked_at = -INTERVAL_SECONDS  # monotonic
        self._sessions: tuple[TmuxSession, ...] = ()

    def look_soon(self) -> None:
        """Has the next `look` really look."""
        self._looked_at = -INTERVAL_SECONDS

    async def look(self) -> tuple[TmuxSession, ...]:
        """All of them, the oldest first; those of the last look where this one fails, so that an
        engine that hangs hides no session of the node."""
        try:
            await self._look()
        except ProblemError as error:
            _log.info("sessions in containers of %s: %s", self._shell.node, error)
            self._looked_at = time.monotonic()
        return self._sessions

    async def _look(self) -> None:
        if time.monotonic() - self._looked_at >= INTERVAL_SECONDS:
            word = "gh" + secrets.token_hex(8)
            script = containers_script(self._docker_socket, word)
            answer = await self._shell.run(script, timeout=_TIMEOUT)
            self._looked_at = time.monotonic()
            found = list(read_containers(answer.text, self._shell.node, word))
            for place, listing in found:
                await self._have_ends_told(place, listing)
            sessions = (session for _, listing in found for session in listing.sessions)
            self._sessions = tuple(
                sorted(sessions, key=lambda s: (s.created_at, s.container or "", s.id))
            )

    async def _have_ends_told(self, place: InContainer, listing: Listing) -> None:
        servers = {
            session.server_pid
            for session in listing.sessions
            for pane in session.panes
            if pane.dead and pane.exit_status is None and pane.exit_signal is None
        }
        if servers:
            await have_end_told(ContainerShell(self._shell, place), *servers)


def containers_script(docker_socket: str, word: str) -> str:
    """Prints what `look_script` prints of each container that has a tmux server."""
    others = ""
    if docker_socket == DEFAULT_SOCKET:
        others = (
            '"/run/user/$u/docker.sock" "$HOME/.docker/run/docker.sock" '
            '"/run/user/$u/podman/podman.sock" /run/podman/podman.sock'
        )
    inner = shlex.quote(look_script(word))
    return f"""u=$(id -u)
ids=$(grep -ls "^tmux: server" /proc/[0-9]*/comm | while read -r f; do
 grep -oE "[0-9a-f]{{64}}" "${{f%comm}}cgroup" | tail -n 1; done 2>/dev/null | sort -u)
[ -n "$ids" ] || exit 0
for K in {shlex.quote(docker_socket)} {others}; do
 if [ -S "$K" ] && [ -r "$K" ] && [ -w "$K" ]; then break; fi; K=; done
[ -n "$K" ] || exit 0
{FIND_ENGINE}
command -v timeout >/dev/null 2>&1 && q="timeout {_CONTAINER_SECONDS}"
n=0; E ps --no-trunc --format "{{{{.ID}}}} {{{{.Names}}}}" 2>/dev/null | while read -r C name; do
 case " $(echo $ids) " in *" $C "*) ;; *) continue ;; esac
 n=$((n+1)); [ $n -le {MOST} ] || break
 printf "%s\\n" "{word}container:$C $name $K"
 E exec "$C" sh -c {inner} </dev/null 2>/dev/null
done
:
"""


def read_containers(output: str, node: str, word: str) -> Iterator[tuple[InContainer, Listing]]:
    """What `containers_script` printed. A container that told nothing usable is left out."""
    for section in output.split(f"{word}container:")[1:]:
        head, _, said = section.partition("\n")
        identity, _, rest = head.partition(" ")
        name, _, socket = rest.rpartition(" ")
        found, _, rest = said.partition(f"{word}list\n")
        listed, _, lines = rest.partition(f"{word}lines\n")
        try:
            tmux = read_found(found)
        except ValueError:
            continue
        place = InContainer(identity, plain(name.split(",")[0]), socket)
        listing = read_listing(listed, node, tmux, word)
        yield place, replace(listing, sessions=tuple(_filled(listing, lines, place, word)))


def _filled(listing: Listing, lines: str, place: InContainer, word: str) -> Iterator[TmuxSession]:
    """The sessions with their container and the last lines of their panes."""
    panes = [wanted(session, pane, 0) for session in listing.sessions for pane in session.panes]
    last = read_last_lines(lines, panes, word)
    for session in listing.sessions:
        windows = (
            replace(
                window,
                panes=tuple(
                    with_last_line(pane, last.get((session.socket, pane.id)))
                    for pane in window.panes
                ),
            )
            for window in session.windows
        )
        yield replace(session, place=place, windows=tuple(windows))
