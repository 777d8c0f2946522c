"""Turns what asyncssh and the operating system raise into a `Problem` that a person can act on."""

from __future__ import annotations

import socket

import asyncssh

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

# Reason codes of RFC 4254, section 5.1.
_OPEN_PROHIBITED = 1
_OPEN_CONNECT_FAILED = 2

# Steps of a login. A server that has shown its banner is an SSH server, and not overloaded.
BEFORE_HANDSHAKE = ("", "TCP connection", "SSH banner")
KEY_EXCHANGE = "key exchange"


def explain(exc: BaseException, hop: Hop, before: Hop | None, step: str) -> Problem:
    """The problem that `exc` is. `before` is the bastion through which `hop` was reached."""
    match exc:
        case ProblemError():
            return exc.problem
        case TimeoutError():
            return timed_out(hop, before, step)
        case asyncssh.ChannelOpenError():
            return _channel_refused(exc, hop, before)
        case asyncssh.DisconnectError():
            return _disconnected(exc, hop, step)
        case socket.gaierror():
            return _unresolved(hop, exc.strerror or str(exc))
        case OSError():
            return _from_errno(exc, hop, step)
    return Problem(
        hop.name,
        ErrorKind.LOST,
        f"{step or 'connecting'} failed: {exc or type(exc).__name__}",
        "see the log file (--log-file) for details; gpuhop tries again by itself",
    )


def timed_out(hop: Hop, before: Hop | None, step: str) -> Problem:
    where = f" through {before.name}" if before else ""
    return Problem(
        hop.name,
        ErrorKind.TIMEOUT,
        f"no answer from {hop.address}{where} while waiting for {step or 'the connection'}",
        "check that the host is up and that a firewall lets SSH through",
    )


def proxy_failed(hop: Hop, text: str) -> Problem:
    """The hop's ProxyCommand ended before the handshake; `text` is what it said."""
    return Problem(
        hop.name,
        ErrorKind.UNREACHABLE,
        f"the ProxyCommand of {hop.name} failed: {(text or 'it ended').splitlines()[-1]}",
        f"try it by hand: {hop.proxy_command}",
    )


def lost(hop: Hop, reason: str) -> Problem:
    return Problem(
        hop.name,
        ErrorKind.LOST,
        f"connection lost: {reason}",
        "nothing to do: it is tried again by itself",
    )


def sessions_refused(hop: Hop, reason: str) -> Problem:
    """The server opens no further session on this connection (MaxSessions, sshd_config(5))."""
    return Problem(
        hop.name,
        ErrorKind.OVERLOADED,
        f"the server refused a session: {reason or 'no reason given'}",
        "MaxSessions in its sshd_config may be too low, or PermitOpen/ForceCommand forbids it",
    )


def is_about_names(text: str) -> bool:
    """Whether `text`, the far side's words, says that a host name does not resolve: the wordings
    of getaddrinfo(3) in glibc, musl and the BSDs."""
    wordings = ("name or service", "name resolution", "resolve", "nodename", "not known")
    return any(wording in text.lower() for wording in wordings)


def _channel_refused(exc: asyncssh.ChannelOpenError, hop: Hop, before: Hop | None) -> Problem:
    reason = exc.reason.strip()
    text = reason.lower()
    if exc.code == _OPEN_PROHIBITED and before is not None:
        return Problem(
            before.name,
            ErrorKind.FORWARDING_DENIED,
            f"{before.name} does not allow TCP forwarding to {hop.address}",
            f'set transport = "exec" for the bastion {before.name}, or ask its administrator '
            "for AllowTcpForwarding",
        )
    if "refused" in text:
        return _refused(hop)
    if is_about_names(text):
        return _unresolved(hop, reason, before)
    if "timed out" in text or "timeout" in text:
        return timed_out(hop, before, "TCP connection")
    if exc.code == _OPEN_CONNECT_FAILED and "closed" in text and before is not None:
        return lost(before, reason)
    return _unreachable(hop, reason or "no reason given", before)


def _disconnected(exc: asyncssh.DisconnectError, hop: Hop, step: str) -> Problem:
    reason = exc.reason.strip()
    if isinstance(exc, asyncssh.PermissionDenied) or "too many authentication" in reason.lower():
        return Problem(
            hop.name,
            ErrorKind.AUTH_DENIED,
            f"{hop.user}@{hop.address} accepted none of the keys offered"
            + (f" ({reason})" if "too many" in reason.lower() else ""),
            f"check the user name and that your public key is in ~/.ssh/authorized_keys of "
            f"{hop.user} on {hop.name}; name one key with identity_file if the agent holds many",
        )
    if isinstance(exc, asyncssh.KeyExchangeFailed):
        return Problem(
            hop.name,
            ErrorKind.REFUSED,
            f"no common algorithm with {hop.address}: {reason}",
            "the server's OpenSSH is too old or restricted: ask its administrator to update it",
        )
    if isinstance(exc, asyncssh.ConnectionLost):
        return _closed(hop, step, reason or "closed by the server")
    if step in (*BEFORE_HANDSHAKE, KEY_EXCHANGE):
        return Problem(
            hop.name,
            ErrorKind.REFUSED,
            f"{hop.address} does not speak SSH 2.0 as it should: {reason}",
            "check the port: another kind of server may listen there",
        )
    return lost(hop, reason or "closed by the server")


def _from_errno(exc: OSError, hop: Hop, step: str) -> Problem:
    if isinstance(exc, ConnectionRefusedError):
        return _refused(hop)
    if isinstance(exc, ConnectionResetError | BrokenPipeError):
        return _closed(hop, step, exc.strerror or "connection reset")
    return _unreachable(hop, exc.strerror or str(exc), None)


def _closed(hop: Hop, step: str, reason: str) -> Problem:
    if step in BEFORE_HANDSHAKE:
        # sshd drops connections beyond MaxStartups before it says a word.
        return Problem(
            hop.name,
            ErrorKind.OVERLOADED,
            f"{hop.address} closed the connection before the SSH handshake",
            "its sshd is overloaded (MaxStartups), penalises this address, or is not an SSH "
            "server; it is tried again by itself",
        )
    if step == KEY_EXCHANGE:
        # sshd hangs up where no algorithm is common: often before its own proposal is read.
        return Problem(
            hop.name,
            ErrorKind.REFUSED,
            f"{hop.address} ended the key exchange: {reason}",
            "there may be no common algorithm: its administrator finds the reason in sshd's log",
        )
    return lost(hop, reason)


def _refused(hop: Hop) -> Problem:
    return Problem(
        hop.name,
        ErrorKind.REFUSED,
        f"{hop.address} refuses connections",
        "the host is up, but no SSH server listens on that port: check the port and its sshd",
    )


def _unreachable(hop: Hop, reason: str, before: Hop | None) -> Problem:
    where = f" from {before.name}" if before else ""
    return Problem(
        hop.name,
        ErrorKind.UNREACHABLE,
        f"{hop.address} cannot be reached{where}: {reason}",
        "check the network (VPN?) and that the host is up",
    )


def _unresolved(hop: Hop, reason: str, before: Hop | None = None) -> Problem:
    where = f" on {before.name}" if before else ""
    return Problem(
        hop.name,
        ErrorKind.UNRESOLVED,
        f"the name {hop.host} does not resolve{where}: {reason}",
        "check the host name in the config, and your network's DNS",
    )
