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
from gpuhop_tui.sessions.in_container import (
    DEFAULT_SOCKET,
    FIND_ENGINE,
    NO_CLIENT_STATUS,
    InContainer,
)
from gpuhop_tui.sessions.last_lines import (
    LAST_ROWS,
    PANES_A_CALL,
    read_last_lines,
    wanted,
    with_last_line,
)
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.shell import have_end_told
from gpuhop_tui.sessions.tmux import (
    NO_TMUX_STATUS,
    WITHIN_TIME,
    Listing,
    find_script,
    list_formats,
    plain,
    read_found,
    read_listing,
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
        self.left_out = ""
        """Why some, or all, are not among those of the last look; empty: none is known to be."""

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
            self.left_out = f"those in containers may be out of date: {error.problem.message}"
            self._looked_at = time.monotonic()
        return self._sessions

    async def _look(self) -> None:
        if time.monotonic() - self._looked_at >= INTERVAL_SECONDS:
            word = "gh" + secrets.token_hex(8)
            script = containers_script(self._docker_socket, word)
            answer = await self._shell.run(script, timeout=_TIMEOUT)
            self._looked_at = time.monotonic()
            found = list(read_containers(answer.text, self._shell.node, word))
            self.left_out = read_left_out(answer.text, self._shell.node, word)
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
    """Prints what `look_script` prints of each container that has a tmux server; and of those that
    cannot be asked, a head that begins with "-" and says why."""
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
 [ -S "$K" ] || {{ K=; continue; }}
 there=$K; if [ -r "$K" ] && [ -w "$K" ]; then break; fi; K=; done
left() {{ printf "%s\\n" "{word}container:-$1 $there -"; }}
[ -n "$there" ] || {{ left no-engine; exit 0; }}
[ -n "$K" ] || {{ left denied; exit 0; }}
{FIND_ENGINE}
command -v timeout >/dev/null 2>&1 && q="timeout {_CONTAINER_SECONDS}"
run=$(E ps --no-trunc --format "{{{{.ID}}}} {{{{.Names}}}}" 2>/dev/null); case $? in 0) ;;
 {NO_CLIENT_STATUS}) left no-client; exit 0 ;; *) left silent; exit 0 ;; esac
n=0; printf "%s\\n" "$run" | while read -r C name; do
 case " $(echo $ids) " in *" $C "*) ;; *) continue ;; esac
 n=$((n+1)); [ $n -le {MOST} ] || {{ left more; break; }}
 printf "%s\\n" "{word}container:$C $name $K"
 E exec "$C" sh -c {inner} </dev/null 2>/dev/null
done
:
"""


def look_script(word: str) -> str:
    """All at once, where a round trip each would be dear: what `find_script` prints, then, after
    marks of their own, what `list_script` and `last_lines_script` print of every server."""
    panes, clients = list_formats(word)
    found = find_script().replace(f"exit {NO_TMUX_STATUS}", "exit 0")
    facts = "#{pane_id} #{cursor_y} #{pane_dead} #{pane_height}"
    return f"""f=$({found})
[ -n "$f" ] || exit 0
printf "%s\\n" "$f" | head -n 2
s=$(printf "%s\\n" "$f" | tail -n +3 | sort -u)
printf "%s\\n" "$s" "{word}list"
date +%s
t=$(printf "%s\\n" "$f" | head -n 1)
{WITHIN_TIME}n=0
printf "%s\\n" "$s" | while IFS= read -r k; do
 ask "$t" -u -S "$k" list-panes -a -F {panes} ";" list-clients -F {clients} 2>&1
 printf "%s\\n" "{word}S{word}${{n}}{word}$?{word}E"; n=$((n+1)); done
printf "%s\\n" "{word}lines"
printf "%s\\n" "$s" | while IFS= read -r k; do
 ask "$t" -u -S "$k" list-panes -a -F "{facts}" 2>/dev/null | head -n {PANES_A_CALL} |
 while read -r p y d h; do b=$((y-{LAST_ROWS}+1)); [ "$d" = 1 ] && {{ b=-1; y=$((h-1)); }}
  ask "$t" -u -S "$k" capture-pane -p -J -t "$p" -S "$b" -E "$y" 2>/dev/null
  printf "%s\\n" "{word}${{p#%}}"; done
 printf "%s\\n" "{word}socket:$k"; done
"""


def read_containers(output: str, node: str, word: str) -> Iterator[tuple[InContainer, Listing]]:
    """What `containers_script` printed. A container that told nothing usable is left out."""
    for identity, name, socket, said in _sections(output, word):
        found, _, rest = said.partition(f"{word}list\n")
        listed, _, lines = rest.partition(f"{word}lines\n")
        try:
            tmux = read_found(found)
        except ValueError:
            continue
        place = InContainer(identity, name, socket)
        listing = read_listing(listed, node, tmux, word)
        yield place, replace(listing, sessions=tuple(_filled(listing, lines, place, word)))


def read_left_out(output: str, node: str, word: str) -> str:
    """Why sessions in containers are not all there; empty: none is known to be missing."""
    parts, silent = [], []
    for identity, name, _socket, said in _sections(output, word):
        if identity in _LEFT_OUT:
            parts.append(_LEFT_OUT[identity].format(node=node, socket=name))
        elif not said.startswith("/"):  # of tmux there
            silent.append(name)
    if silent:
        parts.append(f"the tmux in {', '.join(silent)} gave no answer")
    return "; ".join(parts)


_LEFT_OUT = {
    "-no-engine": "tmux runs in containers of {node}, and no engine of theirs is found there",
    "-denied": "tmux runs in containers of {node}, and you may not use the engine at {socket}",
    "-no-client": "tmux runs in containers of {node}, and it has neither the docker nor the podman "
    "command to ask there",
    "-silent": "tmux runs in containers of {node}, and the engine at {socket} gives no answer",
    "-more": f"tmux runs in more than {MOST} containers: the others are left out",
}


def _sections(output: str, word: str) -> Iterator[tuple[str, str, str, str]]:
    """Id, name, the engine's socket, and what was said there, of each container."""
    for section in output.split(f"{word}container:")[1:]:
        head, _, said = section.partition("\n")
        identity, _, rest = head.partition(" ")
        names, _, socket = rest.rpartition(" ")
        yield identity, plain(names.split(",")[0]), socket, said


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
