"""A way through a bastion that forbids TCP forwarding: a command there that copies bytes.

Used for `transport = "exec"`. Each relay takes one session of the bastion's connection
(MaxSessions).
"""

from __future__ import annotations

import shlex
from typing import Any

import asyncssh

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.explain import is_about_names, sessions_refused

_PYTHON_RELAY = """
import os, socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while True:
        d = os.read(0, 65536)
        if not d: break
        s.sendall(d)
    s.shutdown(1)
t = threading.Thread(target=up); t.daemon = True; t.start()
while True:
    d = s.recv(65536)
    if not d: break
    while d: d = d[os.write(1, d):]
""".strip()

_NO_RELAY = "gpuhop: no relay program"


def relay_command(host: str, port: int) -> str:
    """A shell command, in one line, that connects its standard input and output to `host`:`port`.

    Takes the first of nc, socat, python3 and bash that the bastion has.
    """
    h, p = shlex.quote(host), str(port)
    socat_host = shlex.quote(f"TCP:[{host}]:{p}" if ":" in host else f"TCP:{host}:{p}")
    python = shlex.quote(f"exec({_PYTHON_RELAY!r})")
    bash = "exec 3<>/dev/tcp/$0/$1 || exit 1; cat <&3 & cat >&3; wait"
    script = (
        # OpenBSD's nc, unlike others, says only with -v why it could not connect.
        f"if command -v nc >/dev/null 2>&1; then v=; "
        f"case $(nc -h 2>&1) in *OpenBSD*) v=-v;; esac; exec nc $v {h} {p}; "
        f"elif command -v socat >/dev/null 2>&1; then exec socat - {socat_host}; "
        f"elif command -v python3 >/dev/null 2>&1; "
        f"then exec python3 -c {python} {h} {p}; "
        f"elif command -v bash >/dev/null 2>&1; "
        f"then exec bash -c {shlex.quote(bash)} {h} {p}; "
        f"else echo {shlex.quote(_NO_RELAY)} >&2; exit 127; fi"
    )
    return f"exec sh -c {shlex.quote(script)}"


class ExecTunnel:
    """What asyncssh takes for a tunnel: opens a relay on `bastion` for each connection."""

    def __init__(self, connection: asyncssh.SSHClientConnection, bastion: Hop) -> None:
        self._connection = connection
        self._bastion = bastion
        self.logger = connection.logger
        self.error_text = ""  # what the relay wrote to standard error
        self.exit_status: int | None = None

    async def create_connection(
        self, session_factory: Any, remote_host: str, remote_port: int
    ) -> tuple[Any, Any]:
        """Runs the relay. Raises ProblemError where the bastion opens no session for it."""
        inner = session_factory()
        try:
            channel, _ = await self._connection.create_session(
                lambda: _RelaySession(inner, self),
                relay_command(remote_host, remote_port),
                encoding=None,
            )
        except asyncssh.ChannelOpenError as exc:
            raise ProblemError(sessions_refused(self._bastion, exc.reason)) from exc
        return channel, inner

    def close(self) -> None:
        """Nothing to close: the bastion's connection is not ours."""

    async def wait_closed(self) -> None:
        """Nothing to wait for."""

    def problem(self, target: Hop) -> Problem | None:
        """What the relay says went wrong, if anything: by its words, or by its exit."""
        text = self.error_text.strip() or f"the relay there ended with status {self.exit_status}"
        lowered = text.lower()
        if _NO_RELAY in text:
            return Problem(
                self._bastion.name,
                ErrorKind.FORWARDING_DENIED,
                f"{self._bastion.name} has neither nc, socat, python3 nor bash to relay with",
                'install netcat there, or allow TCP forwarding and use transport = "tcp"',
            )
        last = text.splitlines()[-1]
        if "refused" in lowered:
            kind, advice = ErrorKind.REFUSED, "check the port and that sshd runs there"
        elif is_about_names(lowered):
            kind, advice = ErrorKind.UNRESOLVED, f"check the name as {self._bastion.name} sees it"
        elif self.exit_status:
            kind, advice = ErrorKind.UNREACHABLE, "check that the host is up"
        else:
            return None
        return Problem(
            target.name, kind, f"{target.address} from {self._bastion.name}: {last}", advice
        )


class _RelaySession(asyncssh.SSHClientSession[bytes]):
    """Hands the relay's output to the SSH connection that runs inside it."""

    def __init__(self, inner: Any, tunnel: ExecTunnel) -> None:
        self._inner = inner
        self._tunnel = tunnel

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._inner.connection_made(chan)

    def session_started(self) -> None:
        self._inner.session_started()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._tunnel.error_text = (self._tunnel.error_text + data.decode(errors="replace"))[
                -2000:
            ]
        else:
            self._inner.data_received(data)

    def exit_status_received(self, status: int) -> None:
        self._tunnel.exit_status = status

    def eof_received(self) -> bool:
        return False  # what the relay died of may still be on its way: `connection_lost` follows

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)
