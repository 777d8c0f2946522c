"""An SSH agent of the demo's own, with one key: lists it, signs with it, refuses all else.

Protocol: draft-ietf-sshm-ssh-agent. A message is a uint32 length, a type, and its contents.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from asyncssh import SSHKey

FAILURE = 5
REQUEST_IDENTITIES = 11
IDENTITIES_ANSWER = 12
SIGN_REQUEST = 13
SIGN_RESPONSE = 14

_LONGEST = 256 * 1024  # bytes of a message, as OpenSSH's agent allows


class DemoAgent:
    """Serves `key` on a unix socket. The directory of the socket has to be private."""

    def __init__(self, key: SSHKey, comment: str) -> None:
        self._key = key
        self._comment = comment.encode()

    async def serve(self, path: Path) -> asyncio.AbstractServer:
        return await asyncio.start_unix_server(self._talk, path)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                if not 0 < length <= _LONGEST:
                    break
                writer.write(_string(self.answer(await reader.readexactly(length))))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()

    def answer(self, message: bytes) -> bytes:
        """The answer to one message, both without their length."""
        if message[:1] == bytes([REQUEST_IDENTITIES]):
            identity = _string(self._key.public_data) + _string(self._comment)
            return bytes([IDENTITIES_ANSWER]) + (1).to_bytes(4, "big") + identity
        if message[:1] == bytes([SIGN_REQUEST]):
            blob, rest = _take_string(message[1:])
            data, _ = _take_string(rest)
            if blob is not None and data is not None and blob == self._key.public_data:
                signature = self._key.sign(data, self._key.algorithm)
                return bytes([SIGN_RESPONSE]) + _string(signature)
        return bytes([FAILURE])


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _take_string(data: bytes) -> tuple[bytes | None, bytes]:
    """The string at the head of `data` (None where it is cut short) and what follows."""
    end = 4 + int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < end:
        return None, b""
    return data[4:end], data[end:]
