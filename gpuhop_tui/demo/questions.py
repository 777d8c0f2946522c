"""What the app asks of a node's shell, known by its wording, and the demo's answers to it.

A node of the demo is the user's own machine: nothing that comes over SSH is ever run there, beside
the probe. So each question is recognised as one of the app's (it is built again from what was read
in it, and has to come out the same) and answered from the demo's state; any other is refused.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from signal import Signals

from gpuhop_tui.containers import find_engine, surroundings
from gpuhop_tui.demo import ports
from gpuhop_tui.demo.machine import DOCKER_SOCKET, TMUX, Machine, Seat
from gpuhop_tui.demo.shell.shell import Running, Shell
from gpuhop_tui.demo.tmux.commands import TmuxError, run_all
from gpuhop_tui.demo.tmux.server import VERSION, Session, TmuxServer
from gpuhop_tui.fleet.doctor import remote
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.jobs.signals import SIGNALS, signal_script
from gpuhop_tui.fleet.ports import look
from gpuhop_tui.sessions import container_watch, last_lines, tmux, tmux_actions
from gpuhop_tui.sessions.in_container import FIND_ENGINE
from gpuhop_tui.sessions.last_lines import Wanted
from gpuhop_tui.sessions.tmux import Tmux
from gpuhop_tui.sessions.tmux_actions import NewSession
from gpuhop_tui.ssh import container_agent

REFUSED = 126
_WORD = re.compile(r"gh[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Said:
    """What a question is answered with."""

    status: int = 0
    text: str = ""


def answer(machine: Machine, seat: Seat, script: str) -> Said | None:
    """What a script of the app's comes to on this node; None: it is none of the app's."""
    for of_seat in (_find, _list, _last_lines, _new_session, _act, _look_again):
        if (said := of_seat(seat, script)) is not None:
            return said
    if seat is not machine.seat:
        return None  # a container has no engine of its own, and none in it
    for of_machine in (_sockets, _around, _containers, _in_container, _ports, _signal):
        if (said := of_machine(machine, script)) is not None:
            return said
    return None


# tmux: `gpuhop_tui.sessions`


def _tmux(seat: Seat) -> Tmux:
    servers = (seat.tmux, *([seat.hops] if seat.hops.sessions else []))
    return Tmux(TMUX, VERSION, tuple(server.socket for server in servers))


def _find(seat: Seat, script: str) -> Said | None:
    if script != tmux.find_script():
        return None
    found = _tmux(seat)
    return Said(text="\n".join([found.program, f"tmux {found.version}", *found.sockets, ""]))


def _list(seat: Seat, script: str) -> Said | None:
    word = _WORD.search(script)
    sockets = tuple(dict.fromkeys(re.findall(r" -u -S (\S+) list-panes ", script)))
    if word is None or script != tmux.list_script(Tmux(TMUX, VERSION, sockets), word[0]):
        return None
    parts = [f"{int(time.time())}\n"]
    lines = [line for line in script.split("\n") if line.startswith("ask ")]
    for number, (socket, line) in enumerate(zip(sockets, lines, strict=True)):
        status, text = _run_line(seat, socket, line)
        parts.append(text + f"{word[0]}S{word[0]}{number}{word[0]}{status}{word[0]}E\n")
    return Said(text="".join(parts))


def _last_lines(seat: Seat, script: str) -> Said | None:
    word = _WORD.search(script)
    panes = []
    for line in script.split("\n"):
        if found := re.match(r"ask \S+ -u -S (\S+) ", line):
            asked = re.findall(r"capture-pane -p -J -t (\S+) -S (-?\d+) -E (-?\d+)", line)
            panes += [Wanted(found[1], pane, (int(a), int(b))) for pane, a, b in asked]
    if word is None or not panes:
        return None
    if script != last_lines.last_lines_script(Tmux(TMUX, VERSION, ()), panes, word[0]):
        return None
    parts = []
    for line in script.split("\n"):
        if found := re.match(r"ask \S+ -u -S (\S+) ", line):
            parts.append(_run_line(seat, found[1], line)[1])
        elif line.startswith("printf "):
            parts.append(shlex.split(line)[2] + "\n")
    return Said(text="".join(parts))


def _run_line(seat: Seat, socket: str, line: str) -> tuple[int, str]:
    """The tmux commands in a line of the app's, `"$t" -u -S SOCKET COMMANDS 2>&1`."""
    server = seat.server_at(socket)
    if server is None:
        return 1, f"error connecting to {socket} (No such file or directory)\n"
    words = [word for word in shlex.split(line) if word not in ("2>&1", "2>/dev/null")]
    try:
        lines = run_all(server, words[words.index(socket) + 1 :])
    except TmuxError as error:
        return 1, f"{error}\n"
    return 0, "".join(f"{each}\n" for each in lines)


