"""From sockets, processes and containers to the servers that a user may want to reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpuhop_tui.containers.spec import SSH_PORT, STARTED_BY
from gpuhop_tui.containers.text import plain
from gpuhop_tui.fleet.ports.look import Jupyter, Process, Seen, Socket
from gpuhop_tui.fleet.ports.model import LOOPBACK, Listener
from gpuhop_tui.fleet.ports.services import (
    Service,
    base_in,
    by_port,
    jupyter_page,
    port_in,
    recognise,
    token_in,
    without_secrets,
)

EPHEMERAL = 32768  # ip_local_port_range, ip(7): what is above was mostly not chosen by a person
_SSHD = 22
_SHORT = 12
_ORDER = {"own": 0, "container": 1, "other": 2}
_BY_NAME = ("python", "python3", "sh", "bash", "node")


@dataclass(frozen=True, slots=True)
class Box:
    """A running container, as GET /containers/json has it (Docker Engine API 1.40 and later)."""

    id: str
    name: str
    owner: str = ""  # the login name of who started it, where gpuhop did
    address: str = ""  # its own, on the node
    published: tuple[tuple[str, int, int], ...] = ()  # the node's address and port, its own port
    ssh_port: int | None = None  # the node's, of its own sshd


def read_boxes(facts: Iterable[Mapping[str, Any]]) -> tuple[Box, ...]:
    """The containers that run, from the engine's list."""
    return tuple(_box(each) for each in facts if each.get("State") in ("running", None))


