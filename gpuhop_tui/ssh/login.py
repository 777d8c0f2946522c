"""One login to one hop: host key checked, keys offered, a person asked where only they know.

What asyncssh would decide by itself is decided here instead: it reads no ssh_config, no default
keys and no known_hosts file of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import asyncssh

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh import explain
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.algorithms import only_accepted, proposed, restrictions
from gpuhop_tui.ssh.denied import no_way, why_denied
from gpuhop_tui.ssh.dial import dial
from gpuhop_tui.ssh.host_key_check import Revocation, UnknownHostKeys, changed
from gpuhop_tui.ssh.hostbound import sign_hostbound
from gpuhop_tui.ssh.identities import Offer, offer_keys
from gpuhop_tui.ssh.key_files import KeyDeclinedError, KeyRing
from gpuhop_tui.ssh.known_hosts import KnownHosts, KnownKeys
from gpuhop_tui.ssh.known_hosts_command import command_keys
from gpuhop_tui.ssh.patience import Patience
from gpuhop_tui.ssh.prompts import ChallengeQuestion, Prompter
from gpuhop_tui.ssh.proxy import ProxyCommand
from gpuhop_tui.ssh.relay import ExecTunnel
from gpuhop_tui.ssh.session_bind import Handshake, SessionBind

LOGIN_SECONDS = 15.0  # of the machines' time; a person's does not count

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class LoginContext:
    """What all logins of one program share."""

    prompter: Prompter
    agent: Agent
    ring: KeyRing
    known_hosts: KnownHosts
    unknown_host_keys: UnknownHostKeys = field(init=False)

    def __post_init__(self) -> None:
        self.unknown_host_keys = UnknownHostKeys(self.prompter, self.known_hosts)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """An open, authenticated connection. `seconds` is how long it took the machines."""

    connection: asyncssh.SSHClientConnection
    closed: asyncio.Future[Exception | None]  # done when the connection ends, with the reason
    seconds: float
    bind: SessionBind | None = None  # for agent connections that serve this one


async def log_in(
    route: tuple[Hop, ...],
    through: asyncssh.SSHClientConnection | None,
    context: LoginContext,
    *,
    lent_socket: str | None = None,
    on_step: Callable[[str], None] = lambda _step: None,
) -> LoggedIn:
    """Logs in to the last hop of `route`, `through` the connection to the one before it.

    lent_socket: what sessions there may use as an agent; a guard's, never the agent's own.
    Raises ProblemError. Cancelling it leaves nothing open.
    """
    attempt = _Attempt(route, context, on_step)
    try:
        return await attempt.run(through, lent_socket)
    except _UnknownHostKey as unknown:
        # The key is asked about outside the connection, so that a person may take their time
        # without the server's LoginGraceTime running; then it is tried once more.
        await context.unknown_host_keys.ask(route, unknown.key, on_step)
    attempt = _Attempt(route, context, on_step)
    try:
        return await attempt.run(through, lent_socket)
    except _UnknownHostKey as unknown:
        raise ProblemError(changed(route[-1], unknown.key, context.known_hosts, "")) from None


class _UnknownHostKey(Exception):  # noqa: N818 - a question, not an error
    def __init__(self, key: asyncssh.SSHKey) -> None:
        super().__init__()
        self.key = key


class _Attempt:
    """One connection attempt, with the state that asyncssh's callbacks need."""

    def __init__(
        self, route: tuple[Hop, ...], context: LoginContext, on_step: Callable[[str], None]
    ) -> None:
        self.hop = route[-1]
        self.before = route[-2] if len(route) > 1 else None
        self.context = context
        self.known = KnownKeys()
        self.patience = Patience(
            self.hop.connect_timeout or LOGIN_SECONDS, lambda what: on_step(what or self.step)
        )
        self.step = ""
        self.closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.rejected_key: asyncssh.SSHKey | None = None
        self.declined: list[str] = []  # why keys and questions were left unsigned and unanswered
        self.password_tries = 0
        self.kbdint_tries = 0
        self.was_asked = False
        self.offer: Offer | None = None
        self.connection: asyncssh.SSHClientConnection | None = None
        self.handshake = Handshake()
        self.revocation = Revocation(self.hop)
        self._on_step = on_step
        self._agent = agent_for(self.hop, context.agent)
        self._agent_client: asyncssh.SSHAgentClient | None = None
        self._relay: ExecTunnel | None = None
        self._proxy: ProxyCommand | None = None
        self._proxy_stopped: asyncio.Future[None] | None = None

    def enter(self, step: str) -> None:
        self.step = step
        self._on_step(step)

    async def run(
        self, through: asyncssh.SSHClientConnection | None, lent_socket: str | None
    ) -> LoggedIn:
        self.enter("TCP connection")
        try:
            async with self.patience.limit():
                connection = await self._connect(through, lent_socket)
        except Exception as exc:
            problem = await self._problem(exc)
            _log.info("login to %s failed: %s", self.hop.name, problem.message)
            raise ProblemError(problem) from exc
        finally:
            if self._agent_client is not None:
                self._agent_client.close()
        seconds = self.patience.machine_seconds
        return LoggedIn(connection, self.closed, seconds, self.handshake.bind)

    async def _connect(
        self, through: asyncssh.SSHClientConnection | None, lent_socket: str | None
    ) -> asyncssh.SSHClientConnection:
        if not self.hop.auth_methods:
            raise ProblemError(no_way(self.hop))
        # Where names are hashed, looking through thousands of lines takes a while.
        self.known = await asyncio.to_thread(self.context.known_hosts.lookup, self.hop)
        if self.hop.known_hosts_command:
            self.known = self.known.joined(await command_keys(self.hop))
        options = self._options(lent_socket)
        if through is not None and self.before is not None:
            if self.before.transport == "exec":
                self._relay = ExecTunnel(through, self.before)
            options["tunnel"] = self._relay or through
        elif self.hop.proxy_command:
            self._proxy = await ProxyCommand.start(self.hop.proxy_command)
            options["sock"] = self._proxy.socket
        elif through is None:
            options["sock"] = await dial(
                self.hop.host, self.hop.port, self.hop.address_family, self.hop.bind_address
            )
        try:
            connection = await asyncssh.connect(self.hop.host, self.hop.port, **options)
            await self.revocation.passed()  # to asyncssh an aborted connection is a success
            return connection
        finally:
            if self._proxy is not None:
                self._end_with_connection(self._proxy)

    def _end_with_connection(self, proxy: ProxyCommand) -> None:
        def stop(_closed: object) -> None:
            self._proxy_stopped = asyncio.ensure_future(proxy.stop())

        self.closed.add_done_callback(stop)

    def _options(self, lent_socket: str | None) -> dict[str, Any]:
        hop = self.hop
        known = self.known
        return {
            "client_factory": lambda: _Client(self),
            "config": None,
            "username": hop.user,
            "known_hosts": (known.trusted, known.authorities, known.revoked),
            "host_key_alias": hop.host_key_alias,
            **proposed(hop, known),
            "client_keys": None,  # every key comes from public_key_auth_requested below
            "agent_forwarding": lent_socket or False,
            "x509_trusted_certs": None,
            "gss_host": None,
            "connect_timeout": None,
            "login_timeout": 0,  # Patience keeps the time
            "keepalive_interval": 0,  # the link measures and judges round trips itself
            "preferred_auth": list(hop.auth_methods),
            "encoding": None,
        }

    async def next_keys(self) -> list[asyncssh.SSHKeyPair]:
        """The keys to try next; empty when there are none left."""
        self.enter("authentication")
        if self.offer is None:
            if self._agent.socket is not None:
                self._agent_client = await self._agent.bound_client(self.handshake.bind)
            self.offer = await offer_keys(
                self.hop,
                self._agent,
                self._agent_client,
                self.context.ring,
                self.patience,
                self.declined,
            )
            if self.offer.pairs:
                return self.offer.pairs
        while self.offer.opaque:
            file = self.offer.opaque.pop(0)
            try:
                key = await self.context.ring.unlock(file, self.hop, self.patience)
            except KeyDeclinedError as exc:
                self.declined.append(str(exc))
                continue
            if pairs := only_accepted(asyncssh.load_keypairs([key]), self.hop.pubkey_algorithms):
                return pairs
        return []

    async def ask(
        self, title: str, instructions: str, prompts: tuple[tuple[str, bool], ...]
    ) -> list[str] | None:
        """Passes a server's question on to the person."""
        self.was_asked = True
        question = ChallengeQuestion(self.hop.name, title, instructions, prompts)
        self.enter("your answer")
        with self.patience.waiting_for_person():
            answers = await self.context.prompter.challenge(question)
        self.enter("authentication")
        if answers is None:
            self.declined.append("its question was not answered")
        return answers

    async def _problem(self, exc: Exception) -> Problem:
        hop = self.hop
        if revoked := await self.revocation.problem():
            return revoked
        if isinstance(exc, asyncssh.HostKeyNotVerifiable):
            key = self.rejected_key
            # Known by now: another hop of the same name was accepted while this one connected.
            accepted_meanwhile = key in self.context.known_hosts.lookup(hop).trusted
            if key is not None and (not self.known.trusted or accepted_meanwhile):
                raise _UnknownHostKey(key) from None
            return changed(hop, self.rejected_key, self.context.known_hosts, exc.reason)
        conn = self.connection
        if self.step == "SSH banner" and conn and conn.get_extra_info("server_version"):
            self.step = explain.KEY_EXCHANGE
        greeted = self.step not in explain.BEFORE_HANDSHAKE
        if self._relay is not None and not greeted and (said := self._relay.problem(hop)):
            return said
        if self._proxy is not None:
            await self._proxy.stop()
            if not greeted and not isinstance(exc, TimeoutError):
                return explain.proxy_failed(hop, self._proxy.error_text)
        problem = explain.explain(exc, hop, self.before, self.step)
        if problem.kind is ErrorKind.AUTH_DENIED:
            return why_denied(hop, self.offer, self.declined, self.was_asked) or problem
        restricted = ", ".join(restrictions(hop))
        if restricted and self.step == explain.KEY_EXCHANGE and problem.kind is ErrorKind.REFUSED:
            advice = f"compare {restricted} in ~/.ssh/config with what its sshd offers: ssh -vv"
            return replace(problem, advice=advice)
        return problem


