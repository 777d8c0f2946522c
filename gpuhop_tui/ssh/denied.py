"""Why a login was denied: what a person can mend is rarely what the server says."""

from __future__ import annotations

from collections.abc import Sequence

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.identities import Offer
from gpuhop_tui.ssh.known_hosts import known_hosts_name


def why_denied(
    hop: Hop, offer: Offer | None, declined: Sequence[str], was_asked: bool
) -> Problem | None:
    """The reason on this side, or None where the keys were just not the right ones.

    offer: the keys that were tried; declined: why keys and questions were left unsigned and
    unanswered; was_asked: whether the server's questions were passed on to the person.
    """
    if declined:
        return _denied(
            hop,
            f"{hop.user}@{hop.address}: {declined[-1]}",
            "retry to be asked again; a key that your agent holds needs no passphrase: ssh-add",
        )
    if was_asked:
        return _denied(
            hop,
            f"{hop.user}@{hop.address} did not accept the answers to its questions",
            "retry to be asked again",
        )
    if "publickey" not in hop.auth_methods:
        return _denied(
            hop,
            f"{hop.user}@{hop.address} accepts none of the ways to log in that ssh_config leaves: "
            f"{', '.join(hop.auth_methods)}",
            "see PreferredAuthentications and PubkeyAuthentication in ~/.ssh/config",
        )
    if offer is None:
        return None
    if offer.not_accepted and not offer.pairs:
        return _denied(
            hop,
            f"no key to offer {hop.name}: PubkeyAcceptedAlgorithms in ssh_config rules out "
            f"{'all' if offer.not_accepted > 1 else 'the only one'} of {offer.not_accepted}",
            "use a key of another type, or extend PubkeyAcceptedAlgorithms in ~/.ssh/config",
        )
    if offer.withheld:
        return _denied(
            hop,
            f"the agent lets none of its keys be used for {hop.user}@{hop.address} "
            f"({offer.withheld} held, each for other destinations)",
            f"allow it when adding the key: ssh-add -h '{known_hosts_name(hop)}' (and -h for every "
            "other host it is to reach)",
        )
    if offer.key_files or offer.agent_keys:
        return None
    if offer.agent_problem:
        return Problem(
            hop.name,
            ErrorKind.AGENT_MISSING,
            f"no key to offer {hop.name}: {offer.agent_problem}, and there is no key file",
            "start an agent and add your key: gpuhop-tui keys --start-agent --add, or "
            "eval $(ssh-agent); ssh-add",
        )
    return Problem(
        hop.name,
        ErrorKind.AGENT_EMPTY,
        f"no key to offer {hop.name}: the agent holds no keys, and there is no key file",
        "add your key to the agent: ssh-add",
    )


def no_way(hop: Hop) -> Problem:
    """ssh_config leaves no way to log in that is known here."""
    return _denied(
        hop,
        f"ssh_config leaves no way to log in to {hop.name} that gpuhop knows",
        "see PreferredAuthentications, PubkeyAuthentication, PasswordAuthentication and "
        "KbdInteractiveAuthentication in ~/.ssh/config; Kerberos and host-based logins are not "
        "followed",
    )


def _denied(hop: Hop, message: str, advice: str) -> Problem:
    return Problem(hop.name, ErrorKind.AUTH_DENIED, message, advice)
