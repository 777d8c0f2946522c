"""What is known of a signature before anybody decides: who asks, and as whom, at which server."""

from __future__ import annotations

from dataclasses import dataclass

from gpuhop_tui.ssh.guard.binds import Bind, BindChain
from gpuhop_tui.ssh.guard.host_key import plain_key
from gpuhop_tui.ssh.guard.model import Purpose, SignatureFacts
from gpuhop_tui.ssh.guard.names import HostNames, Named
from gpuhop_tui.ssh.guard.request import Login, SignRequest, SshSignature, purpose_of
from gpuhop_tui.ssh.guard.upstream import Identity


@dataclass(frozen=True, slots=True)
class Borrower:
    """Who the agent is lent to."""

    node: str
    via: tuple[str, ...] = ()  # bastions before it, outermost first


def gather(
    borrower: Borrower,
    request: SignRequest,
    identity: Identity,
    chain: BindChain,
    names: HostNames,
) -> SignatureFacts:
    """Reads known_hosts: not for the event loop."""
    purpose = purpose_of(request)
    kind, user, namespace, forbidden = Purpose.UNKNOWN, "", "", ""
    bound: Bind | None = None
    named = Named()
    if isinstance(purpose, SshSignature):
        kind, namespace = Purpose.SIGNATURE, purpose.namespace
    elif isinstance(purpose, Login):
        kind, user = Purpose.UNBOUND, purpose.user
        bound, forbidden = _bound_to(purpose, chain)
    if bound is not None:
        kind = Purpose.LOGIN
        named = names.of(bound.host_key)
        if named.revoked:
            forbidden = "known_hosts says that the host key there is revoked"
    if chain.failed:
        forbidden = f"its session-bind does not hold: {chain.failed}"
    return SignatureFacts(
        node=borrower.node,
        via=borrower.via,
        purpose=kind,
        key=identity.fingerprint,
        key_comment=identity.comment,
        user=user,
        destination=named.names,
        host_key=bound.host_key.fingerprint if bound else "",
        through=tuple(_name(bind, names) for bind in chain.through),
        namespace=namespace,
        forbidden=forbidden,
    )


def _bound_to(login: Login, chain: BindChain) -> tuple[Bind | None, str]:
    """The server that a login is bound to, if any, and why it must not be, if so."""
    if chain.forwards(login.session_id):
        return None, "it would log in on a connection that the agent is only lent over"
    bind = chain.destination
    if bind is None or bind.session_id != login.session_id:
        return None, ""
    if login.host_key is not None and plain_key(login.host_key) != bind.host_key.blob:
        return None, "the login names another host key than the one that was proven"
    return bind, ""


def _name(bind: Bind, names: HostNames) -> str:
    known = names.of(bind.host_key).names
    return known[0] if known else bind.host_key.fingerprint
