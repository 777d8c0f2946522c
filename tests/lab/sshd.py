"""A real sshd on a machine of the lab."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab import keys
from tests.lab.procfs import descendants, parent, program
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from tests.lab.machine import Machine

# Lines of sshd_config(5): one value, or several lines of the same word.
Options = Mapping[str, str | Sequence[str]]

_LISTEN = "0A"  # the state's number in /proc/net/tcp


class Sshd:
    """One listening sshd and the sessions that came from it.

    It is started in the foreground, and logs to `log_path`. Change `options` or `env` and
    `restart` to have them hold.
    """

    def __init__(
        self, machine: Machine, port: int, *, options: Options, env: Mapping[str, str]
    ) -> None:
        self.machine = machine
        self.port = port
        self.options: dict[str, str | Sequence[str]] = dict(options)
        self.env: dict[str, str] = dict(env)
        self.log_path = machine.directory / f"sshd-{port}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._listener = 0

    # Life

    def launch(self) -> None:
        """Start it without waiting; `ready` waits, so that many can start at once."""
        config = self.machine.directory / f"sshd-{self.port}.conf"
        config.write_text(self._config())
        with self.log_path.open("ab") as log:
            self._process = self.machine.popen(
                ["/usr/sbin/sshd", "-D", "-e", "-f", f"/opt/lab/{config.name}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ready(self) -> None:
        """Wait until it listens. Raises RuntimeError with its log where it does not start."""

        def listening() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.machine.name}: sshd has ended:\n{self.log()}")
            return self._is_listening()

        wait_until(listening, f"sshd of {self.machine.name} to listen")
        assert self._process is not None
        above = self._process.pid  # nsenter, which waits for the listener
        self._listener = next(p for p in self.machine.processes() if parent(p) == above)

    def start(self) -> None:
        self.launch()
        self.ready()

    def stop(self) -> None:
        """End the listener: new connections are refused, open ones live on."""
        self._end_listener(signal.SIGTERM)

    def kill(self) -> None:
        """End the listener and every connection, hard. What sessions left running runs on."""
        self._end_listener(signal.SIGKILL)
        self.drop_connections()

    def drop_connections(self) -> None:
        """Kill the processes of every open connection; the listener stays."""

        def dropped() -> bool:
            everyone = self.machine.processes()
            spared = {self._listener}
            for other in self.machine.sshds:
                if other is not self and other._listener:
                    spared |= descendants(other._listener, everyone)
            found = [p for p in everyone if program(p).startswith("sshd") and p not in spared]
            for pid in found:
                _kill(pid, signal.SIGKILL)
            return not found

        wait_until(dropped, f"connections of {self.machine.name} to end")

    def restart(self) -> None:
        """End everything of it and start again."""
        if self._process is not None:
            self.kill()
        self.start()

    def forget(self) -> None:
        """Its machine has gone, and it with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self._listener = None, 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def listener_pid(self) -> int:
        """The listener's pid as this side numbers it; 0 where it does not run."""
        return self._listener

    def connections(self) -> int:
        """How many connections are open from it, authenticated or not."""
        return sum(parent(p) == self._listener for p in self.machine.processes())

    def log(self) -> str:
        """All that it has logged so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # Its own key

    @property
    def host_key(self) -> keys.Key:
        return keys.Key(self.machine.directory / "keys" / "host")

    def rotate_host_key(self, kind: str = "ed25519") -> keys.Key:
        """Give the machine another host key and restart."""
        for path in (self.host_key.path, self.host_key.public_path, self.host_key.certificate):
            path.unlink(missing_ok=True)
        key = keys.generate(self.host_key.path, kind=kind)
        self.restart()
        return key

    # Setting up

    def _config(self) -> str:
        inside = "/opt/lab"
        defaults: dict[str, str | Sequence[str]] = {
            "Port": str(self.port),
            "AddressFamily": "inet",
            "PidFile": "none",
            "HostKey": f"{inside}/keys/host",
            "AuthorizedKeysFile": ".ssh/authorized_keys",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "yes" if self.machine.spec.pam else "no",
            "UsePAM": "yes" if self.machine.spec.pam else "no",
            "UseDNS": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "LogLevel": "VERBOSE",
            "Subsystem": "sftp internal-sftp",
        }
        if _sshd_version() >= (9, 8):
            defaults["PerSourcePenalties"] = "no"  # one test's refusals are not the next one's
        if self.env:
            defaults["SetEnv"] = " ".join(f'"{k}={v}"' for k, v in self.env.items())
        lines = []
        for word, value in {**defaults, **self.options}.items():
            lines += [f"{word} {one}" for one in ([value] if isinstance(value, str) else value)]
        # A Match block runs to the end of the file.
        lines.sort(key=lambda line: line.lower().startswith("match "))
        return "\n".join(lines) + "\n"

    def _is_listening(self) -> bool:
        table = Path(f"/proc/{self.machine.pid}/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in table]
        return any(r[3] == _LISTEN and int(r[1].split(":")[1], 16) == self.port for r in rows)

    def _end_listener(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._listener:
            _kill(self._listener, number)
        else:
            self._process.kill()
        self._process.wait(timeout=10)
        self._process, self._listener = None, 0


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


@functools.cache
def _sshd_version() -> tuple[int, int]:
    """The version of the installed OpenSSH; client and server come from one release."""
    done: subprocess.CompletedProcess[Any] = subprocess.run(
        ["ssh", "-V"], capture_output=True, text=True, timeout=10
    )
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", done.stderr)
    return (int(found[1]), int(found[2])) if found else (0, 0)
