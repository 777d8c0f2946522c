"""The user's own agent, as one client of the guard sees it: over a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from gpuhop_tui.ssh.guard.host_key import fingerprint, plain_key
from gpuhop_tui.ssh.guard.wire import (
    EXTENSION,
    LIST,
    LIST_ANSWER,
    MAX_MESSAGE,
    SIGN,
    Fields,
    WireError,
    framed,
    string,
)
from gpuhop_tui.ssh.session_bind import BIND_SECONDS
from gpuhop_tui.ssh.session_bind import EXTENSION as SESSION_BIND

ANSWER_SECONDS = 5.0
SIGN_SECONDS = 120.0  # a person may have to touch a security key, or to confirm (ssh-add -c)


class UpstreamError(OSError):
    """The agent does not answer as one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A key that the agent holds."""

    blob: bytes
    comment: str

    @property
    def fingerprint(self) -> str:
        """As `ssh-add -l` prints it: of a certificate that of its key."""
        return fingerprint(plain_key(self.blob))


class Upstream:
    """One connection to the agent, opened at its first request and bound as the client's is."""

    def __init__(self, socket: str, first_bind: bytes | None) -> None:
        """`first_bind`: the bind request of the connection that the agent is lent over."""
        self._socket = socket
        self._first_bind = first_bind
        self._takes_binds = True
        self._is_out_of_step = False  # an answer may still come that nobody waits for any more
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def identities(self) -> list[Identity]:
        """The keys that the agent lets this connection see. Raises OSError."""
        answer = await self._ask(bytes([LIST]), ANSWER_SECONDS)
        fields = Fields(answer)
        try:
            if fields.byte() != LIST_ANSWER:
                raise UpstreamError("the agent lists no keys")
            found = [Identity(fields.string(), fields.text()) for _ in range(fields.uint32())]
        except WireError as error:
            raise UpstreamError(f"the agent's list of keys is {error}") from None
        return found

    async def sign(self, contents: bytes) -> bytes:
        """The agent's answer to a SIGN message (without its first byte). Raises OSError."""
        return await self._ask(bytes([SIGN]) + contents, SIGN_SECONDS)

    async def bind(self, contents: bytes) -> None:
        """Passes a session-bind on, for keys with destination constraints. Raises OSError."""
        try:
            await self._connect()
            await self._bind(bytes([EXTENSION]) + string(SESSION_BIND) + contents)
        except TimeoutError:
            raise UpstreamError("the agent does not answer") from None

    async def close(self) -> None:
        if self._streams is not None:
            _reader, writer = self._streams
            self._streams = None
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _ask(self, message: bytes, seconds: float) -> bytes:
        if self._is_out_of_step:
            raise UpstreamError("the agent did not answer before")
        self._is_out_of_step = True
        try:
            async with asyncio.timeout(seconds):
                await self._connect()
                answer = await self._exchange(message)
        except TimeoutError:
            raise UpstreamError("the agent does not answer") from None
        except asyncio.IncompleteReadError:
            raise UpstreamError("the agent has hung up") from None
        self._is_out_of_step = False
        return answer

    async def _connect(self) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(self._socket)
            if self._first_bind is not None:
                await self._bind(self._first_bind)

    async def _bind(self, message: bytes) -> None:
        """Agents that know no such thing refuse it, which changes nothing; where one hangs up or
        falls silent instead, a new connection goes on without."""
        if not self._takes_binds:
            return
        try:
            async with asyncio.timeout(BIND_SECONDS):
                await self._exchange(message)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._takes_binds = False
            await self.close()
            self._streams = await asyncio.open_unix_connection(self._socket)

    async def _exchange(self, message: bytes) -> bytes:
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(framed(message))
        await writer.drain()
        length = int.from_bytes(await reader.readexactly(4))
        if not 0 < length <= MAX_MESSAGE:
            raise UpstreamError("the agent does not speak its protocol")
        return await reader.readexactly(length)
