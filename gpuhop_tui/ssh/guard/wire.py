"""Bytes of the agent protocol: messages out of a stream, fields out of a message.

draft-ietf-sshm-ssh-agent, section 3; the limits are those of OpenSSH's own agent (ssh-agent.c).
Everything here may come from a host that is not trusted: what is broken raises `WireError`.
"""

from __future__ import annotations

MAX_MESSAGE = 256 * 1024  # bytes of one message
MAX_PENDING = 2 * MAX_MESSAGE  # bytes that a client may send ahead of the answers

FAILURE, SUCCESS = 5, 6
LIST, LIST_ANSWER = 11, 12
SIGN, SIGN_ANSWER = 13, 14
EXTENSION = 27

_REFUSED = {
    1: "list SSH1 keys",
    3: "answer an SSH1 challenge",
    7: "add an SSH1 key",
    8: "remove an SSH1 key",
    9: "remove all SSH1 keys",
    17: "add a key",
    18: "remove a key",
    19: "remove all keys",
    20: "add a smartcard",
    21: "remove a smartcard",
    22: "lock the agent",
    23: "unlock the agent",
    25: "add a key with constraints",
    26: "add a smartcard with constraints",
}

ANSWER_FAILURE = bytes([FAILURE])
ANSWER_SUCCESS = bytes([SUCCESS])


class WireError(ValueError):
    """Bytes that are no message, or a message that is not what it says."""


class Messages:
    """Takes messages out of a stream, however it is cut into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole by now, without their lengths.

        Raises WireError for a length that no message has; the stream is of no use from there on.
        """
        self._buffer += data
        whole: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= 4:
            length = int.from_bytes(self._buffer[start : start + 4])
            if not 0 < length <= MAX_MESSAGE:
                raise WireError(f"a message of {length} bytes")
            end = start + 4 + length
            if len(self._buffer) < end:
                break
            whole.append(bytes(self._buffer[start + 4 : end]))
            start = end
        del self._buffer[:start]
        return whole


class Fields:
    """Reads a message field by field (RFC 4251, section 5). Every method raises WireError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        return self._take(1)[0]

    def boolean(self) -> bool:
        return self.byte() != 0

    def uint32(self) -> int:
        return int.from_bytes(self._take(4))

    def string(self) -> bytes:
        return self._take(self.uint32())

    def text(self) -> str:
        """A string for people; what is no UTF-8 is shown by its codes."""
        return self.string().decode("utf-8", "backslashreplace")

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._data):
            raise WireError(f"{len(self._data) - self._at} bytes too many")

    def _take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise WireError("cut short")
        self._at += count
        return piece


def string(data: bytes) -> bytes:
    """A field with its length before it."""
    return len(data).to_bytes(4) + data


def framed(message: bytes) -> bytes:
    """A message as it is sent."""
    return string(message)


def describe(message: bytes) -> str:
    """What a message asks for, in words for the log. Never any of its contents."""
    kind = message[0]
    if kind == EXTENSION:
        try:
            name = Fields(message[1:]).text()
        except WireError:
            name = "without a name"
        return f"extension {name[:64]}"
    return _REFUSED.get(kind, f"unknown request {kind}")
