"""Where a hop leads, and how it ended: plain data."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gpuhop_tui.problem import Problem
from gpuhop_tui.sessions.container_door import ContainerDoor
from gpuhop_tui.sessions.in_container import InContainer

DEFAULT_SESSION = "gpuhop"
EXIT_NO_LINK = 255  # what ssh(1) exits with for an error of its own
_NAME = re.compile(r"[^\s.:=#$%@+\-][^\s.:#]*")


@dataclass(frozen=True, slots=True)
class HopTarget:
    """A tmux session on a node, made where `create` says so and it is not there yet.

    Without `socket` it lives on a tmux server of gpuhop's own (`tmux -L gpuhop`); with it, on
    whatever server listens at that path (`tmux -S PATH`). `command` is a line for the login shell
    that the session is to run; without it the session is a shell. `run` names one such run, so
    that its exit status is found again.

    With `container` the session, still the node's, keeps a shell or a command in that container;
    `inside`, it is one of a tmux server that runs in there.
    With `door` it is one of the container's own, and the way there leads through its sshd.
    """

    session: str = DEFAULT_SESSION
    socket: str | None = None
    create: bool = True
    command: str | None = None
    directory: str | None = None
    run: str | None = None
    container: InContainer | None = None
    inside: bool = False
    door: ContainerDoor | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a name that tmux would change or take for something else."""
        if self.socket is None and not _NAME.fullmatch(self.session):
            raise ValueError(
                f"{self.session!r} cannot name a session: no spaces, dots, colons or '#', and no "
                "sign at its beginning"
            )

    @classmethod
    def shell(cls, session: str = DEFAULT_SESSION, *, directory: str | None = None) -> HopTarget:
        """The persistent shell of a node."""
        return cls(session, directory=directory)

    @classmethod
    def attached(cls, session: str, socket: str, place: InContainer | None = None) -> HopTarget:
        """A session that is there, on the node or in a container of it, by the path of its server's
        socket. It is never made."""
        inside = place is not None
        return cls(session, socket=socket, create=False, container=place, inside=inside)

    @classmethod
    def running(cls, command: str, session: str | None = None) -> HopTarget:
        """A command in a session of its own."""
        run = secrets.token_hex(4)
        return cls(session or f"run-{run}", command=command, run=run)

    @classmethod
    def in_container(
        cls, container: InContainer, *, session: str | None = None, command: str | None = None
    ) -> HopTarget:
        """The persistent shell of a container, or a command in it."""
        target = cls.shell() if command is None else cls.running(command, session)
        name = session or (container.session if command is None else target.session)
        return replace(target, session=name, container=container)

    @property
    def title(self) -> str:
        """What a person knows it by."""
        place = self.container or self.door
        if place is None:
            return self.session
        return f"{self.session} in {place.name}" if self.inside else f"container {place.name}"

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        places = {"container": self.container, "door": self.door}
        return values | {name: place and place.to_json() for name, place in places.items()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> HopTarget:
        """Raises TypeError or ValueError where it is not what `to_json` gave."""
        container, door = value.get("container"), value.get("door")
        places = {
            "container": InContainer(**container) if container else None,
            "door": ContainerDoor(**door) if door else None,
        }
        return cls(**value | places)


class HopEnd(StrEnum):
    """Why a hop ended."""

    ENDED = "ended"  # the shell or the command on the node has ended
    DETACHED = "detached"  # left by ctrl+] d or by tmux's own detach; the session runs on
    DISCONNECTED = "disconnected"  # ctrl+] x: the SSH session was closed; the session runs on
    FAILED = "failed"  # no connection, or nothing to attach to
    SIGNALLED = "signalled"  # SIGTERM, SIGHUP, or the terminal is gone; the session runs on


@dataclass(frozen=True, slots=True)
class HopResult:
    """How a hop ended, in a form for screens (`message`) and for shells (`exit_status`)."""

    end: HopEnd
    exit_status: int
    message: str
    problem: Problem | None = None
    signal: int | None = None  # the number of the signal that ended it
    output: bytes = b""  # all that a command wrote, as tmux held it: its own screen is gone
