"""One client of a lent agent, from its first message to its end.

Each message is answered before the next is looked at. Meanwhile it is still read, so that a client
that leaves takes its question with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from gpuhop_tui.ssh.guard.binds import BindChain, BindError, UnverifiableError, read_bind
from gpuhop_tui.ssh.guard.model import SignatureFacts
from gpuhop_tui.ssh.guard.request import SignRequest, read_sign
from gpuhop_tui.ssh.guard.upstream import Identity, Upstream
from gpuhop_tui.ssh.guard.wire import (
    ANSWER_FAILURE,
    ANSWER_SUCCESS,
    EXTENSION,
    LIST,
    LIST_ANSWER,
    MAX_PENDING,
    SIGN,
    SIGN_ANSWER,
    Fields,
    Messages,
    WireError,
    describe,
    framed,
    string,
)
from gpuhop_tui.ssh.session_bind import EXTENSION as SESSION_BIND

CHUNK = 65536
MAX_WAITING = 256  # messages that a client may send ahead of the answers


class Office(Protocol):
    """Who decides, for all clients of one lending."""

    @property
    def is_locked(self) -> bool: ...

    async def pace(self) -> None:
        """Returns when the next message may be looked at."""
        ...

    def lends(self, identity: Identity) -> bool:
        """Whether the client may know of a key."""
        ...

    def takes_another(self) -> bool:
        """Whether one more signature may be asked for now; what is too much is refused."""
        ...

    async def permits(self, facts: SignatureFacts) -> bool:
        """Whether a signature may be made; it is in the log then."""
        ...

    async def facts(
        self, request: SignRequest, identity: Identity, chain: BindChain
    ) -> SignatureFacts:
        """All that is to be known of a signature."""
        ...

    def refuse(self, what: str, why: str) -> None:
        """Notes that something else was refused."""
        ...


class Conversation:
    """`run` is the whole of it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: Upstream,
        chain: BindChain,
        office: Office,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._upstream, self._chain, self._office = upstream, chain, office
        self._waiting: deque[bytes] = deque()
        self._pending = 0
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Returns when the client is gone. Raises nothing but CancelledError."""
        answering = asyncio.create_task(self._answer_all(), name="guard answers")
        reading = asyncio.create_task(self._read(), name="guard reads")
        try:
            await asyncio.wait({answering, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, reading):
                task.cancel()
            await asyncio.gather(answering, reading, return_exceptions=True)
            await self._upstream.close()
            self._writer.transport.abort()  # a client that reads no answers must not be waited for
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _read(self) -> None:
        messages = Messages()
        try:
            while data := await self._reader.read(CHUNK):
                self._pending += len(data)
                if self._pending > MAX_PENDING:
                    raise WireError("too much at once")
                self._waiting += messages.feed(data)
                if len(self._waiting) > MAX_WAITING:
                    raise WireError("too much at once")
                self._news.set()
        except WireError as error:
            self._office.refuse("a broken message", str(error))
        except OSError:
            pass

    async def _answer_all(self) -> None:
        while True:
            while not self._waiting:
                self._news.clear()
                await self._news.wait()
            message = self._waiting.popleft()
            self._pending -= 4 + len(message)
            await self._office.pace()
            self._writer.write(framed(await self._answer(message)))
            await self._writer.drain()

    async def _answer(self, message: bytes) -> bytes:
        handle = _HANDLERS.get(message[0])
        try:
            if handle is not None and not self._office.is_locked:
                return await handle(self, message[1:])
            self._refuse(message, "locked" if handle else "only listing and signing are lent")
        except WireError as error:
            self._refuse(message, f"broken: {error}")
        except OSError as error:
            self._refuse(message, f"no answer from the agent: {error.strerror or error}")
        return ANSWER_FAILURE

    def _refuse(self, message: bytes, why: str) -> None:
        named = {LIST: "list keys", SIGN: "sign"}
        self._office.refuse(named.get(message[0]) or describe(message), why)

    # What is answered

    async def _list(self, contents: bytes) -> bytes:
        Fields(contents).end()
        found = [each for each in await self._upstream.identities() if self._office.lends(each)]
        listed = b"".join(string(each.blob) + string(each.comment.encode()) for each in found)
        return bytes([LIST_ANSWER]) + len(found).to_bytes(4) + listed

    async def _sign(self, contents: bytes) -> bytes:
        request = read_sign(contents)
        held = {each.blob: each for each in await self._upstream.identities()}
        identity = held.get(request.key)
        if identity is None or not self._office.lends(identity):
            self._office.refuse("sign", "with a key that is not lent")
            return ANSWER_FAILURE
        if not self._office.takes_another():
            return ANSWER_FAILURE
        facts = await self._office.facts(request, identity, self._chain)
        if not await self._office.permits(facts):
            return ANSWER_FAILURE
        answer = await self._upstream.sign(contents)
        if answer[0] != SIGN_ANSWER:
            self._office.refuse("sign", "allowed here, but the agent itself has refused it")
            return ANSWER_FAILURE
        return answer

    async def _extend(self, contents: bytes) -> bytes:
        fields = Fields(contents)
        name = fields.string()
        if name != SESSION_BIND:
            self._refuse(bytes([EXTENSION]) + contents, "only listing and signing are lent")
            return ANSWER_FAILURE
        bind = contents[4 + len(name) :]
        try:
            is_new = self._chain.add(read_bind(bind))
        except UnverifiableError as error:
            self._office.refuse("bind the connection", str(error))
            return ANSWER_FAILURE
        except (BindError, WireError) as error:
            self._chain.failed = str(error)
            self._office.refuse("bind the connection", str(error))
            return ANSWER_FAILURE
        if is_new:
            await self._upstream.bind(bind)
        return ANSWER_SUCCESS


_Handler = Callable[[Conversation, bytes], Awaitable[bytes]]
_HANDLERS: dict[int, _Handler] = {
    LIST: Conversation._list,
    SIGN: Conversation._sign,
    EXTENSION: Conversation._extend,
}
