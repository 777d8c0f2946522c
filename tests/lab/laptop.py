"""The user's machine: a home of its own, an agent, OpenSSH that knows only that home."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from tests.lab import keys
from tests.lab.agent import Agent
from tests.lab.network import Host, Interface
from tests.lab.sshd import Sshd

_CLONE_NEWNET = 0x40000000  # sched.h; os.setns comes with Python 3.12

# ssh(1) takes the home from the user database, not from $HOME: show it another one.
_SSH = """#!/bin/sh
exec unshare --mount sh -c 'mount --bind {passwd} /etc/passwd && exec {ssh} "$@"' ssh "$@"
"""


class Laptop(Host):
    """Runs programs as the user would: `run`, `arun`, `popen`, or in-process with `entered`."""

    def __init__(self, interface: Interface, directory: Path) -> None:
        super().__init__("laptop", [interface])
        self.home = directory / "home"
        self.ssh_dir = self.home / ".ssh"
        self.known_hosts = self.ssh_dir / "known_hosts"
        self.config_path = self.home / ".config" / "gpuhop-tui" / "config.toml"
        self._lay_out(directory)
        self.key = keys.generate(self.ssh_dir / "id_ed25519", comment="lab@laptop")
        self.agent = Agent(self, directory / "agent")

    def end(self) -> None:
        super().end()
        self.agent.stop()

    # Environment

    def environ(self) -> dict[str, str]:
        """The whole environment of a program on the laptop; nothing of the host's user in it."""
        programs = f"{self.home / 'bin'}:{Path(sys.executable).parent}"
        return {
            "HOME": str(self.home),
            "USER": "root",
            "LOGNAME": "root",
            "SHELL": "/bin/bash",
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "TMPDIR": str(self.home / "tmp"),
            "SSH_AUTH_SOCK": str(self.agent.socket),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_DATA_HOME": str(self.home / ".local" / "share"),
            "XDG_STATE_HOME": str(self.home / ".local" / "state"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
        }

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put this thread onto the laptop's network, and its environment into os.environ.

        Sockets opened by this thread (an event loop in it, asyncssh on that) start from the
        laptop, and so do its children and the threads it makes meanwhile.
        """
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(namespace: int) -> None:
            if libc.setns(namespace, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

        before = dict(os.environ)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            enter(there)
            os.environ.update(self.environ())
            for name in ("SSH_CONNECTION", "SSH_ASKPASS", "GPUHOP_CONFIG"):
                os.environ.pop(name, None)
            try:
                yield
            finally:
                for name in os.environ.keys() - before.keys() - {"PYTEST_CURRENT_TEST"}:
                    del os.environ[name]
                os.environ.update({k: v for k, v in before.items() if k != "PYTEST_CURRENT_TEST"})
                enter(here)
        finally:
            os.close(here)
            os.close(there)

    # Files

    def trust(self, sshds: Iterable[Sshd], *, hashed: bool = False) -> None:
        """Write the host keys of these servers into known_hosts, as accepted earlier."""
        with self.known_hosts.open("a") as file:
            for sshd in sshds:
                kind, blob, *_ = sshd.host_key.public.split()
                file.write(f"{known_hosts_name(sshd)} {kind} {blob}\n")
        if hashed:
            self.run(["ssh-keygen", "-q", "-H", "-f", self.known_hosts])
            self.known_hosts.with_suffix(".old").unlink(missing_ok=True)

    def distrust(self) -> None:
        """Empty known_hosts."""
        self.known_hosts.write_text("")

    def write_ssh_config(self, text: str) -> Path:
        """Write ~/.ssh/config."""
        path = self.ssh_dir / "config"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def write_config(self, config: Mapping[str, Any], path: Path | None = None) -> Path:
        """Write gpuhop-tui's config; returns its path, by default where the app looks for it."""
        path = path or self.config_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(tomli_w.dumps(config))
        path.chmod(0o600)
        return path

    def _lay_out(self, directory: Path) -> None:
        for name in (".ssh", ".config", ".cache", "bin", "tmp", "run"):
            (self.home / name).mkdir(parents=True)
            (self.home / name).chmod(0o700)
        passwd = directory / "passwd"
        lines = [
            line
            for line in Path("/etc/passwd").read_text().splitlines()
            if not line.startswith("root:")
        ]
        passwd.write_text("\n".join([f"root:x:0:0:root:{self.home}:/bin/bash", *lines, ""]))
        ssh = self.home / "bin" / "ssh"
        real = shutil.which("ssh") or "/usr/bin/ssh"
        ssh.write_text(_SSH.format(passwd=shlex.quote(str(passwd)), ssh=real))
        ssh.chmod(0o755)
        self.known_hosts.touch(0o600)


def known_hosts_name(sshd: Sshd) -> str:
    """The name that a server has in known_hosts."""
    address = sshd.machine.address
    return address if sshd.port == 22 else f"[{address}]:{sshd.port}"
