"""Hops and routes: what one SSH login needs to know, and the chain of them that leads to a node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Transport = Literal["tcp", "exec"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way to a node, fully resolved. Paths are absolute, tokens expanded.

    Two hops that are equal are the same login, and share a connection.
    """

    name: str  # as shown and as named in errors
    host: str
    port: int
    user: str
    transport: Transport = "tcp"  # how the *next* hop is reached through this one
    forward_agent: bool = False
    identity_files: tuple[Path, ...] = ()  # a `.pub` names a key that the agent holds
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False  # IdentitiesOnly: offer no agent key beside identity_files
    identity_agent: str | None = None  # socket path; None: the app's agent; "none": no agent
    host_key_alias: str | None = None
    known_hosts_files: tuple[Path, ...] = ()  # searched in order; the first is written to
    proxy_command: str | None = None  # only for the outermost hop
    connect_timeout: float | None = None  # seconds, ConnectTimeout
    forward_agent_socket: str | None = None  # agent to lend instead, where ForwardAgent names one

    @property
    def address(self) -> str:
        """`host`, or `host:port` where the port is not 22, as a person would write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 22 else f"{host}:{self.port}"

    @property
    def host_key_name(self) -> str:
        """The name that known_hosts is asked for (HostKeyAlias, else the host)."""
        return self.host_key_alias or self.host


@dataclass(frozen=True, slots=True)
class Route:
    """The chain of hops to one target, outermost bastion first, the target last."""

    hops: tuple[Hop, ...]

    @property
    def target(self) -> Hop:
        return self.hops[-1]

    @property
    def via(self) -> tuple[Hop, ...]:
        return self.hops[:-1]

    @property
    def parent(self) -> Route | None:
        """The route to the last bastion before the target, or None where it is reached directly."""
        return Route(self.hops[:-1]) if len(self.hops) > 1 else None
