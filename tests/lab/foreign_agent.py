"""An agent that is not OpenSSH's: it lists and signs, and answers FAILURE to all else.

It knows nothing of asyncssh: bytes on a socket, as 1Password, Secretive or gpg-agent would send.
"""

from __future__ import annotations

import hashlib
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FAILURE, LIST, LISTED, SIGN, SIGNED, EXTENSION = 5, 11, 12, 13, 14, 27

Habit = Literal["refuses", "hangs up", "is silent"]


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def take_string(data: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end], data[end:]


@dataclass
class SoftKey:
    """An ed25519 key in memory; `application` makes it a security key (sk), touched at once."""

    application: bytes = b""
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def algorithm(self) -> bytes:
        return b"sk-ssh-ed25519@openssh.com" if self.application else b"ssh-ed25519"

    @property
    def blob(self) -> bytes:
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        application = string(self.application) if self.application else b""
        return string(self.algorithm) + string(public) + application

    def sign(self, data: bytes) -> bytes:
        """PROTOCOL.u2f of OpenSSH for a security key: flags (1: touched) and a counter."""
        if not self.application:
            return string(self.algorithm) + string(self.private.sign(data))
        state = b"\x01" + (7).to_bytes(4, "big")
        signed = hashlib.sha256(self.application).digest() + state + hashlib.sha256(data).digest()
        return string(self.algorithm) + string(self.private.sign(signed)) + state


class ForeignAgent:
    """Serves keys on a socket, each connection in a thread. `habit`: what it does with requests
    that it does not know."""

    def __init__(self, path: Path, *keys: SoftKey, habit: Habit = "refuses") -> None:
        self.socket = path
        self.requests: list[int] = []  # the kinds of all requests, in order
        self.comment = b"foreign"
        self.signs = threading.Event()  # unset: it lets those wait who want a signature
        self.signs.set()
        self._keys = keys
        self._habit = habit
        self._ended = threading.Event()
        agent = self

        class Talk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                agent._talk(self.rfile.read, self.wfile.write)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(str(path), Talk)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def _talk(self, read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
        while len(length := read(4)) == 4:
            message = read(int.from_bytes(length, "big"))
            self.requests.append(message[0])
            answer = self._answer(message)
            if answer is None and self._habit == "hangs up":
                return
            if answer is None and self._habit == "is silent":
                self._ended.wait()
                return
            write(string(answer or bytes([FAILURE])))

    def _answer(self, message: bytes) -> bytes | None:
        """None: a request that it does not know."""
        if message[0] == LIST:
            keys = b"".join(string(key.blob) + string(self.comment) for key in self._keys)
            return bytes([LISTED]) + len(self._keys).to_bytes(4, "big") + keys
        if message[0] == SIGN:
            blob, rest = take_string(message[1:])
            data, _flags = take_string(rest)
            self.signs.wait()
            for key in self._keys:
                if key.blob == blob:
                    return bytes([SIGNED]) + string(key.sign(data))
            return bytes([FAILURE])
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.signs.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.socket.unlink()
