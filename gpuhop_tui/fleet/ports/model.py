"""Servers on a node, and what the user wants forwarded, as plain immutable data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

LOOPBACK = "127.0.0.1"

Whose = Literal["own", "container", "other"]


@dataclass(frozen=True, slots=True)
class Listener:
    """One server that listens on a node or in a container there."""

    host: str  # how the node reaches it
    port: int  # at `host`
    address: str  # what it is bound to, "*": every address
    whose: Whose
    user: str = ""  # of the process on the node, or that started the container, where known
    service: str = ""  # a `Service.id`; "": nothing that is known by name
    program: str = ""  # what it is in a word or two
    command: str = ""  # what looks like a secret masked
    pid: int | None = None
    container: str = ""  # its name, or its short id where no engine tells
    inside_port: int | None = None  # of the container, where it is published as `port`
    direct: bool = False  # reached at the container's own address
    browser: bool = True
    login: str = ""  # who logs in, at an SSH server
    # What follows host and port in a URL. It may hold a token: kept out of logs.
    page: str = field(default="/", repr=False)
    https: bool = False
    token_missing: str = ""  # why there is no token, where one is wanted

    @property
    def key(self) -> tuple[str, int]:
        return self.host, self.port


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a forward is to lead. Such is what is saved: without tokens."""

    host: str  # as the node names it; of a container, its address when it was seen last
    port: int
    local_port: int
    container: str = ""  # reached at its own address, which is looked up by this name
    program: str = ""
    service: str = ""

    @property
    def where(self) -> str:
        """The place in words."""
        if self.container:
            return f"{self.container}:{self.port}"
        return str(self.port) if self.host == LOOPBACK else f"{self.host}:{self.port}"
