"""Being in a container of a node: what runs there to get in by `docker exec`, or by podman's.

POSIX shell, with the same limits as that of `hop_script`. The engine is named by its socket, so
that it is the one whose containers were listed, whatever the login's own DOCKER_HOST says.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields
from typing import Any

DEFAULT_SOCKET = "/var/run/docker.sock"
NO_CLIENT_STATUS = 69  # EX_UNAVAILABLE of sysexits.h
LOOK_SECONDS = 8  # for the engine's answer

# docker(1) detaches at these: by default at ctrl+p ctrl+q, and so keeps each ctrl+p until the next
# key. A rare key, four times: nobody types that by accident, and leaves a process in there.
_DETACH_KEYS = "ctrl-^,ctrl-@,ctrl-^,ctrl-@"


@dataclass(frozen=True, slots=True)
class InContainer:
    """A container, by its id: another one that gets its name later is not meant."""

    id: str
    name: str
    socket: str = DEFAULT_SOCKET  # the engine's, on the node
    user: str = ""  # NAME or UID[:GID]; "": the container's own
    directory: str = ""  # "": the container's own

    @property
    def session(self) -> str:
        """The name of the node's tmux session that keeps a shell in it: stable, and one for each
        user and directory."""
        words = [self.name, self.id[:8], self.user, self.directory.strip("/")]
        return re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(filter(None, words)))

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


# $K: the engine's socket. E runs its command line; look_in says what became of the container $C in
# $state: a state of the engine's, or missing, denied, no-client, silent; $fault is what was said.
FIND_ENGINE = f"""
PATH="$PATH:/usr/local/bin:/usr/bin:/bin:/snap/bin"; unset DOCKER_CONTEXT DOCKER_TLS_VERIFY;
q=; E() {{ $q docker -H "unix://$K" "$@"; }};
if command -v docker >/dev/null 2>&1; then :; elif command -v podman >/dev/null 2>&1; then
 E() {{ $q podman --remote --url "unix://$K" "$@"; }}; else
 E() {{ echo "neither docker nor podman is on $(uname -n)" >&2; return {NO_CLIENT_STATUS}; }}; fi;
short() {{ tr -s "[:space:]" " " | tr -d "[:cntrl:];" | cut -c 1-200; }};
inspect() {{ if command -v timeout >/dev/null 2>&1; then q="timeout {LOOK_SECONDS}"; fi;
 E container inspect -f "{{{{.State.Status}}}} {{{{.State.StartedAt}}}}" "$C"; }};
look_in() {{ state=; since=; fault=; said=$(inspect 2>/dev/null); case $? in
 0) state=${{said%% *}}; since=$(echo "${{said#* }}" | tr -d " ;"); return;;
 {NO_CLIENT_STATUS}) state=no-client; return;; 124) state=silent; return;; esac;
 fault=$(inspect 2>&1 | short); case $fault in
 *[Nn]"o such container"*|*"no container with"*) state=missing;;
 *"permission denied"*) state=denied;; *) state=silent;; esac; }};
"""

# Before a session is attached, whose id is $1 where it is there; for `hop_script`. The engine is
# not asked again when a lost session is taken up.
CHECK = """
check() { if [ "$create" = 1 ] || [ -z "$old" ]; then
 look_in; why=$fault; if [ "$state" = running ]; then :; else refuse; fi; fi;
 if [ -n "$1" ]; then
 if [ "$(T show-options -qv -t "$1" @gpuhop_container 2>/dev/null)" = "$C" ]; then :; else
 state=other; refuse; fi;
 elif [ "$create" = 1 ]; then
 if why=$(E exec ${user:+-u "$user"} ${at:+-w "$at"} "$C" sh -c : 2>&1); then why=; else
 state=no-shell; why=$(echo "$why" | short); refuse; fi; fi; };
"""

# The docker exec of a pane. Where the container ends, its end is waited for: the shell is gone a
# moment before the engine says so.
_ENTER = """
K=$1; C=$2; user=$3; dir=$4; inside=$5; cmd=$6;
E exec -it --detach-keys "$7" -e TERM="$TERM" ${COLORTERM:+-e COLORTERM="$COLORTERM"}
 ${user:+-u "$user"} ${dir:+-w "$dir"} "$C" sh -c "$inside" gpuhop "$cmd"; s=$?;
