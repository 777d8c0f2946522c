"""A TCP port of this machine whose every connection leads to a server that the node reaches.

Each connection is a direct-tcpip channel (RFC 4254, section 7.2) of the connection that the link
has at that moment; channels take none of its sessions. The port stays open while the link is away:
who connects then waits for it a little. It listens on 127.0.0.1 alone, as `ssh -L` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum

import asyncssh

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.explain import is_about_names, lost
from gpuhop_tui.ssh.link import Link

LOCAL_HOST = "127.0.0.1"
PATIENCE_SECONDS = 8.0
"""How long a connection waits for a link that is away; browsers wait longer than that."""

_OPEN_SECONDS = 15.0  # the node may try to reach an address that does not answer
_NEXT_PORTS = 50
_PRIVILEGED = 1024
_CHUNK = 65536
_PROHIBITED = 1  # RFC 4254, section 5.1
_CLOSED = "SSH connection closed"  # asyncssh's words where the connection ends meanwhile
_AT_ONCE, _IN_GOOD_ORDER = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)  # SO_LINGER, socket(7)
_TAKEN = (errno.EADDRINUSE, errno.EACCES)

_log = logging.getLogger(__name__)

Target = tuple[str, int]
Find = Callable[[], Awaitable[Target]]


class ForwardState(StrEnum):
    """What happens to who connects now."""

    READY = "ready"
    WAITING = "waiting"  # for the link; who connects waits too
    REFUSED = "refused"  # the last one was; `problem` says why
    CLOSED = "closed"


class PortForward:
    """Serves from `start` to `close`. All methods are for the event loop's thread."""

    def __init__(self, link: Link, find: Find, changed: Callable[[], None]) -> None:
        """`find` says where it leads to, as the node names it, and is asked for each connection;
        it may raise ProblemError. `changed` is called when the state is another."""
        self._link = link
        self._find = find
        self._changed = changed
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_listening: Callable[[], None] = lambda: None
        self._was_away = False
        self.local_port = 0
        self.problem: Problem | None = None  # of the last connection; None: it was made
        self.connections = 0  # open now, those that wait included
        self.served = 0  # since the start
        self.sent_bytes = 0  # to the node
        self.received_bytes = 0

    @property
    def state(self) -> ForwardState:
        if self._listener is None:
            return ForwardState.CLOSED
        if not self._link.is_up:
            return ForwardState.WAITING
        return ForwardState.REFUSED if self.problem else ForwardState.READY

    def start(self, wanted: int) -> int:
        """Listens on the port `wanted`, or on the next free one where it is taken (0: any).

        Returns the port. Raises OSError where there is none.
        """
        self._listener = _listen(wanted)
        self.local_port = self._listener.getsockname()[1]
        self._stop_listening = self._link.listen(self._link_changed)
        self._begin(self._accept(self._listener))
        return self.local_port

    async def close(self) -> None:
        """Ends the port and every connection through it."""
        listener, self._listener = self._listener, None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if listener is not None:
            listener.close()
            self._stop_listening()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def check(self) -> Problem | None:
        """Makes a connection, ends it at once, and says what came of it."""
        with contextlib.suppress(ProblemError, OSError, asyncssh.Error):
            _, writer = await self._open()
            writer.channel.abort()
        return self.problem

    def _link_changed(self) -> None:
        """What was refused by the last connection may be well on the next."""
        if not self._link.is_up:
            self._was_away = True
        elif self._was_away:
            self._was_away, self.problem = False, None
        self._changed()

    # Connections

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"forward {self.local_port} to {self._link.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        # asyncio's own server leaves a connection open that it accepts while it is closed.
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # out of files, mostly
                _log.warning("port %d: %s", self.local_port, error)
                await asyncio.sleep(0.2)
                continue
            self._begin(self._serve(connection))

    async def _serve(self, near: socket.socket) -> None:
        self.connections += 1
        self.served += 1
        with near:
            try:
                reader, writer = await asyncio.open_connection(sock=near)
                # Ended before its time, it is reset: nothing cut short looks like a whole answer.
                _linger(writer, _AT_ONCE)
                try:
                    await self._join(reader, writer, *await self._open())
                finally:
                    writer.transport.abort()
            except (OSError, asyncssh.Error, ProblemError):
                pass  # whoever connected sees the end, and `problem` says why
            finally:
                self.connections -= 1

    async def _open(self) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """A channel of the open connection; waits for one, and tries again where it just broke."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS + _OPEN_SECONDS):
                while True:
                    connection = await self._connection()
                    host, port = await self._find()
                    try:
                        opened = await connection.open_connection(host, port, encoding=None)
                        break
                    except asyncssh.ChannelOpenError as error:
                        if error.reason != _CLOSED and self._link.current is connection:
                            raise ProblemError(
                                refusal(self._link.name, host, port, error)
                            ) from None
                    except (OSError, asyncssh.Error):
                        pass  # the connection broke
                    await asyncio.sleep(0.05)
        except ProblemError as error:
            self._tell(error.problem)
            raise
        except TimeoutError:
            problem = _no_answer(self._link.name)
            self._tell(problem)
            raise ProblemError(problem) from None
        self._tell(None)
        return opened

    async def _connection(self) -> asyncssh.SSHClientConnection:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._link.connection()
        except TimeoutError:
            reason = f"not back within {PATIENCE_SECONDS:.0f} s"
            problem = self._link.status.problem or lost(self._link.route.target, reason)
            raise ProblemError(problem) from None

    def _tell(self, problem: Problem | None) -> None:
        if problem != self.problem:
            self.problem = problem
            self._changed()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncssh.SSHReader[bytes],
        far_writer: asyncssh.SSHWriter[bytes],
    ) -> None:
        """Both directions, each to its own end: one that has ended leaves the other open."""
        channel = far_writer.channel
        there = asyncio.ensure_future(self._send(reader, far_writer))
        back = asyncio.ensure_future(self._receive(far_reader, writer))
        closed = asyncio.ensure_future(channel.wait_closed())
        tasks = (there, back, closed)
        try:
            while not (back.done() and (there.done() or closed.done())):
                running = [task for task in tasks if not task.done()]
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in (there, back):
                    if task.done():
                        task.result()  # one that broke ends both
            _linger(writer, _IN_GOOD_ORDER)
            writer.close()
            await writer.wait_closed()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            channel.abort()

    async def _send(
        self, reader: asyncio.StreamReader, far_writer: asyncssh.SSHWriter[bytes]
    ) -> None:
        while data := await reader.read(_CHUNK):
            try:
                far_writer.write(data)
                await far_writer.drain()
            except (OSError, asyncssh.Error):
                return  # the server wants to hear no more; what it said is still to be told
            self.sent_bytes += len(data)
        with contextlib.suppress(OSError, asyncssh.Error):
            far_writer.write_eof()

    async def _receive(
        self, far_reader: asyncssh.SSHReader[bytes], writer: asyncio.StreamWriter
    ) -> None:
        while data := await far_reader.read(_CHUNK):
            writer.write(data)
            self.received_bytes += len(data)
            await writer.drain()
        if far_reader.channel.get_connection().is_closed():
            raise ConnectionError("the link was lost")  # not the end of what the server said
        writer.write_eof()


def _linger(writer: asyncio.StreamWriter, how: bytes) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)


def usual_local_port(port: int) -> int:
    """The local port that is wanted for a port of the node: the same, where anybody may have it."""
    return port if port >= _PRIVILEGED else port + 8000


def _listen(wanted: int) -> socket.socket:
    last = min(wanted + _NEXT_PORTS, 65535)
    for port in (*range(wanted, last + 1), 0) if wanted else (0,):
        listener = socket.socket(socket.AF_INET)
        try:
            listener.setblocking(False)
            # What ended a minute ago still holds its port; what listens now keeps it all the same.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((LOCAL_HOST, port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno not in _TAKEN or port == 0:
                raise
        except BaseException:
            listener.close()
            raise
        else:
            return listener
    raise AssertionError("the last one is any port")


def refusal(node: str, host: str, port: int, error: asyncssh.ChannelOpenError) -> Problem:
    """Why the node's sshd made no connection, by its reason code and its words."""
    where, said = f"{host}:{port}", error.reason.strip()
    text = said.lower()
    if error.code == _PROHIBITED:
        return Problem(
            node,
            ErrorKind.FORWARDING_DENIED,
            f"the SSH server of {node} does not allow TCP forwarding to {where}",
            "Ask its administrator for AllowTcpForwarding (or PermitOpen, or a key without "
            "`restrict`) in sshd_config(5).",
        )
    if "refused" in text:
        return Problem(
            node,
            ErrorKind.REFUSED,
            f"nothing listens at {where} of {node}",
            "The server has ended, or listens at another address or in a container.",
        )
    kind = ErrorKind.UNRESOLVED if is_about_names(text) else ErrorKind.UNREACHABLE
    return Problem(
        node,
        kind,
        f"{node} cannot reach {where}: {said or 'no reason given'}",
        "Check the address; a container's has to be one that its node can reach.",
    )


def _no_answer(node: str) -> Problem:
    return Problem(
        node,
        ErrorKind.TIMEOUT,
        f"{node} made no connection within {PATIENCE_SECONDS + _OPEN_SECONDS:.0f} s",
        "A firewall on the node may drop it; try again.",
    )