def _new_session(seat: Seat, script: str) -> Said | None:
    wanted = _read_new_session(script)
    if wanted is None or script != tmux_actions.new_session_script(wanted):
        return None
    place = seat.place()
    home = place.home
    directory = wanted.directory or home
    if not directory.startswith("/"):
        directory = f"{home}/{directory.removeprefix('~').removeprefix('/')}".rstrip("/")
    if not place.files.is_folder(directory) and directory != home:
        return Said(66)
    server = seat.server_at(wanted.socket) if wanted.socket else seat.tmux
    if server is None:
        return Said(1, "error connecting to the socket\n")
    place.directory = directory
    program = Running(place, wanted.command) if wanted.command else Shell(place)
    try:
        session = server.new(
            wanted.name,
            program,
            size=(wanted.columns, wanted.rows),
            cwd=directory,
            stays=bool(wanted.command),
        )
    except ValueError as error:
        return Said(1, f"{error}\n")
    return Said(text=f"{session.id} {session.window.pane.id} {server.socket}\n")


_NEW_SESSION = re.compile(
    re.escape(tmux.FIND_TMUX) + r'd=(?P<directory>.*?)\n\[ -d "\$d" \].*?'
    r"  bash\|zsh\|ksh\|fish\) (?P<command>.*?) ;;\n  \*\) .*?"
    r'\nthen set -- (?P<flags>.*?) -- "\$@"\nelse .*?'
    r'\nexec "\$t" -u (?P<server>.*?) -c "\$c" -P .*',
    re.DOTALL,
)


def _read_new_session(script: str) -> NewSession | None:
    """What `new_session_script` was given."""
    found = _NEW_SESSION.fullmatch(script)
    if found is None:
        return None
    try:
        directory = shlex.split(found["directory"])[0]
        command = shlex.split(found["command"])[4:]  # after: set -- $s -lic
        server = shlex.split(found["server"])
        flags = shlex.split(found["flags"])
        at = server.index("new-session")
        environment = dict(_bare(each).partition("=")[::2] for each in flags if each != "-e")
        return NewSession(
            _bare(server[server.index("-s") + 1]),
            directory="" if directory == "$HOME" else directory.removeprefix("$HOME/"),
            command=_bare(command[0]) if command else "",
            environment=environment,
            socket=server[1] if server[:at][0] == "-S" else None,
            columns=int(server[server.index("-x") + 1]),
            rows=int(server[server.index("-y") + 1]),
        )
    except (ValueError, IndexError):
        return None


def _bare(word: str) -> str:
    r"""Without the escape that keeps tmux from reading a `;` at its end as its own."""
    return word[:-2] + ";" if word.endswith("\\;") else word


_ACT = re.compile(
    re.escape(tmux.FIND_TMUX) + r"k=(?P<socket>.*)\n"
    r'is=\$\("\$t" -S "\$k" display-message -p -t (?P<id>\S+): "#\{pid\} #\{session_created\}"\)\n'
    r'\[ "\$is" = "(?P<meant>\d+ \d+)" \] \|\| exit (?P<gone>\d+)\n'
    r'(?:"\$t" -S "\$k" kill-session -t (?P<kill>\S+)'
    r'|\[ "\$\("\$t" -S "\$k" display-message -p -t (?P<pane>\S+) "#\{pane_dead\}"\)" = 1 \]'
    r' \|\| exit (?P<alive>\d+)\n"\$t" -S "\$k" kill-pane -t (?P=pane))'
)


