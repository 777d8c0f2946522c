"""What is asked of tmux on a node, and how its answers are read. Pure text in, plain data out.

Works with tmux 1.8 and newer: a format that a version does not know comes back empty, and is None
here. Records are set apart by a random word, so that no name, title or path can look like one.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gpuhop_tui.sessions.model import TmuxClient, TmuxPane, TmuxSession, TmuxWindow

NO_TMUX_STATUS = 69  # EX_UNAVAILABLE of sysexits.h

SERVER_SECONDS = 3  # a server that takes longer hangs, and must not hide the others
CONTROL_TAIL_VERSION = (3, 2)  # read-only,ignore-size,pause-after of attach-session(1)

# Logins that run one command often lack what an interactive shell's start-up files add.
FIND_TMUX = (
    'PATH="$PATH:/usr/local/bin:/usr/bin:/bin:/snap/bin:$HOME/.local/bin:$HOME/bin:'
    '$HOME/miniconda3/bin:$HOME/anaconda3/bin:/home/linuxbrew/.linuxbrew/bin"\n'
    f"t=$(command -v tmux) || exit {NO_TMUX_STATUS}\n"
)
WITHIN_TIME = (
    'command -v timeout >/dev/null 2>&1 || timeout() { shift 3; "$@"; }\n'
    f'ask() {{ timeout -s KILL {SERVER_SECONDS} "$@"; }}\n'
)


@dataclass(frozen=True, slots=True)
class Tmux:
    """tmux as it is found on a node, and the sockets of the user's servers, dead ones included."""

    program: str
    version: str
    sockets: tuple[str, ...]


def version_of(text: str) -> tuple[int, int]:
    """(3, 3) of "tmux 3.3a", "3.3a" or "next-3.3"; a version without number is the newest."""
    found = re.search(r"(\d+)\.(\d+)", text)
    if found is None:
        return (99, 0) if text.strip() else (0, 0)
    if "openbsd" in text:
        return (99, 0) if int(found[1]) >= 7 else (3, 0)  # numbered as OpenBSD is
    return int(found[1]), int(found[2])


def has_control_tail(version: str) -> bool:
    """Whether a server of this version can be watched by a control client that changes nothing."""
    return version_of(version) >= CONTROL_TAIL_VERSION


def plain(text: str) -> str:
    """`text` on one line that cannot steer a terminal: control and format characters are `?`."""
    if text.isprintable():
        return text
    return "".join("?" if unicodedata.category(c)[0] == "C" else c for c in text)


# Finding servers


def find_script() -> str:
    """Prints tmux's program, its version and the user's sockets.

    Sockets are those in tmux's own directory and those named in $TMUX of the user's processes:
    that is how `-S PATH` and another TMUX_TMPDIR are found.
    """
    return (
        FIND_TMUX + 'printf "%s\\n" "$t"; "$t" -V\n'
        "u=$(id -u)\n"
        'usable() { if [ "$u" = 0 ]; then [ -O "$1" ]; else [ -w "$1" ]; fi; }\n'
        'for s in "${TMUX_TMPDIR:-/tmp}/tmux-$u"/*; do printf "%s\\n" "$s"; done |\n'
        'while IFS= read -r s; do [ -S "$s" ] && usable "$s" && printf "%s\\n" "$s"; done\n'
        "grep -sazhE '^TMUX=' /proc/[0-9]*/environ | tr '\\000' '\\n' | sort -u |\n"
        "while IFS= read -r v; do\n"
        "  v=${v#TMUX=}; s=${v%,*}; p=${s##*,}; s=${s%,*}\n"
        '  case $s in /*) ;; *) s=$(readlink "/proc/$p/cwd")/$s ;; esac\n'
        '  [ -S "$s" ] && usable "$s" && printf "%s\\n" "$s"\n'
        "done\n"
        ":\n"
    )


def read_found(output: str) -> Tmux:
    """What `find_script` printed. Raises ValueError where it is something else."""
    lines = output.split("\n")
    if len(lines) < 2 or not lines[0].startswith("/"):
        raise ValueError(output[:200])
    sockets = dict.fromkeys(line for line in lines[2:] if line.startswith("/"))
    return Tmux(lines[0], lines[1].removeprefix("tmux ").strip(), tuple(sockets))