n=0; while [ $s = 137 ] && [ $n -lt 10 ]; do look_in; [ "$state" = running ] || break;
 n=$((n+1)); sleep 0.1; done; exit $s
"""

# In the container. No login shell: /etc/profile would replace the PATH that the image has set.
_INSIDE = """
SHELL=$(command -v bash || command -v sh); export SHELL;
if n=$(id -un 2>/dev/null); then USER=$n; LOGNAME=$n; export USER LOGNAME; fi;
known() { infocmp "$1" || tput -T "$1" cols; } >/dev/null 2>&1; asked=$TERM;
if { command -v infocmp || command -v tput; } >/dev/null 2>&1; then
 for TERM in "$asked" screen-256color screen xterm-256color xterm vt100; do
 if known "$TERM"; then break; fi; done; export TERM; fi;
if [ -n "$1" ]; then exec "$SHELL" -c "$1"; fi; exec "$SHELL"
"""

# Becomes, on a terminal, what the line $4 becomes in the container: a client of a tmux server that
# is in there. Where the way here is lost, docker exec ends and leaves that client attached: it is
# found by a word in its environment, and ended. What is refused is said as `hop_script` does.
_ATTACH = """
K=$1; C=$2; user=$3; inner=$4; socket=$5;
look_in; if [ "$state" = running ]; then :; else
 printf "\\033]7337;gpuhop;mode=refused;state=%s;why=%s\\007" "$state" "$fault"; exit 0; fi;
trap : HUP; word=gpuhop-$$-$(date +%s);
E exec -it --detach-keys "$6" -e TERM="$TERM" ${COLORTERM:+-e COLORTERM="$COLORTERM"}
 -e GPUHOP_HOP="$word" ${user:+-u "$user"} "$C" sh -c "$inner"; s=$?;
E exec ${user:+-u "$user"} "$C" sh -c "$7" gpuhop "$word" "$socket" >/dev/null 2>&1; exit $s
"""

_END_CLIENT = """
for p in $(tmux -S "$2" list-clients -F "#{client_pid}"); do
 if grep -q "GPUHOP_HOP=$1" "/proc/$p/environ"; then kill -HUP "$p"; fi; done
"""

_FINISH = """
K=$1; C=$2; user=$3; E exec ${user:+-u "$user"} "$C" sh -c "$4"
"""

_PIPED = """
K=$1; C=$2; user=$3; dir=$4; inside=$5; cmd=$6;
E exec -i ${user:+-u "$user"} ${dir:+-w "$dir"} "$C" sh -c "$inside" gpuhop "$cmd"
"""


def one_line(script: str) -> str:
    """A script as one line, for login shells that take no newline within quotes."""
    return " ".join(script.split("\n")).strip()


def enter_line(place: InContainer, command: str | None = None) -> str:
    """A line for a shell on the node, on a terminal: the container's shell, or a command in it."""
    words = ["sh", "-c", one_line(FIND_ENGINE + _ENTER), "gpuhop", *_arguments(place, command)]
    return f"exec {shlex.join([*words, _DETACH_KEYS])}"


def attach_line(place: InContainer, line: str, socket: str) -> str:
    """A line for a shell on the node, on a terminal, that becomes what `line` becomes in the
    container: a client of the tmux server at `socket` there."""
    script, end = one_line(FIND_ENGINE + _ATTACH), one_line(_END_CLIENT)
    words = ["sh", "-c", script, "gpuhop", place.socket, place.id, place.user, line, socket]
    return f"exec {shlex.join([*words, _DETACH_KEYS, end])}"


def within(place: InContainer, line: str) -> str:
    """A line for a shell on the node that runs `line` in the container, without a terminal."""
    script = one_line(FIND_ENGINE + _FINISH)
    words = ["sh", "-c", script, "gpuhop", place.socket, place.id, place.user, line]
    return f"exec {shlex.join(words)}"


def piped_line(place: InContainer, command: str) -> str:
    """The same without a terminal: the command has the streams and the exit status."""
    words = ["sh", "-c", one_line(FIND_ENGINE + _PIPED), "gpuhop", *_arguments(place, command)]
    return f"exec {shlex.join(words)}"


def _arguments(place: InContainer, command: str | None) -> list[str]:
    inside = one_line(_INSIDE)
    return [place.socket, place.id, place.user, place.directory, inside, command or ""]
