"""What a login to a node comes to: each command that is asked for, known and answered.

Nothing is run on the user's machine but the probe (and, where the user has asked for them, real
shells: `local_shells`). The app's own commands are recognised by their
wording; of the words in them only arguments may differ, and those are looked up in the demo's
state. Every other command, and every key, is for the simulated shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import time
from collections.abc import Awaitable, Callable

import asyncssh

from gpuhop_tui.containers import reserve
from gpuhop_tui.demo.engine.container import stamp
from gpuhop_tui.demo.local_shells import LocalShells
from gpuhop_tui.demo.machine import Machine, Seat
from gpuhop_tui.demo.questions import REFUSED, answer, examined
from gpuhop_tui.demo.shell.shell import Running, Shell
from gpuhop_tui.demo.tmux.client import AttachedClient
from gpuhop_tui.demo.tmux.commands import run
from gpuhop_tui.demo.tmux.control import ControlClient
from gpuhop_tui.demo.tmux.program import Program
from gpuhop_tui.demo.tmux.server import LOOK_SECONDS, Pane, Session, TmuxServer
from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.sessions.hop_script import Header, attach_command, finish_command
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.sessions.in_container import InContainer, piped_line
from gpuhop_tui.sessions.model import TmuxSession
from gpuhop_tui.sessions.shell import IDLE_SECONDS, shell_command
from gpuhop_tui.sessions.tmux_control import control_command

Process = asyncssh.SSHServerProcess[bytes]
_Answering = Callable[[Process, list[str]], Awaitable[None]]

_QUESTION_LIMIT = 1 << 20
_START_SECONDS = 20.0
_ARGUMENT = re.compile(r"\b([A-Za-z]+)=\$\{?(\d+)\}?;")
_IN_CONTAINER = InContainer("0" * 64, "any")
_ANY = HopTarget(), HopTarget.in_container(_IN_CONTAINER)


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
        # By the text of the script that `sh -c` is given, or by the whole command.
        self._known: dict[str, _Answering] = {
            shell_command(): self._questions,
            "exec sh -s": self._question,
            "exec sh": self._examination,
            _script(f"exec sh -c {shlex.quote(reserve._SCRIPT)}"): self._start_lock,
            _script(piped_line(_IN_CONTAINER, "")): self._piped,
            **{
                _script(attach_command(t, (1, 1), create=True, lend=False)): self._attach
                for t in _ANY
            },
            **{_script(finish_command(t, Header())): self._finish for t in _ANY},
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
        if command is not None and self._run_probe is not None and is_probe(command):
            await self._run_probe(process)
            return
        words = _words(command or "")
        script = words[3] if words[:3] == ["exec", "sh", "-c"] and len(words) > 3 else ""
        if command != f"exec {shlex.join(words[1:])}":
            script = ""  # there is more than the app's builders would write
        known = self._known.get(command or "") or self._known.get(script)
        if self._shells is not None and self._is_real(known, words):
            await self._shells.run(process, command or "")
        elif known is not None:
            await known(process, words)
        elif words[-1:] == ["gpuhop-tail"]:
            await self._tail(process, command or "")
        elif command is not None and command.split()[:2] != ["exec", "sh"]:
            await drive(process, Running(self._seat.place(), command))
        elif command is None and process.term_type is not None:
            await drive(process, Shell(self._seat.place()))
        else:
            process.stderr.write(b"This node is simulated: it runs nothing but the probe.\n")
            process.exit(REFUSED)

    def _is_real(self, known: _Answering | None, words: list[str]) -> bool:
        """Whether it is of a hop into the node itself, beside the simulated sessions: one of the
        app's own scripts, word for word."""
        if known not in (self._attach, self._finish):
            return False
        asked = _arguments(words)
        return not asked["S"] and not asked.get("C")

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
        asked = _arguments(words)
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
            line = _inner(line)
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
        asked = _arguments(words)
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

    async def _piped(self, process: Process, words: list[str]) -> None:
        """A command in a container, with the streams of this session."""
        asked = _arguments(words)
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


async def drive(process: Process, program: Program) -> None:
    """A program with the streams of a session, until it has ended or the session has."""
    loop_time = asyncio.get_running_loop().time
    is_terminal = process.term_type is not None
    if is_terminal:
        columns, rows = process.term_size[:2]
        program.resized(columns or 80, rows or 24)

    def show() -> None:
        data = program.output(time.time())
        if data:
            process.stdout.write(data if is_terminal else data.replace(b"\r\n", b"\n"))

    async def read() -> None:
        while True:
            try:
                data = await process.stdin.read(4096)
            except asyncssh.TerminalSizeChanged as change:
                program.resized(change.width, change.height)
                continue
            except asyncssh.SignalReceived:
                data = b"\x03"
            except asyncssh.BreakReceived:
                continue
            if not data:
                return
            program.typed(data, time.time())
            show()

    reading = asyncio.ensure_future(read())
    closed = asyncio.ensure_future(process.channel.wait_closed())
    began = loop_time()
    try:
        show()
        while program.ended is None and not closed.done():
            pause = LOOK_SECONDS if loop_time() - began > 1 else 0.05
            await asyncio.wait({closed}, timeout=pause)
            show()
    finally:
        for task in (reading, closed):
            task.cancel()
        await asyncio.gather(reading, closed, return_exceptions=True)
    with contextlib.suppress(OSError):
        await process.stdout.drain()
        process.exit(program.ended if program.ended is not None else 255)


async def _line(process: Process) -> None:
    while True:
        try:
            await process.stdin.readline()
            return
        except asyncssh.TerminalSizeChanged:
            continue


def is_probe(command: str) -> bool:
    """Whether this is the probe's command; only numbers in it (the interval) may differ."""
    words, probe = _words(command), shlex.split(probe_command())
    return len(words) == len(probe) and all(
        word == expected or re.fullmatch(r"[\d.]+", word)
        for word, expected in zip(words, probe, strict=True)
    )


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _script(command: str) -> str:
    return shlex.split(command)[3]


def _arguments(words: list[str]) -> dict[str, str]:
    """A script's arguments by the names that it gives them itself: `S=$1; N=$2; …`."""
    given = words[5:]
    found: dict[str, str] = {}
    for name, number in _ARGUMENT.findall(words[3]):
        if int(number) <= len(given):
            found.setdefault(name, given[int(number) - 1])
    return found


def _inner(line: str) -> str:
    """The command that is meant for the container, of `in_container.enter_line`."""
    words = _words(line)
    return _arguments(words).get("cmd", "") if len(words) > 5 else ""


def _boot(node: str) -> str:
    return f"simulated-{node}"
