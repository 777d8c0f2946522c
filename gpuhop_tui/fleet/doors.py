"""Containers that run now and have an sshd of their own, as ways in."""

from __future__ import annotations

from collections.abc import Iterator

from gpuhop_tui.config.ssh_export import LOOPBACK, Door
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.spec import SSH_PORT
from gpuhop_tui.fleet.state import NodeState

_SSHD = 22


def container_doors(node: NodeState) -> Iterator[Door]:
    """One for each running container that was started with an `ssh_port`, or that publishes its
    port 22 on the node."""
    listing = node.containers
    for container in listing.containers if listing else ():
        if not container.running:
            continue
        if (published := published_sshd(container)) is not None:
            port, address = published
            user = login_user(container)
            yield Door(node.name, container.name, port, address or LOOPBACK, user)


def login_user(container: Container) -> str:
    """Who logs in there: the user of its program, where that is a name."""
    user = container.user.partition(":")[0]
    return user if user and not user.isdecimal() else "root"


def published_sshd(container: Container) -> tuple[int, str] | None:
    """Port and address of the node at which the container's sshd answers."""
    label = container.labels.get(SSH_PORT, "")
    named = int(label) if label.isdecimal() and len(label) < 6 else None
    for port in container.ports:
        if port.host_port is None or port.protocol != "tcp":
            continue
        if port.host_port == named or (named is None and port.container_port == _SSHD):
            return port.host_port, port.host_ip
    return (named, "") if named is not None else None
