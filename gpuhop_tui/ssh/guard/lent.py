"""One agent lent to one node: a private socket, its clients, and what they are told."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.guard.binds import Bind, BindChain
from gpuhop_tui.ssh.guard.conversation import CHUNK, Conversation
from gpuhop_tui.ssh.guard.facts import Borrower, gather
from gpuhop_tui.ssh.guard.host_key import HostKeyError, read_host_key
from gpuhop_tui.ssh.guard.judge import Judge, Verdict
from gpuhop_tui.ssh.guard.model import Lending, SignatureEvent, SignatureFacts
from gpuhop_tui.ssh.guard.names import HostNames
from gpuhop_tui.ssh.guard.ratelimit import Bucket
from gpuhop_tui.ssh.guard.request import SignRequest
from gpuhop_tui.ssh.guard.upstream import Identity, Upstream
from gpuhop_tui.ssh.private_directory import PrivateDirectory
from gpuhop_tui.ssh.session_bind import SessionBind

MAX_CLIENTS = 32
MESSAGES_AT_ONCE, MESSAGES_A_SECOND = 200, 50
LINES_AT_ONCE, LINES_A_SECOND = 20, 0.2  # of the log, for refusals: a flood must not fill it

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What all lendings of one program share."""

    judge: Judge
    names: HostNames
    record: Callable[[SignatureEvent], Awaitable[bool]]  # whether it is in the log now
    note: Callable[[SignatureEvent], None]  # into the log, without waiting for it
    changed: Callable[[], None]
    signatures_a_minute: int


class LentAgent:
    """`socket` is what the connection to the node forwards; None until `start`."""

    def __init__(self, number: int, borrower: Borrower, agent_socket: str, means: Means) -> None:
        self.number = number
        self.borrower = borrower
        self.socket: str | None = None
        self.since = time.time()
        self._agent_socket = agent_socket
        self._means = means
        self._bind: SessionBind | None = None
        self._is_bound = False  # whether the connection that carries it is logged in
        self._directory: PrivateDirectory | None = None
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._signed = self._denied = 0
        per_minute = means.signatures_a_minute
        self._signatures = Bucket(max(1, per_minute), per_minute / 60)
        self._messages = Bucket(MESSAGES_AT_ONCE, MESSAGES_A_SECOND)
        self._lines = Bucket(LINES_AT_ONCE, LINES_A_SECOND)
        self._unlogged = 0

    @property
    def state(self) -> Lending:
        return Lending(
            self.number,
            self.borrower.node,
            self.borrower.via,
            self.since,
            len(self._clients),
            self._signed,
            self._denied,
            self._means.judge.grants.of(self.number),
        )

    async def start(self) -> str:
        """Listens, where it does not already, for a connection that is about to be made: nobody
        is served until it is `bound`. Returns the socket's path. Raises ProblemError."""
        self._bind, self._is_bound = None, False
        if self.socket is None:
            try:
                self._directory, listener, path = await asyncio.to_thread(_listener)
                self._server = await asyncio.start_unix_server(
                    self._come, sock=listener, limit=CHUNK
                )
            except OSError as error:
                raise ProblemError(_no_socket(error)) from error
            self.socket = str(path)
        return self.socket

    def bound(self, bind: SessionBind | None) -> None:
        """A new connection to the node carries the agent from here on: this is its proof."""
        self._bind, self._is_bound = bind, True

    async def close(self) -> None:
        """Ends every client, and the socket with them."""
        self.socket = None
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in tuple(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._means.judge.grants.end(self.number)
        if self._unlogged:
            self._means.note(self._event(False, "the lending has ended", refused="nothing"))
        if self._directory is not None:
            await asyncio.to_thread(self._directory.close)
            self._directory = None

    # Clients

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            self.refuse("connect", f"{MAX_CLIENTS} connections are open already")
            writer.close()
            return
        if not self._is_bound:
            # A server may open the channel before it is asked to: unbound, keys with destination
            # constraints would take it for the laptop itself.
            self.refuse("connect", "the connection to the node is not proven yet")
            writer.close()
            return
        client = asyncio.current_task()
        assert client is not None
        self._clients.add(client)
        self._means.changed()
        bind = self._bind
        upstream = Upstream(self._agent_socket, bind.request(forwarding=True) if bind else None)
        conversation = Conversation(reader, writer, upstream, BindChain(_verified(bind)), self)
        try:
            await conversation.run()
        except asyncio.CancelledError:
            pass  # the lending is over
        except Exception:
            _log.exception("a client of the agent lent to %s failed", self.borrower.node)
        finally:
            self._clients.discard(client)
            self._means.changed()

    # The office of its clients

    @property
    def is_locked(self) -> bool:
        return self._means.judge.locked

    async def pace(self) -> None:
        if seconds := self._messages.borrow():
            await asyncio.sleep(seconds)

    def lends(self, identity: Identity) -> bool:
        policy = self._means.judge.policy
        return policy.lends_key(self.borrower.node, identity.fingerprint, identity.comment)

    async def facts(
        self, request: SignRequest, identity: Identity, chain: BindChain
    ) -> SignatureFacts:
        return await asyncio.to_thread(
            gather, self.borrower, request, identity, chain, self._means.names
        )

    def takes_another(self) -> bool:
        if self._signatures.take():
            return True
        self.refuse("sign", f"more than {self._means.signatures_a_minute} signatures in a minute")
        return False

    async def permits(self, facts: SignatureFacts) -> bool:
        verdict = Verdict(False, "the host that asked has gone", asked=True)
        try:
            verdict = await self._means.judge.judge(self.number, facts)
        finally:
            event = self._event(verdict.allowed, verdict.reason, facts=facts, asked=verdict.asked)
            if not verdict.allowed:
                self._refuse(event)
        if not verdict.allowed:
            return False
        # What is not in the log is not signed.
        if not await self._means.record(event):
            self._denied += 1
            return False
        self._unlogged = 0
        self._signed += 1
        self._means.changed()
        return True

    def refuse(self, what: str, why: str) -> None:
        self._refuse(self._event(False, why, refused=what))

    def _refuse(self, event: SignatureEvent) -> None:
        self._denied += 1
        if self._lines.take():
            self._unlogged = 0
            self._means.note(event)
        else:
            self._unlogged += 1
        self._means.changed()

    def _event(
        self,
        allowed: bool,
        reason: str,
        *,
        facts: SignatureFacts | None = None,
        refused: str = "",
        asked: bool = False,
    ) -> SignatureEvent:
        return SignatureEvent(
            at=time.time(),
            lending=self.number,
            node=self.borrower.node,
            via=self.borrower.via,
            allowed=allowed,
            reason=reason,
            facts=facts,
            refused=refused,
            asked=asked,
            unlogged=self._unlogged,
        )


def _listener() -> tuple[PrivateDirectory, socket.socket, Path]:
    """A socket of mode 0600 in a directory of mode 0700. Raises OSError."""
    directory = PrivateDirectory()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = directory.path / "agent.sock"
        listener.bind(str(path))
        path.chmod(0o600)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        directory.close()
        raise
    return directory, listener, path


def _verified(bind: SessionBind | None) -> Bind | None:
    """The login has checked it already."""
    if bind is None:
        return None
    try:
        return Bind(read_host_key(bind.host_key), bind.session_id, is_forwarding=True)
    except HostKeyError:
        return None


def _no_socket(error: OSError) -> Problem:
    return Problem(
        "laptop",
        ErrorKind.AGENT_MISSING,
        f"there is no place for the socket of the lent agent: {error.strerror or error}",
        "make $XDG_RUNTIME_DIR or /tmp writable, or leave `forward_agent` out",
    )
