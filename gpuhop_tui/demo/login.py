"""What a login to a node comes to: each command that is asked for, known and answered.

Nothing is run on the user's machine but the probe (and, where the user has asked for them, real
shells: `local_shells`). The app's own commands are recognised by their wording; of the words in
them only arguments may differ, and those are looked up in the demo's state. Every other command,
and every key, is for the simulated shell.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import asyncssh

from gpuhop_tui.demo.engine.container import stamp
from gpuhop_tui.demo.local_shells import LocalShells
from gpuhop_tui.demo.machine import Machine, Seat
from gpuhop_tui.demo.questions import REFUSED, answer, examined
from gpuhop_tui.demo.recognised import arguments_of, inner_line, kind_of, words_of
from gpuhop_tui.demo.shell.drive import drive
from gpuhop_tui.demo.shell.shell import Running, Shell
from gpuhop_tui.demo.tmux.client import AttachedClient
from gpuhop_tui.demo.tmux.commands import run
from gpuhop_tui.demo.tmux.control import ControlClient
from gpuhop_tui.demo.tmux.program import Program
from gpuhop_tui.demo.tmux.server import Pane, Session, TmuxServer
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.shell import IDLE_SECONDS
from gpuhop_tui.sessions.tmux_control import control_command

Process = asyncssh.SSHServerProcess[bytes]
_Answering = Callable[[Process, list[str]], Awaitable[None]]

_QUESTION_LIMIT = 1 << 20
_START_SECONDS = 20.0


class Login:
    """Serves the sessions of connections to one machine, or to a container on it."""

    def __init__(
        self,
        machine: Machine,
        seat: Seat,
        run_probe: Callable[[Process], Awaitable[None]] | None = None,
        shells: LocalShells | None = None,
    ) -> None:
        """Without `run_probe` there is none, as in a container. `shells`: hops into the node get
        real ones."""
        self._machine, self._seat = machine, seat
        self._run_probe = run_probe
        self._shells = shells
        self._known: dict[str, _Answering] = {
            "questions": self._questions,
            "question": self._question,
            "examination": self._examination,
            "lock": self._start_lock,
            "attach": self._attach,
            "finish": self._finish,
            "piped": self._piped,
            "attach inside": self._attach_inside,
            "process": self._process_within,
            "within": self._within,
        }

    async def serve(self, process: Process) -> None:
        """One session, to its end."""
        try:
            await self._serve(process, process.command)
        except (OSError, EOFError, asyncssh.Error):
            pass  # the client is gone
        except asyncssh.TerminalSizeChanged:
            process.exit(1)

    async def _serve(self, process: Process, command: str | None) -> None:
        kind = kind_of(command or "")
        words = words_of(command or "")
        known = self._known.get(kind)
        if kind == "probe" and self._run_probe is not None:
            await self._run_probe(process)
        elif self._shells is not None and _is_hop_to_node(kind, words):
            await self._shells.run(process, command or "")
        elif kind == "tail":
            await self._tail(process, command or "")
        elif known is not None:
            await known(process, words)
        elif command is not None and command.split()[:2] != ["exec", "sh"]:
            await drive(process, Running(self._seat.place(), command))
        elif command is None and process.term_type is not None:
            await drive(process, Shell(self._seat.place()))
        else:
            process.stderr.write(b"This node is simulated: it runs nothing but the probe.\n")
            process.exit(REFUSED)

    # Questions

    async def _questions(self, process: Process, words: list[str]) -> None:
        """As `gpuhop_tui.sessions.shell` asks them: one a line, the answers between marks."""
        while line := await asyncio.wait_for(process.stdin.readline(), IDLE_SECONDS):
            mark, _, rest = line.decode("utf-8", "surrogateescape").rstrip("\n").partition(" ")
            packed = rest.partition(" ")[2]
            script = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], packed)
            status, text = self._answer(script)
            process.stdout.write(f"\n{mark}<\n{text}\n{mark}>{status}\n".encode())
        process.exit(0)

    async def _question(self, process: Process, _: list[str]) -> None:
        """As `gpuhop_tui.containers.node_shell` asks one, between two words of its own."""
        asked = (await process.stdin.read(_QUESTION_LIMIT)).decode("utf-8", "replace")
        found = re.fullmatch(r"echo (gpuhop-[0-9a-f]+)\n(.*)\necho \1\n", asked, re.DOTALL)
        if found is None:
            process.stderr.write(b"This node is simulated and runs nothing.\n")
            process.exit(REFUSED)
            return
        status, text = self._answer(found[2])
        process.stdout.write(f"{found[1]}\n{text}{found[1]}\n".encode())
        process.exit(status)

    async def _examination(self, process: Process, words: list[str]) -> None:
        """As `gpuhop_tui.fleet.doctor` looks around: echoes first, then all at once."""
        asked = ""
        while line := (await process.stdin.readline()).decode("utf-8", "replace"):
            asked += line
            said = examined(self._seat, asked)
            if said is not None:
                process.stdout.write(said.encode())
                asked = ""
        process.exit(0)

    def _answer(self, script: str) -> tuple[int, str]:
        said = answer(self._machine, self._seat, script)
        if said is None:
            return REFUSED, "this node is simulated and does not know this question\n"
        return said.status, said.text

    async def _start_lock(self, process: Process, _: list[str]) -> None:
        """One start of a container at a time: held until the end of input."""
        lock = self._machine.starting
        try:
            await asyncio.wait_for(lock.acquire(), _START_SECONDS)
        except TimeoutError:
            process.stdout.write(b"gpuhop:busy\n")
            process.exit(0)
            return
        try:
            process.stdout.write(b"gpuhop:held\n")
            while await process.stdin.read(4096):
                pass
        finally:
            lock.release()
        process.exit(0)

    # Tails

    async def _tail(self, process: Process, command: str) -> None:
        node = self._seat.name
        for server in self._seat.servers:
            for each in server.sessions:
                where = (node, server.socket, server.pid, "")
                asked = TmuxSession(*where, each.id, each.name, each.created_at, ())
                if control_command(asked) == command:
                    await ControlClient(server, each, process).serve()
                    process.exit(0)
                    return
        process.stdout.write(b"%exit gone\n")
        process.exit(0)

    # Hops

    async def _attach(self, process: Process, words: list[str]) -> None:
        """As `gpuhop_tui.sessions.hop_script` says: a header first, then the session."""
        asked = arguments_of(words)
        server = self._seat.server_at(asked["S"]) if asked["S"] else self._seat.hops
        session = server.find_session(asked["N"]) if server is not None else None
        state, since = self._look_in(asked.get("C", ""))
        if session is not None and state == "running" and session.container != asked["C"]:
            state = "other"
        say = _Header(process, self._seat.name, next(self._machine.pids), state, since)
        if state not in ("", "running"):
            say.only("refused")
            return
        is_new = session is None
        if session is None and server is not None and asked["create"] == "1":
            session = self._begin(server, asked)
            session.window.pane.catch_up()
        if server is None or session is None or session.over.is_set():
            say.only("gone", new=is_new)
            return
        for client in [each for each in session.clients if str(each.pid) == asked["old"]]:
            client.hang_up()
        say.header("tmux", session, new=is_new)
        await _line(process)  # "go": what follows is for the session
        size = int(asked["W"]), int(asked["H"])
        await AttachedClient(server, session, process, size).serve(say.pid)
        process.exit(0)

    def _look_in(self, container_id: str) -> tuple[str, str]:
        """What became of a container, and when it was started; ("", "") where none is meant."""
        if not container_id:
            return "", ""
        engine = self._machine.engine
        if engine is None:
            return "no-client", ""
        if not self._machine.may_use_docker:
            return "denied", ""
        container = engine.containers.get(container_id)
        if container is None:
            return "missing", ""
        return container.state, stamp(container.started_at)

    def _begin(self, server: TmuxServer, asked: dict[str, str]) -> Session:
        """A new session, with a shell or a command in it."""
        container, line, run_id = asked.get("C", ""), asked["cmd"], asked["run"]
        place = self._seat.place()
        if container:
            place = self._machine.inside(container, asked["user"], asked["at"])
            line = inner_line(line)
        elif asked["dir"] and place.files.is_folder(asked["dir"]):
            place.directory = asked["dir"]
        program: Program = Running(place, line) if run_id else Shell(place)
        size = int(asked["W"]), int(asked["H"])
        session = server.new(asked["N"], program, size=size, cwd=place.directory)
        session.container = container
        if run_id:
            pane, end = session.window.pane, session.window.pane.on_end

            def ended(which: Pane) -> None:
                shown = run(server, ["capture-pane", "-p", "-e", "-S", "-", "-t", pane.id])
                output = "\n".join(shown).rstrip("\n").encode() + b"\n"
                self._seat.runs[run_id] = (program.ended or 0, output)
                end(which)

            pane.on_end = ended
        return session

    async def _finish(self, process: Process, words: list[str]) -> None:
        asked = arguments_of(words)
        server = self._seat.server_at(asked["S"]) if asked["S"] else self._seat.hops
        session = server.find_session(asked["N"]) if server is not None else None
        alive = session is not None and f"{session.id} {session.created_at}" == asked["was"]
        status, output = "", b""
        if not alive and asked["run"] in self._seat.runs:
            number, output = self._seat.runs.pop(asked["run"])
            status = str(number)
        state, since = ("", "") if alive else self._look_in(asked.get("C", ""))
        boot = _boot(self._seat.name)
        facts = f"alive={int(alive)};status={status};boot={boot};state={state};since={since}"
        process.stdout.write(f"gpuhop {facts}\n".encode() + output)
        process.exit(0)

    async def _attach_inside(self, process: Process, words: list[str]) -> None:
        """A client of a tmux server in a container."""
        asked = arguments_of(words)
        state, since = self._look_in(asked["C"])
        if state != "running":
            pid = next(self._machine.pids)
            _Header(process, self._seat.name, pid, state, since).only("refused")
            return
        await self._inside(asked["C"], process, asked["inner"])

    async def _process_within(self, process: Process, words: list[str]) -> None:
        """A command of the app's in a container, its streams this session's."""
        await self._inside(words[6], process, words[7])

    async def _within(self, process: Process, words: list[str]) -> None:
        """The same, of a hop."""
        await self._inside(words[6], process, words[8])

    async def _inside(self, identity: str, process: Process, command: str) -> None:
        state, _ = self._look_in(identity)
        if state != "running" or self._machine.engine is None:
            process.stderr.write(f"the container is {state} (simulated)\n".encode())
            process.exit(1)
            return
        container = self._machine.engine.containers[identity]
        await Login(self._machine, self._machine.seat_in(container))._serve(process, command)

    async def _piped(self, process: Process, words: list[str]) -> None:
        """A command in a container, with the streams of this session."""
        asked = arguments_of(words)
        state, _ = self._look_in(asked["C"])
        if state != "running":
            process.stderr.write(f"the container is {state} (simulated)\n".encode())
            process.exit(1)
            return
        place = self._machine.inside(asked["C"], asked["user"], asked["dir"])
        await drive(process, Running(place, asked["cmd"]))


class _Header:
    """The OSC sequence by which an attachment says what it found."""

    def __init__(self, process: Process, name: str, pid: int, state: str, since: str) -> None:
        self._process, self._name, self.pid = process, name, pid
        self._state, self._since = state, since

    def header(self, mode: str, session: Session | None, *, new: bool) -> None:
        term = self._process.term_type or "dumb"
        facts = {
            "mode": mode,
            "id": session.id if session else "",
            "created": session.created_at if session else "",
            "pid": self.pid,
            "new": int(new),
            "boot": _boot(self._name),
            "term": term,
            "asked": term,
            "agent": "none",
            "state": self._state,
            "since": self._since,
            "why": "",
        }
        text = ";".join(f"{name}={value}" for name, value in facts.items())
        self._process.stdout.write(f"\x1b]7337;gpuhop;{text}\x07".encode())

    def only(self, mode: str, *, new: bool = False) -> None:
        """A header that nothing follows."""
        self.header(mode, None, new=new)
        self._process.exit(0)


async def _line(process: Process) -> None:
    while True:
        try:
            await process.stdin.readline()
            return
        except asyncssh.TerminalSizeChanged:
            continue


def _boot(node: str) -> str:
    return f"simulated-{node}"


def _is_hop_to_node(kind: str, words: list[str]) -> bool:
    """Whether it is of a hop into the node itself, beside the simulated sessions."""
    if kind not in ("attach", "finish"):
        return False
    asked = arguments_of(words)
    return not asked["S"] and not asked.get("C")