# Listing

_PANE = (
    "session_id", "session_name", "session_created", "pid", "version",
    "window_id", "window_index", "window_name", "window_active", "window_activity",
    "window_width", "window_height",
    "pane_id", "pane_index", "pane_title", "pane_current_command", "pane_current_path",
    "pane_pid", "pane_width", "pane_height", "pane_active", "pane_dead", "pane_dead_status",
    "pane_dead_signal", "alternate_on", "cursor_x", "cursor_y", "history_size",
)  # fmt: skip
_CLIENT = (
    "session_id", "client_name", "client_tty", "client_width", "client_height", "client_readonly",
    "client_control_mode",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Footprint:
    """What changes when a pane prints: whether its last line has to be read again."""

    activity_at: float | None
    history: str
    cursor: tuple[str, str]
    size: tuple[int, int]
    dead: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """What the servers of a node told: their sessions, and for each pane its footprint."""

    now: float  # the node's clock
    sessions: tuple[TmuxSession, ...]
    footprints: dict[tuple[int, str], Footprint]  # by (server's pid, pane's id)
    cursors: dict[tuple[int, str], int]  # the row of the cursor, from the top
    silent: tuple[tuple[str, str], ...] = ()  # (socket, why) of servers that did not answer


def list_script(tmux: Tmux, word: str) -> str:
    """Prints all panes and clients of every server. `word` is random."""
    panes, clients = list_formats(word)
    lines = [WITHIN_TIME, "date +%s\n", f"t={shlex.quote(tmux.program)}\n"]
    for number, socket in enumerate(tmux.sockets):
        lines.append(
            f'ask "$t" -u -S {shlex.quote(socket)} list-panes -a -F {panes}'
            f' ";" list-clients -F {clients} 2>&1\n'
            f'printf "%s\\n" "{word}S{word}{number}{word}$?{word}E"\n'
        )
    return "".join(lines)


def list_formats(word: str) -> tuple[str, str]:
    """How panes and clients are written, as words of a shell."""
    return _format("P", _PANE, word), _format("C", _CLIENT, word)


def _format(kind: str, names: Iterable[str], word: str) -> str:
    return shlex.quote(word + word.join([kind, *(f"#{{{name}}}" for name in names)]) + f"{word}E")


def read_listing(output: str, node: str, tmux: Tmux, word: str) -> Listing:
    """What `list_script` printed. A record that cannot be read is left out."""
    first, _, rest = output.partition("\n")
    reader = _Reader(node, tmux)
    for chunk in rest.split(f"{word}E\n"):
        before, found, record = chunk.partition(word)
        if found:
            kind, *fields = record.split(word)
            reader.take(kind, fields, before)
    return reader.listing(_number(first) or 0.0)


class _Reader:
    """Puts records together: those of a server come before its end."""

    def __init__(self, node: str, tmux: Tmux) -> None:
        self._node = node
        self._tmux = tmux
        self._panes: list[dict[str, str]] = []
        self._clients: list[dict[str, str]] = []
        self._servers: set[int] = set()
        self._sessions: list[TmuxSession] = []
        self._footprints: dict[tuple[int, str], Footprint] = {}
        self._cursors: dict[tuple[int, str], int] = {}
        self._silent: list[tuple[str, str]] = []

    def take(self, kind: str, fields: Sequence[str], before: str) -> None:
        if kind == "P" and len(fields) == len(_PANE):
            self._panes.append(dict(zip(_PANE, fields, strict=True)))
        elif kind == "C" and len(fields) == len(_CLIENT):
            self._clients.append(dict(zip(_CLIENT, fields, strict=True)))
        elif kind == "S" and len(fields) == 2:
            number, status = _whole(fields[0]), _whole(fields[1])
            if number is not None and number < len(self._tmux.sockets):
                self._end(self._tmux.sockets[number], status, before)
            self._panes, self._clients = [], []

    def listing(self, now: float) -> Listing:
        sessions = sorted(self._sessions, key=lambda s: (s.created_at, s.socket, s.id))
        return Listing(now, tuple(sessions), self._footprints, self._cursors, tuple(self._silent))

    def _end(self, socket: str, status: int | None, said: str) -> None:
        pid = _whole(self._panes[0]["pid"]) if self._panes else None
        if pid is None:
            if (why := _silence(status, said)) is not None:
                self._silent.append((socket, why))
            return
        if pid in self._servers:
            return  # the same server by another path
        self._servers.add(pid)
        clients: dict[str, list[TmuxClient]] = {}
        for record in self._clients:
            clients.setdefault(record["session_id"], []).append(_client(record))
        for records in _grouped(self._panes, "session_id"):
            session = self._session(socket, pid, records)
            known = tuple(clients.get(session.id, ()))
            self._sessions.append(replace(session, clients=known))

    def _session(self, socket: str, pid: int, records: list[dict[str, str]]) -> TmuxSession:
        first = records[0]
        return TmuxSession(
            node=self._node,
            socket=socket,
            server_pid=pid,
            version=plain(first["version"] or self._tmux.version),
            id=first["session_id"],
            name=plain(first["session_name"]),
            created_at=_number(first["session_created"]) or 0.0,
            windows=tuple(self._window(pid, group) for group in _grouped(records, "window_index")),
        )

    def _window(self, pid: int, records: list[dict[str, str]]) -> TmuxWindow:
        first = records[0]
        for record in records:
            self._remember(pid, record)
        return TmuxWindow(
            id=first["window_id"],
            index=_whole(first["window_index"]) or 0,
            name=plain(first["window_name"]),
            active=first["window_active"] == "1",
            activity_at=_number(first["window_activity"]),
            columns=_whole(first["window_width"]) or 0,
            rows=_whole(first["window_height"]) or 0,
            panes=tuple(map(_pane, records)),
        )

    def _remember(self, pid: int, record: dict[str, str]) -> None:
        pane = _pane(record)
        key = (pid, pane.id)
        self._cursors[key] = _whole(record["cursor_y"]) or 0
        self._footprints[key] = Footprint(
            _number(record["window_activity"]),
            record["history_size"],
            (record["cursor_x"], record["cursor_y"]),
            (pane.columns, pane.rows),
            pane.dead,
        )


def _pane(record: dict[str, str]) -> TmuxPane:
    return TmuxPane(
        id=record["pane_id"],
        index=_whole(record["pane_index"]) or 0,
        title=plain(record["pane_title"]),
        command=plain(record["pane_current_command"]),
        cwd=plain(record["pane_current_path"]),
        pid=_whole(record["pane_pid"]),
        columns=_whole(record["pane_width"]) or 0,
        rows=_whole(record["pane_height"]) or 0,
        active=record["pane_active"] == "1",
        dead=record["pane_dead"] == "1",
        exit_status=_whole(record["pane_dead_status"]),
        exit_signal=_whole(record["pane_dead_signal"]),
        alternate=record["alternate_on"] == "1",
    )


def _client(record: dict[str, str]) -> TmuxClient:
    return TmuxClient(
        name=plain(record["client_name"] or record["client_tty"]),
        columns=_whole(record["client_width"]) or 0,
        rows=_whole(record["client_height"]) or 0,
        read_only=record["client_readonly"] == "1",
        control=record["client_control_mode"] == "1",
    )


def _grouped(records: list[dict[str, str]], name: str) -> Iterator[list[dict[str, str]]]:
    groups: dict[str, list[dict[str, str]]] = {}
    for record in records:
        groups.setdefault(record[name], []).append(record)
    yield from groups.values()


_NOBODY = (
    "no server running",
    "error connecting",
    "failed to connect",
    "no such file",
    "connection refused",
    "access not allowed",
    "no sessions",
    "no current",
    "lost server",
    "server exited",
)


def _silence(status: int | None, said: str) -> str | None:
    """Why a server told nothing, or None where there is no server (any more)."""
    if status == 137:
        return f"the tmux server did not answer within {SERVER_SECONDS} s"
    said = plain(" ".join(said.split()))[:200]
    if status == 0 or any(words in said.lower() for words in _NOBODY):
        return None
    return said or f"tmux ended with {status}"


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _whole(text: str) -> int | None:
    number = _number(text)
    return None if number is None else int(number)
