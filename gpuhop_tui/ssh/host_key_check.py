"""Host keys that are not simply known: unknown ones are asked about, changed and revoked ones stop.

asyncssh compares what a server shows with the keys on file; what follows from it is decided here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.known_hosts import KnownHosts, fingerprint, known_hosts_name
from gpuhop_tui.ssh.prompts import HostKeyAnswer, HostKeyQuestion, Prompter
from gpuhop_tui.ssh.revoked_keys import RevokedKeysError, is_revoked

_GENUINE = "someone may be listening in: ask its administrator"

_log = logging.getLogger(__name__)


class UnknownHostKeys:
    """Asks a person about unknown keys, one question at a time."""

    def __init__(self, prompter: Prompter, known_hosts: KnownHosts) -> None:
        self._prompter = prompter
        self._known_hosts = known_hosts
        self._one_at_a_time = asyncio.Lock()
        self._open = ""  # the hop that a question is open about
        self._waiting: list[Callable[[str], None]] = []  # whose questions come later

    async def ask(
        self, route: tuple[Hop, ...], key: asyncssh.SSHKey, on_step: Callable[[str], None]
    ) -> None:
        """Returns once `key` of the last hop is trusted. Raises ProblemError where it is not."""
        hop = route[-1]
        question = HostKeyQuestion(
            hop=hop.name,
            address=known_hosts_name(hop),
            route=tuple(before.name for before in route[:-1]),
            algorithm=key.get_algorithm(),
            fingerprint=fingerprint(key),
            known_hosts_file=str(hop.known_hosts_files[0]) if hop.known_hosts_files else "",
        )
        if hop.strict_host_keys:
            raise ProblemError(_unknown(hop, question))
        async with self._turn(hop, on_step):
            if key in self._known_hosts.lookup(hop).trusted:
                return  # another hop with the same name was asked about meanwhile
            answer = await self._prompter.host_key(question)
            if answer is HostKeyAnswer.REFUSE:
                raise ProblemError(_unknown(hop, question))
            await self._accept(hop, key, for_good=answer is HostKeyAnswer.ALWAYS)

    @asynccontextmanager
    async def _turn(self, hop: Hop, on_step: Callable[[str], None]) -> AsyncIterator[None]:
        """Tells each what it waits for: the open question may be out of sight of who waits for
        another one, where a hop has the terminal."""
        self._waiting.append(on_step)
        self._tell()
        try:
            async with self._one_at_a_time:
                self._waiting.remove(on_step)
                self._open = hop.name
                self._tell()
                on_step("your answer about its host key")
                try:
                    yield
                finally:
                    self._open = ""
        finally:
            if on_step in self._waiting:
                self._waiting.remove(on_step)

    def _tell(self) -> None:
        for on_step in self._waiting:
            if self._open:
                on_step(f"your answer about {self._open}, which asks first")

    async def _accept(self, hop: Hop, key: asyncssh.SSHKey, *, for_good: bool) -> None:
        if for_good and hop.known_hosts_files:
            try:
                await asyncio.to_thread(self._known_hosts.accept_always, hop, key)
            except OSError as exc:
                _log.warning("known_hosts cannot be written: %s", exc)
            else:
                return
        self._known_hosts.accept_once(hop, key)


class RevokedHostKey(asyncssh.HostKeyNotVerifiable):
    """RevokedHostKeys has the key that the server has shown, or cannot be asked."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Revocation:
    """Whether a hop's RevokedHostKeys has what its server shows.

    ssh-keygen, which may have to read the file, takes its time: the key exchange goes on meanwhile,
    but no login is asked for before the answer. What is revoked loses its connection.
    """

    def __init__(self, hop: Hop) -> None:
        self._hop = hop
        self._checks: dict[bytes, asyncio.Task[Problem | None]] = {}

    def watch(self, connection: asyncssh.SSHClientConnection) -> None:
        """asyncssh has no callback that is given a certificate."""
        file = self._hop.revoked_host_keys
        if file is None:
            return
        validate, send = connection.validate_server_host_key, connection.send_userauth_request

        def refuse(check: asyncio.Task[Problem | None]) -> None:
            if check.cancelled() or check.result():
                connection.abort()

        def examine(key_data: bytes) -> asyncssh.SSHKey:
            if key_data not in self._checks:  # later key exchanges show it again
                self._checks[key_data] = asyncio.create_task(_revoked_by(self._hop, key_data, file))
                self._checks[key_data].add_done_callback(refuse)
            return validate(key_data)

        async def once_passed(*args: Any, **options: Any) -> None:
            await self.passed()
            await send(*args, **options)

        connection.validate_server_host_key = examine  # type: ignore[method-assign]
        connection.send_userauth_request = once_passed  # type: ignore[method-assign]

    async def problem(self) -> Problem | None:
        """Why the server must not be trusted, if so."""
        for check in tuple(self._checks.values()):
            if problem := await asyncio.shield(check):
                return problem
        return None

    async def passed(self) -> None:
        """Raises RevokedHostKey."""
        if problem := await self.problem():
            raise RevokedHostKey(problem)


