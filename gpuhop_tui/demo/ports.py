"""What listens on a node of the demo: its containers' servers, which answer with one page each that
says that it is simulated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gpuhop_tui.demo.engine.container import Container
from gpuhop_tui.demo.engine.http import Answer, Reader, Request, Writer, serve
from gpuhop_tui.demo.machine import UID, Machine

_PAGE = """<!doctype html><title>simulated</title>
<h1>{name}</h1><p>This is the demo of gpuhop-tui: nothing stands behind this page. The way to it,
through bastion and node, is a real one.</p>"""
_ROOT = 0


def seen(machine: Machine) -> str:
    """What `gpuhop_tui.fleet.ports.look` prints."""
    user = machine.node.user
    lines = [f"uid {UID}", f"name {UID} {user}", f"name {_ROOT} root"]
    lines.append(f"listen - {_place(22)} {_ROOT} 100")
    for number, container in enumerate(_running(machine), start=1):
        inode = 1000 + 10 * number
        lines.append(f"address {container.id} {_address(number)}")
        for inner, outer in _ports(container):
            lines.append(f"listen - {_place(outer)} {_ROOT} {inode + 1}")
            lines.append(f"listen {container.id} {_place(inner)} {_ROOT} {inode}")
            lines.append(f"holds {container.pid} {inode}")
        words = "\x01".join(container.command)
        lines.append(f"process {container.pid} {_ROOT} {container.id} {words}")
    return "\n".join([*lines, ""])


def at(machine: Machine, host: str, port: int) -> Container | None:
    """The container whose server answers there, as seen from the node."""
    local = host in ("localhost", "127.0.0.1", "::1", machine.node.host)
    for number, container in enumerate(_running(machine), start=1):
        for inner, outer in _ports(container):
            if (local and port == outer) or (host == _address(number) and port == inner):
                return container
    return None


async def show_page(container: Container, reader: Reader, writer: Writer) -> None:
    """Answers whatever is asked of a server with its page."""

    async def page(_: Request) -> Answer:
        text = _PAGE.format(name=container.name).encode()
        return Answer(data=text, headers={"Content-Type": "text/html; charset=utf-8"})

    with contextlib.suppress(OSError):
        await serve(reader, writer, page)


def _running(machine: Machine) -> list[Container]:
    containers = machine.engine.containers.values() if machine.engine is not None else ()
    return [each for each in containers if each.running]


def _ports(container: Container) -> Iterator[tuple[int, int]]:
    """Ports of the container, and of the node."""
    for name, bindings in container.ports.items():
        for binding in bindings:
            yield int(name.partition("/")[0]), int(binding["HostPort"])


def _address(number: int) -> str:
    return f"172.17.0.{number + 1}"


def _place(port: int) -> str:
    """Every address, as proc_pid_net(5) has it."""
    return f"00000000:{port:04X}"
