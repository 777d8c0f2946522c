"""HTTP/1.1 (RFC 9112) from the server's side, over any pair of streams: what the SDK needs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

_CHUNK = 65536
_LONGEST_JSON = 8 << 20
_HIJACK_SECONDS = 0.05  # between head and bytes: the SDK loses what comes with the head

_REASONS = {
    101: "UPGRADED", 200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified",
    400: "Bad Request", 404: "Not Found", 409: "Conflict", 500: "Internal Server Error",
    501: "Not Implemented",
}  # fmt: skip


class Reader(Protocol):
    """asyncio's and asyncssh's stream readers."""

    async def read(self, n: int = -1, /) -> bytes: ...

    async def readline(self) -> bytes: ...

    async def readexactly(self, n: int, /) -> bytes: ...


class Writer(Protocol):
    """asyncio's and asyncssh's stream writers."""

    def write(self, data: bytes, /) -> Any: ...

    async def drain(self) -> None: ...

    def close(self) -> None: ...


class Refused(Exception):  # noqa: N818 (an answer, not a failure)
    """What an engine answers to what it will not do: `{"message": …}` with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `value` is sent as JSON, `data` as it is."""

    status: int = 200
    value: Any = None
    data: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on: chunked, or, `hijacked`, the connection's bytes from here on."""

    chunks: AsyncGenerator[bytes, None]
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hijacked: bool = False


class Request:
    """What was asked: `path` is decoded and without "/v1.47"; `query` holds the last of each."""

    def __init__(self, method: str, target: str, headers: dict[str, str], reader: Reader) -> None:
        parts = urlsplit(target)
        words = unquote(parts.path).split("/")
        if len(words) > 1 and words[1].startswith("v1."):
            del words[1]
        self.method, self.path = method, "/".join(words)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.headers = headers
        self._reader = reader
        self._is_read = False

    def flag(self, name: str) -> bool:
        """Whether a query parameter is set to what Docker takes for true."""
        return self.query.get(name, "").lower() in ("1", "true", "t", "yes")

    def filters(self) -> dict[str, list[str]]:
        """The query's `filters`, in both forms that Docker takes."""
        found = json.loads(self.query.get("filters") or "{}")
        return {name: list(values) for name, values in found.items()}

    async def body(self) -> AsyncIterator[bytes]:
        """The body, as it comes."""
        self._is_read = True
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self._reader.readline()).partition(b";")[0], 16):
                yield await self._reader.readexactly(size)
                await self._reader.readline()
            while (await self._reader.readline()).strip():
                pass  # trailers
            return
        left = int(self.headers.get("content-length") or 0)
        while left:
            data = await self._reader.read(min(left, _CHUNK))
            if not data:
                raise EOFError
            left -= len(data)
            yield data

    async def whole_body(self, longest: int) -> bytes:
        """Raises Refused where it is longer than `longest` bytes; it is read to its end then."""
        data = bytearray()
        size = 0
        async for chunk in self.body():
            size += len(chunk)
            if size <= longest:
                data += chunk
        if size > longest:
            raise Refused(400, f"this simulated engine takes no more than {longest >> 20} MiB")
        return bytes(data)

    async def json(self) -> dict[str, Any]:
        try:
            value = json.loads(await self.whole_body(_LONGEST_JSON) or b"{}")
        except ValueError as error:
            raise Refused(400, f"invalid JSON: {error}") from None
        return value if isinstance(value, dict) else {}

    async def drain(self) -> None:
        """Reads what nobody has asked for: the next request comes after it."""
        if not self._is_read:
            async for _ in self.body():
                pass


Handler = Callable[[Request], Awaitable[Answer | Stream]]


async def serve(reader: Reader, writer: Writer, handle: Handler) -> None:
    """Answers the requests of one connection until it is closed."""
    try:
        with contextlib.suppress(EOFError, ConnectionError, ValueError):
            while (request := await _next_request(reader)) is not None:
                if not await _answer(request, reader, writer, handle):
                    return
    finally:
        writer.close()


async def _next_request(reader: Reader) -> Request | None:
    line = await reader.readline()
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(method, target, headers, reader)


async def _answer(request: Request, reader: Reader, writer: Writer, handle: Handler) -> bool:
    """Whether the connection goes on after it."""
    try:
        reply = await handle(request)
    except Refused as refused:
        reply = Answer(refused.status, {"message": str(refused)})
    await request.drain()
    if isinstance(reply, Answer):
        body = reply.data if reply.value is None else json.dumps(reply.value).encode()
        kind = {"Content-Type": "application/json"} if reply.value is not None else {}
        length = {} if reply.status in (204, 304) else {"Content-Length": str(len(body))}
        writer.write(_head(reply.status, {**kind, **length, **reply.headers}))
        if request.method != "HEAD":
            writer.write(body)
        await writer.drain()
        return request.headers.get("connection", "").lower() != "close"
    await _stream(reply, reader, writer)
    return False


async def _stream(reply: Stream, reader: Reader, writer: Writer) -> None:
    """Sends until all is sent or the client has closed its side, which ends what goes on here."""
    sending = asyncio.ensure_future(_send(reply, writer))
    leaving = asyncio.ensure_future(_closed(reader))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _send(reply: Stream, writer: Writer) -> None:
    kind = {"Content-Type": reply.content_type, **reply.headers}
    async with contextlib.aclosing(reply.chunks) as chunks:
        if reply.hijacked:
            writer.write(_head(101, {**kind, "Connection": "Upgrade", "Upgrade": "tcp"}))
            await writer.drain()
            await asyncio.sleep(_HIJACK_SECONDS)
            async for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
            return
        writer.write(_head(200, {**kind, "Transfer-Encoding": "chunked"}))
        await writer.drain()  # a stream of events says that it has begun
        async for chunk in chunks:
            if chunk:
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _closed(reader: Reader) -> None:
    with contextlib.suppress(Exception):
        while await reader.read(_CHUNK):
            pass  # what is sent beside a stream means nothing here


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Server: Docker (simulated)", "Api-Version: 1.47", "", ""]
    return "\r\n".join(lines).encode("latin-1")