def _act(seat: Seat, script: str) -> Said | None:
    """The end of a session, or of a dead pane."""
    found = _ACT.fullmatch(script)
    if found is None:
        return None
    server = seat.server_at(shlex.split(found["socket"])[0])
    session = server.find_session(shlex.split(found["id"])[0]) if server is not None else None
    if server is None or session is None or found["meant"] != meant(server, session):
        return Said(int(found["gone"]))
    if found["kill"]:
        server.kill(session)
        return Said()
    place = server.find_window(shlex.split(found["pane"])[0])
    if place is None or not place[1].pane.dead:
        return Said(int(found["alive"]))
    server.close_window(*place)
    return Said()


def meant(server: TmuxServer, session: Session) -> str:
    """By what the app tells a session from a later one with its id."""
    return f"{server.pid} {session.created_at}"


def _look_again(_: Seat, script: str) -> Said | None:
    """`have_end_told`: there are no processes here, and so nothing was missed."""
    return Said() if re.fullmatch(r"kill -CHLD \d+( \d+)*", script) else None


# Containers' own tmux servers


def _containers(machine: Machine, script: str) -> Said | None:
    """What each of them has that has a tmux server."""
    word = _WORD.search(script)
    found = re.search(r"^for K in (\S+)", script, re.MULTILINE)
    if word is None or found is None:
        return None
    socket = shlex.split(found[1])[0]
    if script != container_watch.containers_script(socket, word[0]):
        return None
    if socket != DOCKER_SOCKET or machine.engine is None:
        return Said()
    parts: list[str] = []
    for container in machine.engine.containers.values():
        seat = machine.seat_in(container) if container.running else None
        if seat is not None and seat.tmux.sessions:
            if not machine.may_use_docker:
                return Said(text=f"{word[0]}container:-denied {socket} -\n")
            parts.append(f"{word[0]}container:{container.id} {container.name} {socket}\n")
            parts.append(_look(seat, word[0]))
    return Said(text="".join(parts))


def _look(seat: Seat, word: str) -> str:
    """What `sessions.container_watch.look_script` prints: all at once."""
    there = _tmux(seat)
    panes = [
        Wanted(server.socket, window.pane.id, (0, window.pane.screen.height - 1))
        for server in seat.servers
        for _, window in server.all_windows()
    ]
    found = _find(seat, tmux.find_script())
    listed = _list(seat, tmux.list_script(there, word))
    lines = _last_lines(seat, last_lines.last_lines_script(there, panes, word))
    parts = [part.text if part is not None else "" for part in (found, listed, lines)]
    return f"{parts[0]}{word}list\n{parts[1]}{word}lines\n{parts[2]}"


_WITHIN = re.compile(
    r"K=(?P<socket>[^\n]*)\n" + re.escape(FIND_ENGINE) + r"\n"
    r"E exec (?:-u \S+ )?(?P<id>[0-9a-f]{64}) sh -c (?P<script>.*)\n",
    re.DOTALL,
)


def _in_container(machine: Machine, script: str) -> Said | None:
    """A question to a container, asked through the node."""
    found = _WITHIN.fullmatch(script)
    if found is None or machine.engine is None:
        return None
    try:
        (inner,) = shlex.split(found["script"])
    except ValueError:
        return None
    container = machine.engine.containers.get(found["id"])
    if container is None or not container.running or not machine.may_use_docker:
        return Said(1, "Error response from daemon: the container is not running (simulated)\n")
    return answer(machine, machine.seat_in(container), inner)


# The engine's surroundings: `gpuhop_tui.containers`


def _sockets(machine: Machine, script: str) -> Said | None:
    found = re.search(r"^for s in (\S+)", script, re.MULTILINE)
    wanted = shlex.split(found[1])[0] if found else ""
    if not wanted or script != find_engine.script(wanted):
        return None
    user = machine.node.user
    lines = [f"user {user}", f"groups {user}"]
    if wanted == DOCKER_SOCKET and machine.engine is not None:
        may = machine.may_use_docker
        lines += [f"listening {wanted}", f"usable {wanted}" if may else f"denied docker {wanted}"]
        lines.append("program docker")
    return Said(text="\n".join([*lines, ""]))


