"""The ports of one node: what listens there, and what is forwarded to this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.run_in import run_in
from gpuhop_tui.fleet.ports import memory
from gpuhop_tui.fleet.ports.found import Box, listeners, read_boxes, wants_a_look_inside
from gpuhop_tui.fleet.ports.look import JUPYTER_FILES, SCRIPT, Jupyter, read, read_runtime_files
from gpuhop_tui.fleet.ports.model import Listener, Wanted
from gpuhop_tui.fleet.state_file import StateFile
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions.shell import RemoteShell
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.port_forward import LOCAL_HOST, ForwardState, PortForward, Target

BOXES_SECONDS = 5.0  # addresses of containers are asked for again after so long
_ENGINE_SECONDS = 8.0
_INSIDE_SECONDS = 60.0

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Forward:
    """One local port that leads to the node, for as long as the program runs."""

    wanted: Wanted
    port: PortForward
    saved: bool = False
    taken: int | None = None  # the local port that was wanted, where another program has it

    @property
    def local_port(self) -> int:
        return self.port.local_port

    @property
    def state(self) -> ForwardState:
        return self.port.state

    @property
    def problem(self) -> Problem | None:
        return self.port.problem

    def leads_to(self, listener: Listener) -> bool:
        """Whether it is this server that it leads to, by whatever address."""
        if self.wanted.container:
            same = listener.direct and listener.container == self.wanted.container
            return same and listener.port == self.wanted.port
        return not listener.direct and listener.key == (self.wanted.host, self.wanted.port)

    def url(self, listener: Listener | None) -> str:
        """What a browser on this machine opens. A secret where the page holds a token."""
        scheme = "https" if listener is not None and listener.https else "http"
        page = listener.page if listener is not None else "/"
        return f"{scheme}://{LOCAL_HOST}:{self.local_port}{page}"


def wanted_for(listener: Listener, local_port: int) -> Wanted:
    """A forward to a server that was found."""
    return Wanted(
        listener.host,
        listener.port,
        local_port,
        listener.container if listener.direct else "",
        listener.program,
        listener.service,
    )


class NodePorts:
    """Looks when asked to, and keeps what is forwarded. `changed()` is called after a change.

    A look takes one session of the connection, and a call of the node's engine for the names and
    addresses of containers; a forward takes no session.
    """

    def __init__(
        self,
        link: Link,
        engine: Engine,
        changed: Callable[[], None],
        *,
        file: StateFile | None,
    ) -> None:
        """`file`: where forwards are saved; None: nowhere."""
        self._link = link
        self._engine = engine
        self._changed = changed
        self._file = file
        self._shell = RemoteShell(link)
        self._boxes: tuple[Box, ...] = ()
        self._boxes_at = float("-inf")
        self._inside: dict[str, tuple[float, tuple[Jupyter, ...]]] = {}
        self._looking = asyncio.Lock()
        self._forwards: list[Forward] = []
        self._closed = False
        self.listeners: tuple[Listener, ...] | None = None  # None: not looked at yet
        self.problem: Problem | None = None  # of the last look
        self.containers_problem = ""  # why containers have no names and addresses, in words

    @property
    def node(self) -> str:
        return self._link.name

    @property
    def can_save(self) -> bool:
        return self._file is not None

    # What listens

    async def look(self) -> None:
        """Looks once; `listeners`, `problem` and `containers_problem` say what came of it. Never
        raises; what was seen before stays where nothing is to be seen."""
        async with self._looking:
            if not self._link.is_up:
                self.problem = self._link.status.problem
            else:
                await self._look()
        self._changed()

    async def _look(self) -> None:
        try:
            answer, _ = await asyncio.gather(self._shell.run(SCRIPT), self._look_at_boxes())
            seen = read(answer.text)
            if answer.status != 0 or seen.lacks:
                raise ProblemError(_cannot_tell(self.node, seen.lacks))
            user = seen.names.get(seen.uid, "") if seen.uid is not None else ""
            wanted = wants_a_look_inside(seen, self._boxes, user)
            inside = {identity: await self._look_inside(identity) for identity in wanted}
            self.listeners = listeners(seen, self._boxes, inside)
            self.problem = None
        except ProblemError as error:
            self.problem = error.problem
        except Exception as error:
            _log.exception("unexpected failure of a look at the ports of %s", self.node)
            self.problem = _unexpected(self.node, error)

    async def rest(self) -> None:
        """Nobody looks any more: gives the session back."""
        await self._shell.close()

    async def _look_at_boxes(self) -> None:
        try:
            facts = await self._engine.call(
                "listing containers", lambda client: client.containers(), timeout=_ENGINE_SECONDS
            )
            self._boxes, self.containers_problem = read_boxes(facts), ""
            self._boxes_at = time.monotonic()
        except ContainerError as error:
            self._boxes, self.containers_problem = (), error.message
        except ProblemError as error:
            self._boxes, self.containers_problem = (), error.problem.message

    async def _look_inside(self, identity: str) -> tuple[Jupyter, ...]:
        """The runtime files of a Jupyter in a container."""
        at, found = self._inside.get(identity, (float("-inf"), ()))
        if time.monotonic() - at < (_INSIDE_SECONDS if found else BOXES_SECONDS):
            return found

        def ask(client: Any) -> tuple[int | None, str]:
            return run_in(client, identity, ["sh", "-c", JUPYTER_FILES])

        with contextlib.suppress(ContainerError, ProblemError):
            _, said = await self._engine.call("looking for Jupyter", ask, timeout=_ENGINE_SECONDS)
            found = tuple(read_runtime_files(said))
        self._inside[identity] = (time.monotonic(), found)
        return found

    async def home(self) -> str:
        """The home of who logs in there. Raises ProblemError."""
        return (await self._shell.run('printf %s "$HOME"')).text

    # What is forwarded

    @property
    def forwards(self) -> tuple[Forward, ...]:
        return tuple(self._forwards)

    def forward_to(self, listener: Listener) -> Forward | None:
        """The one that leads to this server."""
        return next((each for each in self._forwards if each.leads_to(listener)), None)

    def listener_of(self, forward: Forward) -> Listener | None:
        """The server that it leads to, where one was seen."""
        return next((each for each in self.listeners or () if forward.leads_to(each)), None)

    def begin(self, wanted: Wanted, *, saved: bool = False, restored: bool = False) -> Forward:
        """Forwards from now on. The local port is another where the wanted one is taken.

        Raises OSError where no local port is to be had.
        """
        port = PortForward(self._link, lambda: self._find(forward, restored), self._changed)
        forward = Forward(wanted, port, saved)
        got = port.start(wanted.local_port)
        forward.taken = (
            wanted.local_port if got != wanted.local_port and wanted.local_port else None
        )
        self._forwards.append(forward)
        self._changed()
        return forward

    async def end(self, forward: Forward) -> None:
        """Ends it, and every connection through it; it does not come back at the next start."""
        if forward in self._forwards:
            self._forwards.remove(forward)
        await forward.port.close()
        if forward.saved:
            await self._save()
        self._changed()

    async def keep(self, forward: Forward, saved: bool) -> None:
        """Whether it comes back at the next start."""
        forward.saved = saved
        await self._save()
        self._changed()

    async def restore(self) -> None:
        """Begins what was saved, the link up or not."""
        if self._file is None:
            return
        for wanted in await asyncio.to_thread(memory.saved, self.node, self._file):
            if self._closed or any(each.wanted == wanted for each in self._forwards):
                continue
            try:
                self.begin(wanted, saved=True, restored=True)
            except OSError as error:
                _log.warning("port %d is not forwarded: %s", wanted.local_port, error)

    async def close(self) -> None:
        """Ends every forward; those that are saved come back at the next start."""
        self._closed = True
        closing = [each.port.close() for each in self._forwards]
        await asyncio.gather(*closing, return_exceptions=True)
        await self._shell.close()

    async def _save(self) -> None:
        if self._file is not None:
            kept = [each.wanted for each in self._forwards if each.saved]
            await asyncio.to_thread(memory.save, self.node, kept, self._file)

    async def _find(self, forward: Forward, restored: bool) -> Target:
        """Where it leads to now. A container has another address after each start, and what had
        its address may be another's: it goes by its name."""
        wanted = forward.wanted
        if not wanted.container:
            return wanted.host, wanted.port
        if time.monotonic() - self._boxes_at > BOXES_SECONDS:
            await self._look_at_boxes()
        box = _called(self._boxes, wanted.container)
        if box is not None and box.address:
            forward.wanted = replace(wanted, host=box.address)
            return box.address, wanted.port
        if (self.containers_problem or box is not None) and not restored:
            return wanted.host, wanted.port  # as it was seen on the node itself
        why = self.containers_problem or f"no container {wanted.container} runs on {self.node}"
        advice = "Start it again; the forward goes by its name."
        if box is not None:
            why = f"the engine tells no address of {wanted.container}"
            advice = "Publish its port on the node, or forward what is seen there now."
        raise ProblemError(Problem(self.node, ErrorKind.REFUSED, why, advice))


def _called(boxes: Sequence[Box], name: str) -> Box | None:
    return next((box for box in boxes if name in (box.name, box.id[: len(name)])), None)


def _cannot_tell(node: str, lacks: str) -> Problem:
    what = f"{node} has no {lacks}" if lacks else f"the shell of {node} did not answer as it should"
    return Problem(
        node,
        ErrorKind.REFUSED,
        f"what listens cannot be told: {what}",
        "A port that you know can be forwarded all the same.",
    )


def _unexpected(node: str, error: Exception) -> Problem:
    return Problem(
        node,
        ErrorKind.LOST,
        f"the look at the ports failed: {error or type(error).__name__}",
        "It is tried again by itself; the log file (--log-file) has the details.",
    )
