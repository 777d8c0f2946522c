"""Hops and routes: what one SSH login needs to know, and the chain of them that leads to a node."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Transport = Literal["tcp", "exec"]
AddressFamily = Literal["any", "inet", "inet6"]

# Ways to log in, RFC 4252 and RFC 4256, in the order to try: ssh's own, without those that need
# Kerberos or a host's key.
AUTH_METHODS = ("publickey", "keyboard-interactive", "password")


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
    bind_address: str | None = None  # BindAddress of the TCP connection; only for the outermost hop
    address_family: AddressFamily = "any"  # as bind_address
    auth_methods: tuple[str, ...] = AUTH_METHODS  # in the order to try
    hostbound: bool = True  # signatures name the host key; False: PubkeyAuthentication unbound
    password_prompts: int = 3  # NumberOfPasswordPrompts
    # Algorithms by their SSH names, in order of preference; empty: as usual.
    host_key_algorithms: tuple[str, ...] = ()
    kex_algorithms: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    pubkey_algorithms: tuple[str, ...] = ()  # PubkeyAcceptedAlgorithms: of keys that are offered
    revoked_host_keys: Path | None = None  # RevokedHostKeys: a list of keys, or a KRL
    known_hosts_command: tuple[str, ...] = ()  # KnownHostsCommand: prints known_hosts lines
    pinned_host_key: str | None = None  # "TYPE BASE64": the only one trusted, whatever files say
    strict_host_keys: bool = False  # an unknown host key is refused without a question
    hash_known_hosts: bool = field(default=False, compare=False)  # hash names when writing
    # Settings of ssh_config that matter and are not followed, by name, to be told to the person.
    not_followed: tuple[str, ...] = field(default=(), compare=False)

    @property
    def address(self) -> str:
        """`host`, or `host:port` where the port is not 22, as a person would write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 22 else f"{host}:{self.port}"


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
