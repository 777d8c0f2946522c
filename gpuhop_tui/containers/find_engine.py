"""Why an engine's socket does not answer, and where else on the node there is one that may."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from gpuhop_tui.containers.node_shell import ask_node
from gpuhop_tui.containers.text import plain
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.link import Link

DEFAULT_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a look at the node found. Sockets of rootless engines and of podman count, too."""

    wanted: str
    user: str
    groups: tuple[str, ...]
    usable: tuple[str, ...]  # that this user may open, best first
    denied: tuple[tuple[str, str], ...]  # path, group that may
    programs: tuple[str, ...]  # of docker, dockerd, podman
    listening: tuple[str, ...] = ()  # behind which there is a process


async def look_for_sockets(link: Link, wanted: str) -> Sockets:
    """Asks the node. Raises ProblemError where it does not answer."""
    return read_answer(wanted, await ask_node(link, script(wanted)))


def script(wanted: str) -> str:
    """Prints one fact a line. Other sockets are looked for beside the default one only: who has
    named a socket means that one."""
    others = ""
    if wanted == DEFAULT_SOCKET:
        others = (
            '"/run/user/$u/docker.sock" "$HOME/.docker/run/docker.sock" '
            '"/run/user/$u/podman/podman.sock" /run/podman/podman.sock'
        )
    return f"""u=$(id -u); echo "user $(id -un)"; echo "groups $(id -nG)"
for s in {shlex.quote(wanted)} {others}; do
  if [ -S "$s" ]; then
    grep -q " 00010000 .* $(readlink -f "$s")$" /proc/net/unix && echo "listening $s"
    if [ -r "$s" ] && [ -w "$s" ]; then echo "usable $s"
    else echo "denied $(stat -c %G "$s" 2>/dev/null || echo ?) $s"; fi
  elif [ -e "$s" ]; then echo "odd $s"; fi
done
for p in docker dockerd podman; do command -v $p >/dev/null 2>&1 && echo "program $p"; done"""


def read_answer(wanted: str, text: str) -> Sockets:
    """The facts of the script's output."""
    user = "?"
    groups: tuple[str, ...] = ()
    usable: list[str] = []
    denied: list[tuple[str, str]] = []
    programs: list[str] = []
    listening: list[str] = []
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        match kind:
            case "user":
                user = plain(rest)
            case "groups":
                groups = tuple(plain(rest).split())
            case "usable":
                usable.append(rest)
            case "denied":
                group, _, path = rest.partition(" ")
                denied.append((path, plain(group)))
            case "listening":
                listening.append(rest)
            case "program":
                programs.append(rest)
    return Sockets(
        wanted, user, groups, tuple(usable), tuple(denied), tuple(programs), tuple(listening)
    )


def why(node: str, found: Sockets, reason: str, *, refused: bool) -> Problem:
    """The problem that stands between the user and the engine; `reason` is what was seen here, and
    `refused` is whether sshd made no connection to the socket: it does not say why."""
    denied = dict(found.denied)
    if found.wanted in denied:
        group = denied[found.wanted]
        joining = (
            f"`sudo usermod -aG {group} {found.user}` on {node}, then log in anew"
            if group not in ("root", "?")
            else "its administrator has to give it to a group (dockerd's --group)"
        )
        return Problem(
            node,
            ErrorKind.NO_PERMISSION,
            f"{found.user} may not open {plain(found.wanted)} on {node}",
            f"Join the group that may: {joining}. Who may open it is root on the node; rootless "
            "Docker or Podman needs no such right.",
        )
    if refused and found.wanted in found.usable and found.wanted in found.listening:
        return Problem(
            node,
            ErrorKind.FORWARDING_DENIED,
            f"{node} does not let a connection to its Docker socket through",
            "Ask its administrator for AllowStreamLocalForwarding in its sshd_config(5).",
        )
    if found.wanted in found.usable:
        return Problem(
            node,
            ErrorKind.REFUSED,
            f"the engine at {plain(found.wanted)} on {node} does not answer: {plain(reason)}",
            "It is tried again by itself. If it stays so: `systemctl status docker` there.",
        )
    if found.programs:
        return Problem(
            node,
            ErrorKind.NO_DOCKER,
            f"there is no socket {plain(found.wanted)} on {node}, but {found.programs[0]} is there",
            "Start the engine (`systemctl start docker`, or `systemctl --user start "
            "podman.socket`), or name its socket with docker_socket in the config.",
        )
    return Problem(
        node,
        ErrorKind.NO_DOCKER,
        f"there is no Docker on {node}",
        "Install Docker or Podman there, or name the engine's socket with docker_socket.",
    )