class _Client(asyncssh.SSHClient):
    """asyncssh's callbacks, handed to the attempt."""

    def __init__(self, attempt: _Attempt) -> None:
        self._attempt = attempt

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._attempt.connection = conn
        self._attempt.revocation.watch(conn)
        self._attempt.handshake = Handshake.of(conn)
        if self._attempt.hop.hostbound:
            sign_hostbound(conn, self._attempt.handshake)
        self._attempt.enter("SSH banner")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._attempt.closed.done():
            self._attempt.closed.set_result(exc)

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        # Called for unknown *and* changed keys alike: never trusted from here.
        self._attempt.rejected_key = key
        return False

    async def public_key_auth_requested(self) -> Any:
        return await self._attempt.next_keys() or None

    async def password_auth_requested(self) -> str | None:
        attempt = self._attempt
        attempt.password_tries += 1
        if attempt.password_tries > attempt.hop.password_prompts:
            return None
        hop = attempt.hop
        prompts = ((f"{hop.user}@{hop.host}'s password: ", False),)
        answers = await attempt.ask("Password", "", prompts)
        return answers[0] if answers else None

    def kbdint_auth_requested(self) -> str | None:
        # A server that asks nothing and fails would otherwise be tried until it hangs up.
        attempt = self._attempt
        attempt.kbdint_tries += 1
        silent = attempt.kbdint_tries > 1 and not attempt.was_asked
        return None if silent or attempt.kbdint_tries > attempt.hop.password_prompts else ""

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Any
    ) -> list[str] | None:
        if not prompts:
            return []  # only a message
        return await self._attempt.ask(name, instructions, tuple(prompts))


def agent_for(hop: Hop, default: Agent) -> Agent:
    """The agent a hop uses: its IdentityAgent, or the app's."""
    if hop.identity_agent is None:
        return default
    return Agent(None if hop.identity_agent == "none" else hop.identity_agent)


def lendable_socket(hop: Hop, default: Agent) -> str | None:
    """The agent that may be lent to a hop: that of its ForwardAgent, else the one it uses."""
    return hop.forward_agent_socket or agent_for(hop, default).socket
