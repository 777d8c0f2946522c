"""What runs on the node for a hop: POSIX shell, handed over as one word of the exec request.

Written so that any login shell (csh, fish) passes it on whole: no newline, no exclamation mark, no
backslash before a quote. The attach command says what it found in one OSC sequence before it
becomes the tmux client, so that it costs no round trip of its own.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.sessions.in_container import (
    CHECK,
    FIND_ENGINE,
    InContainer,
    attach_line,
    enter_line,
    one_line,
    within,
)

HISTORY_LINES = 20000  # scrollback of sessions that we make, if the user's tmux.conf asks for less
HEADER_START = b"\x1b]7337;gpuhop;"
HEADER_END = b"\x07"
GO = b"\n"
_HEADER_LIMIT = 4096

# $D: a directory of ours (0700) whose sockets and files belong to this user on this machine only;
# a home may be shared by many nodes.
PRIVATE_DIRECTORY = """
D=; for b in "$XDG_RUNTIME_DIR" "$HOME/.cache" "/tmp/gpuhop-tui-$(id -u)"; do
 case $b in /*) ;; *) continue;; esac;
 d=$b/gpuhop-tui/$(uname -n); [ ${#d} -lt 85 ] || continue;
 (umask 077; mkdir -p "$d") 2>/dev/null || continue;
 if [ -O "$b" ] && [ -O "$d" ] && [ -w "$d" ]; then chmod 700 "$d"; D=$d; break; fi; done;
"""

# Puts this connection's agent socket behind the stable path; rename(2) leaves no moment without.
POINT_AGENT = """
point() { ln -s "$1" "$D/.agent.$$" 2>/dev/null && mv -f "$D/.agent.$$" "$D/agent.sock"; };
"""

_TMUX = """
PATH="$PATH:$HOME/.local/bin:/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"; unset TMUX;
T() { if [ -n "$S" ]; then tmux -S "$S" "$@"; else tmux -L gpuhop "$@"; fi; };
look() { T list-sessions -F "#{session_id} #{session_created} #{session_name}" 2>/dev/null |
 while read -r i c n; do if [ "$n" = "$N" ]; then echo "$i $c"; break; fi; done; };
boot() { read -r B </proc/sys/kernel/random/boot_id; } 2>/dev/null; B=; boot;
"""

# The arguments are those of `attach_command`, in its order. The header is answered by an empty line
# (GO) before tmux starts: tmux discards what is still on its way to the terminal (TCOFLUSH). What
# is typed from then on is tmux's, and neither echoed nor understood by the tty.
_ATTACH = """
S=$1; N=$2; create=$3; old=$4; lend=$5; W=$6; H=$7; dir=$8; rgb=$9; start=${10}; cmd=${11};
run=${12}; limit=${13}; K=${14}; C=${15}; user=${16}; at=${17};
asked=$TERM; known() { infocmp "$1" || tput -T "$1" cols; } >/dev/null 2>&1;
if { command -v infocmp || command -v tput; } >/dev/null 2>&1; then
 for TERM in "$asked" xterm-256color xterm vt100; do if known "$TERM"; then break; fi; done; fi;
export TERM;
agent=none; if [ "$lend" = 1 ]; then agent=refused; if [ -S "$SSH_AUTH_SOCK" ]; then agent=lent;
 if [ -n "$D" ] && point "$SSH_AUTH_SOCK"; then SSH_AUTH_SOCK=$D/agent.sock;
 export SSH_AUTH_SOCK; fi; fi; fi;
id=; made=; new=0; why=; state=; since=;
say() { printf "\\033]7337;gpuhop;%s\\007" "mode=$1;id=$id;created=$made;pid=$$;new=$new;boot=$B;\
term=$TERM;asked=$asked;agent=$agent;state=$state;since=$since;why=$why"; };
plain() { if [ "$create" = 0 ]; then say gone; exit 0; fi; say plain; cd "$dir" 2>/dev/null;
 if [ -n "$cmd" ]; then exec "${SHELL:-/bin/sh}" -c "$cmd"; fi; exec "${SHELL:-/bin/sh}" -l; };
refuse() { say refused; exit 0; };
set -- $(look);
if [ -n "$C" ]; then check "$1"; fi;
if command -v tmux >/dev/null 2>&1; then :; else why="there is no tmux"; plain; fi;
more=; if [ -n "$C" ] && [ -z "$run" ]; then more=$cmd; fi;
if [ -z "$1" ] && [ "$create" = 1 ]; then
 if [ -n "$run" ]; then (umask 077; mkdir -p "$D/run/$run"); start="$start '$D/run/$run'"; fi;
 if grep -qs history-limit "$HOME/.tmux.conf" "$HOME/.config/tmux/tmux.conf" /etc/tmux.conf;
 then set --; else set -- set-option -g history-limit "$limit" ";"; fi;
 why=$(cd "$dir" 2>/dev/null; T start-server ";" "$@" new-session -d -s "$N" -x "$W" -y "$H"
 ${start:+"$start"} ";" set-option -q -t "$N" status off
 ${C:+";" set-option -t "$N" @gpuhop_container "$C"}
 ${more:+";" set-option -t "$N" default-command "$more"} 2>&1 | tr -d "[:cntrl:];" |
 cut -c 1-200); set -- $(look); new=1; fi;
if [ -z "$1" ]; then if [ "$new" = 1 ] && [ -z "$why" ]; then say gone; exit 0; fi; plain; fi;
id=$1; made=$2;
if [ -n "$old" ] && T list-clients -F "#{client_pid}" 2>/dev/null | grep -qx "$old"; then
 kill -HUP "$old" 2>/dev/null; fi;
set --; if [ "$rgb" = 1 ] && tmux -T RGB -V >/dev/null 2>&1; then set -- -T RGB; fi;
stty raw opost -echo; say tmux; read -r go;
if [ -n "$S" ]; then exec tmux -u "$@" -S "$S" attach-session -t "$id"; fi;
exec tmux -u "$@" -L gpuhop attach-session -t "$id"
"""

# Runs a command in its pane and keeps its status and all of its output. The cursor report is a
# fence: tmux answers it only after it has taken in everything that was written before.
_RUN = """
"${SHELL:-/bin/sh}" -c "$1"; s=$?; stty -echo -icanon min 0 time 20; printf "\\033[6n";
dd bs=64 count=1 >/dev/null 2>&1;
tmux capture-pane -p -e -J -S - -t "$TMUX_PANE" >"$2/output" 2>/dev/null;
echo "$s" >"$2/status.new" && mv "$2/status.new" "$2/status"
"""

_FINISH = """
S=$1; N=$2; was=$3; run=$4; K=$5; C=$6; state=; since=; status=;
alive=0; if [ "$(look)" = "$was" ]; then alive=1; fi;
if [ $alive = 0 ] && [ -n "$run" ]; then R=$D/run/$run; read -r status <"$R/status"; fi 2>/dev/null;
if [ $alive = 0 ] && [ -n "$C" ]; then look_in; fi;
printf "gpuhop alive=%s;status=%s;boot=%s;state=%s;since=%s\\n"
 "$alive" "$status" "$B" "$state" "$since";
if [ -n "$status" ]; then cat "$R/output"; rm -r "$R"; fi 2>/dev/null
"""


def attach_command(
    target: HopTarget,
    size: tuple[int, int],
    *,
    create: bool,
    lend: bool,
    old_client: str = "",
    true_colour: bool = False,
) -> str:
    """Becomes a tmux client of the target's session, made first where `create` says so.

    `size` is columns and rows. `old_client` is the pid of the client we had before, which is ended
    so that it holds nobody to its size.
    """
    if target.inside and target.container is not None:
        line = attach_command(
            replace(target, container=None, inside=False),
            size,
            create=create,
            lend=False,
            old_client=old_client,
            true_colour=true_colour,
        )
        return attach_line(target.container, line, target.socket or "")
    place = target.container
    command = target.command or ""
    if place is not None:
        command = enter_line(place, target.command)
    start = "" if place is None else command
    if target.command is not None:
        start = f"exec sh -c {shlex.quote(one_line(_RUN))} gpuhop {shlex.quote(command)}"
    columns, rows = size
    return _shell(
        PRIVATE_DIRECTORY + POINT_AGENT + _TMUX + (FIND_ENGINE + CHECK if place else "") + _ATTACH,
        target.socket or "",
        target.session,
        "1" if create and target.create else "0",
        old_client,
        "1" if lend else "0",
        str(columns),
        str(rows),
        target.directory or "",
        "1" if true_colour else "0",
        start,
        command,
        target.run or "",
        str(HISTORY_LINES),
        *_words(place),
    )


def finish_command(target: HopTarget, header: Header) -> str:
    """Says what is left of the session after its client has ended; see `Finish`."""
    if target.inside and target.container is not None:
        line = finish_command(replace(target, container=None, inside=False), header)
        return within(target.container, line)
    was = f"{header.session_id} {header.created}"
    return _shell(
        PRIVATE_DIRECTORY + _TMUX + (FIND_ENGINE if target.container else "") + _FINISH,
        target.socket or "",
        target.session,
        was,
        target.run or "",
        *_words(target.container)[:2],
    )


def _words(place: InContainer | None) -> list[str]:
    """Socket, id, user, directory."""
    if place is None:
        return ["", "", "", ""]
    return [place.socket, place.id, place.user, place.directory]


def _shell(script: str, *arguments: str) -> str:
    words = ["sh", "-c", one_line(script), "gpuhop", *arguments]
    return f"exec {shlex.join(words)}"


@dataclass(frozen=True, slots=True)
class Header:
    """What the attach command found on the node."""

    mode: str = ""  # tmux | plain | gone | refused
    session_id: str = ""  # tmux's own, such as "$3"
    created: str = ""  # seconds since the epoch, the node's clock
    client_pid: str = ""
    is_new: bool = False  # the session was made by this very hop
    boot: str = ""  # the kernel's boot id; empty where it has none
    term: str = ""  # the TERM in use
    term_asked: str = ""
    agent: str = "none"  # none | lent | refused
    why: str = ""  # what tmux said when it could not make the session, or the engine
    # Of a container: what became of it (`in_container.FIND_ENGINE`; other: the session is not of
    # it; no-shell: no program runs in it, for `why`), and when it was started.
    state: str = ""
    since: str = ""


class HeaderReader:
    """Cuts the header out of what the session writes; everything else passes."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes that are for the terminal."""
        if self.header is not None:
            return data
        data = self._held + data
        self._held = b""
        start = data.find(HEADER_START)
        if start < 0:
            keep = _overlap(data, HEADER_START)
            self._held = data[len(data) - keep :]
            return data[: len(data) - keep]
        end = data.find(HEADER_END, start)
        if end < 0:
            if len(data) - start > _HEADER_LIMIT:
                self.header = Header()
                return data
            self._held = data[start:]
            return data[:start]
        self.header = _parse_header(data[start + len(HEADER_START) : end])
        return data[:start] + data[end + len(HEADER_END) :]


def _overlap(data: bytes, marker: bytes) -> int:
    """How many bytes at the end of `data` may be the beginning of `marker`."""
    for size in range(min(len(marker) - 1, len(data)), 0, -1):
        if data.endswith(marker[:size]):
            return size
    return 0


def _fields(text: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in text.split(";"))


def _parse_header(data: bytes) -> Header:
    found = _fields(data.decode("utf-8", "replace"))
    return Header(
        mode=found.get("mode", ""),
        session_id=found.get("id", ""),
        created=found.get("created", ""),
        client_pid=found.get("pid", ""),
        is_new=found.get("new") == "1",
        boot=found.get("boot", ""),
        term=found.get("term", ""),
        term_asked=found.get("asked", ""),
        agent=found.get("agent", "none"),
        why=found.get("why", ""),
        state=found.get("state", ""),
        since=found.get("since", ""),
    )


@dataclass(frozen=True, slots=True)
class Finish:
    """What is left after the client has ended."""

    alive: bool  # the session is still there
    status: int | None  # of the command, where it was one and has ended
    boot: str
    output: bytes  # all that the command wrote, as tmux held it
    state: str = ""  # of the container, as in `Header`, where the session is not there any more
    since: str = ""


def parse_finish(data: bytes) -> Finish | None:
    """None where the node said nothing of the kind; start-up noise before it is passed over."""
    found = re.search(rb"^gpuhop (alive=.*)$", data, re.MULTILINE)
    if found is None:
        return None
    facts = _fields(found[1].decode("utf-8", "replace").rstrip())
    status = facts.get("status", "")
    return Finish(
        alive=facts.get("alive") == "1",
        status=int(status) if status.isdigit() else None,
        boot=facts.get("boot", ""),
        output=data[found.end() + 1 :],
        state=facts.get("state", ""),
        since=facts.get("since", ""),
    )