async def _revoked_by(hop: Hop, key_data: bytes, file: Path) -> Problem | None:
    try:
        revoked = await asyncio.to_thread(is_revoked, key_data, file)
    except RevokedKeysError as error:
        return _unchecked(hop, str(error))
    except Exception as error:  # whatever a stranger's bytes do: no trust then
        return _unchecked(hop, f"{type(error).__name__}: {error}")
    return _revoked(hop) if revoked else None


def changed(hop: Hop, key: asyncssh.SSHKey | None, known_hosts: KnownHosts, reason: str) -> Problem:
    """The problem of a key that is not the one on file. `key` is None where asyncssh itself has
    refused it, for `reason`: a revoked key, or a certificate that does not hold."""
    lines = ", ".join(str(line) for line in known_hosts.lines(hop))
    lines = lines or ("its KnownHostsCommand" if hop.known_hosts_command else "known_hosts")
    name = known_hosts_name(hop)
    if hop.pinned_host_key is not None:
        return _not_pinned(hop, key, reason)
    if key is None and "revoked" in reason.lower():
        message = f"the host key of {name} is marked as revoked ({lines})"
    elif key is None:
        message = f"the host certificate of {name} is not valid: {reason} ({lines})"
    else:
        message = (
            f"the host key of {name} has changed: now {key.get_algorithm()} {fingerprint(key)}, "
            f"not what {lines} says"
        )
    file = hop.known_hosts_files[0] if hop.known_hosts_files else "~/.ssh/known_hosts"
    return Problem(
        hop.name,
        ErrorKind.HOST_KEY_CHANGED,
        message,
        f"{_GENUINE}. Only if the change is genuine: ssh-keygen -f {file} -R '{name}'",
    )


def _not_pinned(hop: Hop, key: asyncssh.SSHKey | None, reason: str) -> Problem:
    shown = f"{key.get_algorithm()} {fingerprint(key)}" if key is not None else reason
    return Problem(
        hop.name,
        ErrorKind.HOST_KEY_CHANGED,
        f"the host key at {hop.address} is not the one that {hop.name} has made: {shown}",
        "another server answers at that port: look at `docker ps` on the node, and ask its "
        "administrator before you go on",
    )


def _unknown(hop: Hop, question: HostKeyQuestion) -> Problem:
    strict = ", and StrictHostKeyChecking asks nobody" if hop.strict_host_keys else ""
    return Problem(
        hop.name,
        ErrorKind.HOST_KEY_UNKNOWN,
        f"the host key of {question.address} is not known{strict}: "
        f"{question.algorithm} {question.fingerprint}",
        "compare the fingerprint with what its administrator says, then accept it in the "
        "dashboard, or log in once with ssh",
    )


def _revoked(hop: Hop) -> Problem:
    return Problem(
        hop.name,
        ErrorKind.HOST_KEY_CHANGED,
        f"the host key of {known_hosts_name(hop)} is revoked by {hop.revoked_host_keys}",
        f"{_GENUINE}, who must give the server another host key",
    )


def _unchecked(hop: Hop, reason: str) -> Problem:
    return Problem(
        hop.name,
        ErrorKind.HOST_KEY_UNKNOWN,
        f"no host key is trusted: RevokedHostKeys {hop.revoked_host_keys} cannot be asked: "
        f"{reason}",
        "mend the file, or take RevokedHostKeys out of ~/.ssh/config",
    )
