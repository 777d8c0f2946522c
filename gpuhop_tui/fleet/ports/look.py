"""What listens on a node: one script for its shell, and what it prints, read.

The sources are proc_pid_net(5) (`/proc/net/tcp`, and that of one process of each container),
`/proc/PID/fd` of the user's own processes, `/proc/PID/cmdline` of servers that are known by name,
and the runtime files of Jupyter (`jpserver-PID.json`), which only their owner can read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

RUNTIME_DIRECTORY = "${JUPYTER_RUNTIME_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/jupyter/runtime}"
_SEPARATOR = "\x01"  # between the words of a command line, on its way
_LONGEST = 4000  # bytes of a command line or a runtime file
_MOST = 300  # processes

# Only a first choice, which must not find itself.
_SERVERS = (
    "[j]upyter|[t]ensorboard|[s]erver-main|[c]ode.tunnel|[c]ode-server|[o]penvscode|"
    "[r]ay.dashboard|[m]lflow|[w]andb|[s]treamlit|[g]radio|[v]llm|[o]llama|[h]ttp.server"
)

JUPYTER_FILES = rf"""for f in "{RUNTIME_DIRECTORY}"/jpserver-*.json \
 "{RUNTIME_DIRECTORY}"/nbserver-*.json; do
 [ -r "$f" ] && {{ printf "jupyter "; head -c {_LONGEST} "$f" | tr "\n" " "; echo; }}
done
"""

SCRIPT = rf"""LC_ALL=C; export LC_ALL
command -v awk >/dev/null || {{ echo "lacks awk"; exit 0; }}
[ -r /proc/self/net/tcp ] || {{ echo "lacks /proc/net/tcp"; exit 0; }}
echo "uid $(id -u)"
echo "name $(id -u) $(id -un)"
listening() {{
 cat "$1/tcp" "$1/tcp6" 2>/dev/null |
  awk -v n="$2" '$4 == "0A" {{ print "listen", n, $2, $8, $10 }}'
}}
inside=$(grep -oE '[0-9a-f]{{64}}' /proc/[0-9]*/cgroup /dev/null 2>/dev/null |
 awk -F'[/:]' '!seen[$3]++ {{ print $3, $5 }}')
all=$(listening /proc/self/net -
 echo "$inside" | awk 'NF && !seen[$2]++' | while read -r p id; do
  listening "/proc/$p/net" "$id"
  awk -v n="$id" '/32 host/ && a !~ /^127/ && !seen[a]++ {{ print "address", n, a }} {{ a = $2 }}' \
   "/proc/$p/net/fib_trie" 2>/dev/null
 done)
