"""Inside a container what `RemoteShell` and a link are on its node: by `docker exec`."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from gpuhop_tui.sessions.in_container import FIND_ENGINE, InContainer, one_line
from gpuhop_tui.sessions.shell import OUTPUT_LIMIT, TIMEOUT_SECONDS, Answer, ShellLink

_PROCESS = FIND_ENGINE + 'K=$1; C=$2; E exec -i ${4:+-u "$4"} "$C" sh -c "$3"'


class Shell(Protocol):
    """Runs `sh` commands somewhere, as `RemoteShell` does."""

    @property
    def node(self) -> str: ...

    async def run(
        self, script: str, *, timeout: float = TIMEOUT_SECONDS, limit: int = OUTPUT_LIMIT
    ) -> Answer: ...


class ContainerShell:
    """Runs `sh` commands in a container, through a shell on its node."""

    def __init__(self, shell: Shell, place: InContainer) -> None:
        self._shell, self._place = shell, place

    @property
    def node(self) -> str:
        """As errors name it."""
        return f"{self._shell.node}/{self._place.name}"

    async def run(
        self, script: str, *, timeout: float = TIMEOUT_SECONDS, limit: int = OUTPUT_LIMIT
    ) -> Answer:
        """As `RemoteShell.run`. What the engine refuses is said in the answer's text."""
        place = self._place
        user = f"-u {shlex.quote(place.user)} " if place.user else ""
        whole = (
            f"K={shlex.quote(place.socket)}\n{FIND_ENGINE}\n"
            f"E exec {user}{shlex.quote(place.id)} sh -c {shlex.quote(script)}\n"
        )
        return await self._shell.run(whole, timeout=timeout, limit=limit)


class TailLink(ShellLink, Protocol):
    """What a tail needs of a link; `gpuhop_tui.ssh.link.Link` is one."""

    @property
    def is_up(self) -> bool: ...

    def connection(self) -> Awaitable[object]: ...


class ContainerLink:
    """A node's link whose processes run in a container. They end with their input."""

    def __init__(self, link: TailLink, place: InContainer) -> None:
        self._link, self._place = link, place

    @property
    def name(self) -> str:
        return f"{self._link.name}/{self._place.name}"

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    def connection(self) -> Awaitable[object]:
        return self._link.connection()

    def process(self, command: str) -> AbstractAsyncContextManager[Any]:
        place = self._place
        words = ["sh", "-c", one_line(_PROCESS), "gpuhop", place.socket, place.id, command]
        return self._link.process(f"exec {shlex.join([*words, place.user])}")
