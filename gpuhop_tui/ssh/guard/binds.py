"""Which servers an agent connection leads through, and to: verified `session-bind@openssh.com`.

PROTOCOL.agent of OpenSSH, section 1, with the rules of its agent (ssh-agent.c). Each bind says: a
server has proven its host key for this session. A bind for forwarding passes the agent on to that
server; the last one, not for forwarding, names where somebody is about to log in.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuhop_tui.ssh.guard.host_key import HostKey, HostKeyError, read_host_key
from gpuhop_tui.ssh.guard.wire import Fields

MAX_BINDS = 16
MAX_SESSION_ID = 128  # bytes


class BindError(ValueError):
    """A bind that does not hold, and why."""


class UnverifiableError(BindError):
    """A bind by a host key of a kind that cannot be verified here: no lie, but no proof."""


@dataclass(frozen=True, slots=True)
class Bind:
    """One server that a connection is bound to."""

    host_key: HostKey
    session_id: bytes
    is_forwarding: bool


def read_bind(contents: bytes) -> Bind:
    """The bind in an extension request, after its name. Its signature holds.

    Raises WireError where it is broken, BindError where it proves nothing.
    """
    fields = Fields(contents)
    key, session_id, signature = fields.string(), fields.string(), fields.string()
    is_forwarding = fields.boolean()
    fields.end()
    if not 0 < len(session_id) <= MAX_SESSION_ID:
        raise BindError("its session id has an impossible length")
    try:
        host_key = read_host_key(key)
    except HostKeyError as error:
        raise UnverifiableError(f"its host key cannot be read: {error}") from None
    if not host_key.verifies(session_id, signature):
        raise BindError("its signature is not by that host key")
    return Bind(host_key, session_id, is_forwarding)


class BindChain:
    """The binds of one connection, in order. `failed` says why it is not believed any more."""

    def __init__(self, first: Bind | None = None) -> None:
        """`first`: of the connection that the agent is lent over, verified by its login."""
        self._own = 1 if first else 0
        self._binds: list[Bind] = [first] if first else []
        self.failed = ""

    def add(self, bind: Bind) -> bool:
        """Appends a verified bind; whether it is new. Raises BindError where it does not fit."""
        for known in self._binds:
            if not known.is_forwarding:
                raise BindError("the connection is bound for a login already")
            same_session = known.session_id == bind.session_id
            if same_session and known.host_key == bind.host_key:
                return False
            if same_session:
                raise BindError("its session id is bound to another host key already")
        if len(self._binds) >= MAX_BINDS:
            raise BindError(f"more than {MAX_BINDS} servers in a row")
        self._binds.append(bind)
        return True

    @property
    def destination(self) -> Bind | None:
        """Where the last bind logs in to; None where it forwards, or there is none."""
        last = self._binds[-1] if self._binds else None
        return last if last is not None and not last.is_forwarding else None

    @property
    def through(self) -> tuple[Bind, ...]:
        """The servers that the agent was passed on to behind the one it is lent to, nearest
        first."""
        return tuple(bind for bind in self._binds[self._own :] if bind.is_forwarding)

    def forwards(self, session_id: bytes) -> bool:
        """Whether this is the session of a server that only passes the agent on."""
        return any(b.is_forwarding and b.session_id == session_id for b in self._binds)