def _box(facts: Mapping[str, Any]) -> Box:
    names = [plain(str(each)).removeprefix("/") for each in facts.get("Names") or ()]
    networks = (facts.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = [plain(str(each.get("IPAddress") or "")) for each in networks.values() if each]
    published = {
        (plain(str(each.get("IP") or "")), int(each["PublicPort"]), int(each["PrivatePort"])): None
        for each in facts.get("Ports") or ()
        if each.get("Type", "tcp") == "tcp" and each.get("PublicPort")
    }
    labels = facts.get("Labels") or {}
    label = str(labels.get(SSH_PORT, ""))
    named = int(label) if label.isdecimal() and len(label) < 6 else None
    inside = {own: theirs for _, theirs, own in published}
    identity = plain(str(facts.get("Id") or ""))
    return Box(
        identity,
        min(names, key=len, default=identity[:_SHORT]),
        plain(str(labels.get(STARTED_BY, ""))),
        next((each for each in addresses if each), ""),
        tuple(published),
        named or inside.get(_SSHD),
    )


def listeners(
    seen: Seen, boxes: Sequence[Box] = (), inside: Mapping[str, Sequence[Jupyter]] | None = None
) -> tuple[Listener, ...]:
    """Everything that listens, own servers first, each place once. `inside`: the runtime files of
    Jupyter in containers, by the container's id."""
    finder = _Finder(seen, boxes, inside or {})
    found: dict[tuple[str, int], Listener] = {}
    for each in finder.all():
        before = found.get(each.key)
        if before is None or (_ORDER[each.whose], not each.service) < (
            _ORDER[before.whose],
            not before.service,
        ):
            found[each.key] = each
    return tuple(
        sorted(
            found.values(),
            key=lambda each: (_ORDER[each.whose], each.container, not each.service, each.port),
        )
    )


def is_minor(listener: Listener) -> bool:
    """Whether it is most likely nothing that the user is looking for."""
    if listener.service and not (listener.service == "sshd" and not listener.container):
        return False
    return listener.whose == "other" or listener.port >= EPHEMERAL or not listener.port


def wants_a_look_inside(seen: Seen, boxes: Sequence[Box], user: str) -> list[str]:
    """Ids of containers where a Jupyter runs whose token its command line does not tell. Those that
    somebody else started are left alone."""
    ids = []
    for box in boxes:
        jupyters = [
            process
            for process in seen.processes.values()
            if process.container == box.id and _is_jupyter(process)
        ]
        told = any(token_in(process.words) is not None for process in jupyters)
        if jupyters and not told and box.owner in ("", user):
            ids.append(box.id)
    return ids


def _is_jupyter(process: Process) -> bool:
    service = recognise(process.words)
    return service is not None and service.id == "jupyter"


class _Finder:
    def __init__(
        self, seen: Seen, boxes: Sequence[Box], inside: Mapping[str, Sequence[Jupyter]]
    ) -> None:
        self._seen = seen
        self._boxes = {box.id: box for box in boxes}
        self._inside = inside
        self._user = seen.names.get(seen.uid, "") if seen.uid is not None else ""
        self._holding = frozenset(seen.holders.values())
        self._on_node = {socket.inode for socket in seen.sockets if not socket.container}

    def all(self) -> Iterator[Listener]:
        for box in self._boxes.values():
            yield from self._published(box)
        for socket in self._seen.sockets:
            if not socket.container:
                yield self._of_node(socket)
            elif socket.inode not in self._on_node:  # else it shares the node's network
                yield from self._of_container(socket)

    # On the node

    def _of_node(self, socket: Socket) -> Listener:
        seen = self._seen
        process = self._process_of(socket)
        own = process is not None and (process.uid == seen.uid or seen.uid == socket.uid)
        box = process.container if process is not None else ""
        words = process.words if process is not None else ()
        service = recognise(words) if process is not None else by_port(socket.port)
        listener = Listener(
            _reached_at(socket),
            socket.port,
            _bound(socket),
            "own" if own else "container" if box else "other",
            user=seen.names.get(socket.uid, str(socket.uid)),
            service=service.id if service else "",
            program=_program(service, words, sure=process is not None),
            command=without_secrets(words),
            pid=process.pid if process is not None else None,
            container=self._name(box) if box else "",
            browser=service is None or service.browser,
        )
        if service is not None and service.id == "jupyter" and process is not None:
            files = seen.jupyters if own else self._inside.get(box, ())
            return self._with_page(listener, process, files, self._may_tell(box) or own)
        return replace(listener, page=service.path) if service is not None else listener

    def _process_of(self, socket: Socket) -> Process | None:
        """Whose socket it is: by its inode, where that can be told, else a server known by name
        that has this port and this user."""
        pid = self._seen.holders.get(socket.inode)
        if pid is not None:
            return self._seen.processes.get(pid) or Process(pid, socket.uid, "", ())
        for process in self._seen.processes.values():
            if process.uid == socket.uid and process.pid not in self._holding:
                service = recognise(process.words)
                port = port_in(process.words) or (service.port if service else None)
                if service is not None and port == socket.port:
                    return process
        return None

    # In containers

    def _published(self, box: Box) -> Iterator[Listener]:
        for address, port, own_port in box.published:
            host = LOOPBACK if address in ("", "0.0.0.0", "::") else address
            if ":" in host:
                continue  # the same port by IPv6
            yield self._in_box(
                box.id,
                own_port,
                Listener(
                    host,
                    port,
                    address if host != LOOPBACK or address == LOOPBACK else "*",
                    "container",
                    inside_port=own_port,
                ),
                ssh=port == box.ssh_port,
            )

    def _of_container(self, socket: Socket) -> Iterator[Listener]:
        box = self._boxes.get(socket.container)
        if box is not None and any(own == socket.port for _, _, own in box.published):
            return
        address = (box.address if box else "") or self._seen.addresses.get(socket.container, "")
        if not address or socket.address.is_loopback:
            return  # nothing but what is in the container reaches it
        yield self._in_box(
            socket.container,
            socket.port,
            Listener(address, socket.port, _bound(socket), "container", direct=True),
            ssh=socket.port == _SSHD,
        )

    def _in_box(self, identity: str, port: int, listener: Listener, *, ssh: bool) -> Listener:
        box = self._boxes.get(identity)
        process = self._server_in(identity, port)
        words = process.words if process is not None else ()
        service = recognise(words) or by_port(_SSHD if ssh else port)
        listener = replace(
            listener,
            user=box.owner if box else "",
            container=self._name(identity),
            service=service.id if service else "",
            program=_program(service, words, sure=process is not None or ssh),
            command=without_secrets(words),
            pid=process.pid if process is not None else None,
            browser=service is None or service.browser,
            login="root" if ssh else "",
            page=service.path if service else "/",
        )
        if service is not None and service.id == "jupyter" and process is not None:
            files = self._inside.get(identity, ())
            return self._with_page(listener, process, files, self._may_tell(identity))
        return listener

    def _server_in(self, identity: str, port: int) -> Process | None:
        """The server known by name that has this port of a container."""
        for process in self._seen.processes.values():
            service = recognise(process.words) if process.container == identity else None
            if service is not None and (port_in(process.words) or service.port) == port:
                return process
        return None

    def _name(self, identity: str) -> str:
        box = self._boxes.get(identity)
        return box.name if box is not None else identity[:_SHORT]

    def _may_tell(self, identity: str) -> bool:
        """Whether its tokens are the user's to see: not where somebody else started it."""
        box = self._boxes.get(identity)
        return box is not None and box.owner in ("", self._user)

    # Jupyter

    def _with_page(
        self, listener: Listener, process: Process, files: Sequence[Jupyter], may_tell: bool
    ) -> Listener:
        port = listener.inside_port or listener.port
        fitting = [each for each in files if each.port == port]
        fitting.sort(key=lambda each: each.pid != process.pid)
        token = token_in(process.words)
        if not may_tell:
            why = f"it was started by {listener.user or 'somebody else'}"
            return replace(listener, page=jupyter_page(base_in(process.words), None),
                           token_missing=f"its token is not told: {why}")  # fmt: skip
        if token is None and not fitting:
            return replace(
                listener,
                page=jupyter_page(base_in(process.words), None),
                token_missing="its token is in no runtime file: `jupyter server list` may tell it",
            )
        base, https = base_in(process.words), "--certfile" in " ".join(process.words)
        if fitting:
            base, https = fitting[0].base, fitting[0].https
        told = token if token is not None else fitting[0].token
        return replace(listener, page=jupyter_page(base, told or None), https=https)


def _reached_at(socket: Socket) -> str:
    if socket.address.is_unspecified:
        return LOOPBACK
    return str(socket.address)


def _bound(socket: Socket) -> str:
    return "*" if socket.address.is_unspecified else str(socket.address)


def _program(service: Service | None, words: Sequence[str], *, sure: bool) -> str:
    """What it is in a word or two."""
    if service is not None:
        return service.name if sure else f"{service.name}?"
    if not words:
        return ""
    name = words[0].rpartition("/")[2].lstrip("-") or words[0]
    if name.startswith(_BY_NAME) and len(words) > 1:
        if words[1] == "-m" and len(words) > 2:
            return f"{name} -m {words[2]}"
        script = next((word for word in words[1:] if not word.startswith("-")), "")
        return f"{name} {script.rpartition('/')[2]}".strip()
    return name
