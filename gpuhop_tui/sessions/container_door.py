"""A container's own SSH server as the last hop of a route."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from gpuhop_tui.config.hops import Route


@dataclass(frozen=True, slots=True)
class ContainerDoor:
    """Where the sshd of a container answers, and how it is known."""

    id: str
    name: str
    port: int  # of the node
    address: str = ""  # of the node at which it is published; "": all of them
    user: str = "root"
    host_key: str = ""  # "ssh-ed25519 AAAA…", as read in the container; "": not known

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def container_route(node: Route, door: ContainerDoor) -> Route:
    """The way there: beside the node, through the same bastions, where the port is published to the
    network; through the node where it is published on its loopback alone.

    The agent is lent as the node's config says. The key has a name of this very container's in
    known_hosts: the next one at that port has another.
    """
    hop = node.target
    beside = not door.address.startswith(("127.", "::1", "localhost")) and not hop.proxy_command
    inside = replace(
        hop,
        name=f"{hop.name}/{door.name}",
        host=(door.address or hop.host) if beside else (door.address or "127.0.0.1"),
        port=door.port,
        user=door.user,
        transport="tcp",
        proxy_command=None,
        host_key_alias=f"{hop.name}-{door.name}-{door.id[:12]}",
        pinned_host_key=door.host_key or None,
        known_hosts_command=(),
        host_key_algorithms=(),
    )
    if not beside:
        inside = replace(inside, bind_address=None, address_family="any")
    return Route((*(node.via if beside else node.hops), inside))