def _around(machine: Machine, script: str) -> Said | None:
    looks = re.findall(r'^\[ -e (.*) \] \|\| echo "missing \d+"$', script, re.MULTILINE)
    try:
        paths = [_tilde(shlex.split(each)[0]) for each in looks]
    except (ValueError, IndexError):
        return None
    if script != surroundings.script(paths):
        return None
    lines = [f"user {machine.node.user}", f"home {machine.home}", *_listening(machine)]
    for number, path in enumerate(paths):
        whole = machine.home + path[1:] if path.startswith("~") else path
        if not machine.files.is_folder(whole) and machine.files.read(whole) is None:
            lines.append(f"missing {number}")
    return Said(text="\n".join([*lines, ""]))


def _tilde(path: str) -> str:
    return "~" + path.removeprefix("$HOME") if path.startswith("$HOME") else path


def _listening(machine: Machine) -> Iterator[str]:
    """As /proc/net/tcp has it, proc_pid_net(5): sshd's port, and those that are published."""
    ports = {22}
    for container in machine.engine.containers.values() if machine.engine else ():
        if container.running:
            for bindings in container.ports.values():
                ports.update(int(each["HostPort"]) for each in bindings)
    for number, port in enumerate(sorted(ports)):
        yield f"port tcp   {number}: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000"


# Ports and jobs: `gpuhop_tui.fleet`


def _ports(machine: Machine, script: str) -> Said | None:
    if script == container_agent.MAKE_DIRECTORY:
        return Said(text=f"{machine.home}/.cache/gpuhop-tui/agent\n")
    if script == 'printf %s "$HOME"':
        return Said(text=machine.home)
    return Said(text=ports.seen(machine)) if script == look.SCRIPT else None


_SIGNAL = re.compile(
    r"\np=(?P<pid>\d+); s=(?P<name>[A-Z]+); C=(?P<container>\S*); K=(?P<socket>\S+)\n.*"
    r"d=\$\(\(boot \+ start / hz - (?P<started>\d+)\)\).*",
    re.DOTALL,
)


def _signal(machine: Machine, script: str) -> Said | None:
    """A signal to a job: what runs in a container of one's own ends, with the container."""
    found = _SIGNAL.fullmatch(script)
    name = next((each for each in SIGNALS if found and each == found["name"]), None)
    if found is None or name is None:
        return None
    identity, socket = (shlex.split(found[which])[0] for which in ("container", "socket"))
    pid, started = int(found["pid"]), float(found["started"])
    job = Job(machine.node.name, pid, started, container_id=identity or None)
    if script != signal_script(job, name, socket):
        return None
    engine = machine.engine if machine.may_use_docker else None
    container = engine.containers.get(identity) if engine is not None else None
    if engine is None or container is None or container.pid != pid:
        return Said(5, "Operation not permitted (simulated)\n")
    is_sent = engine.stop(container, 128 + int(Signals[f"SIG{name}"]))
    return Said(0 if is_sent else 3)


# A look around: `gpuhop_tui.fleet.doctor`


def examined(seat: Seat, asked: str) -> str | None:
    """What a part of the doctor's look prints; None: it is not a whole one yet, or none."""
    if asked == remote._READY:
        return "gpuhop-ready\n"
    if asked == remote._CLOCK:
        return f"gpuhop-clock {time.time():.9f}\n"
    if asked != remote._LOOK:
        return None
    place = seat.place()
    disk = f"disk {960 << 20} {612 << 20} {place.home}"
    lines = [f"user {place.user}", "python 3.12.7", f"tmux tmux {VERSION}", "program nvidia-smi"]
    if place.why_no_engine.startswith("permission") or place.engine is not None:
        lines += ["program nvidia-ctk", "program nvidia-container-runtime"]
    return "\n".join([*lines, f"who {place.user}", disk, "gpuhop-done", ""])