echo "$all"
held=$({{ echo "$all"; ls -l /proc/[0-9]*/fd 2>/dev/null; }} | awk '
 $1 == "listen" {{ wanted[$5] = 1; next }}
 /^\/proc\// {{ split($0, part, "/"); pid = part[3]; next }}
 /socket:\[/ {{ gsub(/[^0-9]/, "", $NF); if ($NF in wanted) print "holds", pid, $NF }}')
echo "$held"
servers=$(grep -lE '{_SERVERS}' /proc/[0-9]*/cmdline 2>/dev/null |
 awk -F/ '{{ print "server", $3 }}')
printf '%s\n%s\n%s\n' "$inside" "$held" "$servers" | awk '
 $1 == "holds" || $1 == "server" {{ if (!seen[$2]++) print $2, ($2 in id) ? id[$2] : "-"; next }}
 NF == 2 {{ id[$1] = $2 }}' | head -n {_MOST} | while read -r p id; do
 u=$(awk '/^Uid:/ {{ print $3 }}' "/proc/$p/status" 2>/dev/null) || continue
 printf "process %s %s %s " "$p" "${{u:--}}" "$id"
 head -c {_LONGEST} "/proc/$p/cmdline" 2>/dev/null | tr '\0\n' '\001 '
 echo
done
echo "$all" | awk '$1 == "listen" && !seen[$4]++ {{ print $4 }}' | head -n 40 | while read -r u; do
 n=$(id -nu "$u" 2>/dev/null) && echo "name $u $n"
done
{JUPYTER_FILES}exit 0
"""


@dataclass(frozen=True, slots=True)
class Socket:
    """One listening socket. `container`: the id of the one it was seen in; "": on the node."""

    container: str
    address: IPv4Address | IPv6Address
    port: int
    uid: int
    inode: int


@dataclass(frozen=True, slots=True)
class Process:
    """One process that listens, or that is a server known by name."""

    pid: int
    uid: int | None
    container: str  # its id; "": none
    words: tuple[str, ...] = field(repr=False)  # they may hold a token


@dataclass(frozen=True, slots=True)
class Jupyter:
    """One of Jupyter's runtime files."""

    port: int
    pid: int | None
    base: str
    token: str = field(repr=False)
    https: bool = False


@dataclass(slots=True)
class Seen:
    """All that a look found."""

    uid: int | None = None
    names: dict[int, str] = field(default_factory=dict)  # of users, by uid
    sockets: list[Socket] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)  # of containers, by id
    holders: dict[int, int] = field(default_factory=dict)  # pids, by inode
    processes: dict[int, Process] = field(default_factory=dict)
    jupyters: list[Jupyter] = field(default_factory=list)
    lacks: str = ""  # what the node lacks, so that nothing could be told


def read(text: str) -> Seen:
    """What the script printed. Lines that are not as they should be are left out."""
    seen = Seen()
    for line in text.split("\n"):
        kind, _, rest = line.partition(" ")
        try:
            _read_line(seen, kind, rest)
        except ValueError:
            continue
    return seen


def _read_line(seen: Seen, kind: str, rest: str) -> None:
    if kind == "listen":
        container, place, uid, inode = rest.split()
        address, port = read_place(place)
        container = "" if container == "-" else container
        seen.sockets.append(Socket(container, address, port, int(uid), int(inode)))
    elif kind == "holds":
        holder, _, inode_word = rest.partition(" ")
        seen.holders.setdefault(int(inode_word), int(holder))
    elif kind == "process":
        pid_word, uid, container, words = rest.split(" ", 3)
        pid = int(pid_word)
        split = tuple(word for word in words.split(_SEPARATOR) if word)
        seen.processes[pid] = Process(
            pid,
            int(uid) if uid.isdecimal() else None,
            "" if container == "-" else container,
            split,
        )
    elif kind == "address":
        container, own = rest.split()
        seen.addresses.setdefault(container, str(IPv4Address(own)))
    elif kind == "name":
        number, name = rest.split()
        seen.names[int(number)] = name
    elif kind == "uid":
        seen.uid = int(rest)
    elif kind == "jupyter":
        seen.jupyters.append(read_runtime_file(rest))
    elif kind == "lacks":
        seen.lacks = rest


def read_place(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Address and port as /proc/net/tcp has them, of a little-endian machine: `0100007F:1F90`.

    Raises ValueError.
    """
    found = re.fullmatch(r"([0-9A-Fa-f]{8}|[0-9A-Fa-f]{32}):([0-9A-Fa-f]{4})", text)
    if found is None:
        raise ValueError(text)
    raw = bytes.fromhex(found[1])
    packed = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    if len(packed) == 4:
        return IPv4Address(packed), int(found[2], 16)
    address = IPv6Address(packed)
    return address.ipv4_mapped or address, int(found[2], 16)


def read_runtime_file(text: str) -> Jupyter:
    """One `jpserver-PID.json` (or `nbserver-PID.json`, of older ones). Raises ValueError."""
    facts = json.loads(text)
    if not isinstance(facts, dict) or not isinstance(facts.get("port"), int):
        raise ValueError("no runtime file of Jupyter")
    pid, token, base = facts.get("pid"), facts.get("token"), facts.get("base_url")
    return Jupyter(
        facts["port"],
        pid if isinstance(pid, int) else None,
        base if isinstance(base, str) else "/",
        token if isinstance(token, str) else "",
        facts.get("secure") is True,
    )


def read_runtime_files(text: str) -> Iterator[Jupyter]:
    """What `JUPYTER_FILES` alone printed, in a container."""
    yield from read(text).jupyters
