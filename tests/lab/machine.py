"""A server of the lab: a network, processes, users, a home and a /tmp of its own.

Everything that differs from the host is mounted over it in the machine's own mount namespace, so
no user, file or process of the host is ever touched.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import keys, nvml
from tests.lab.namespace import Argument
from tests.lab.network import Host, Interface
from tests.lab.nvml import FakeNvml, Variant
from tests.lab.procfs import pids_in, state
from tests.lab.sshd import Options, Sshd
from tests.lab.waiting import wait_until

INSIDE = Path("/opt/lab")  # where the machine's directory is seen from inside
_UID = 61000


@dataclass(frozen=True)
class Spec:
    """What a machine is to be. `sshd` and `env` hold for its first sshd."""

    name: str
    via: str | None = None  # the bastion that it stands behind; None: beside the laptop
    user: str = "researcher"
    password: str | None = None  # only of use with sshd={"PasswordAuthentication": "yes"} or pam
    shell: str = "/bin/bash"
    port: int = 22
    sshd: Options = field(default_factory=dict)  # lines of sshd_config(5) that win over ours
    env: Mapping[str, str] = field(default_factory=dict)  # set in every session
    host_key: str = "ed25519"
    gpus: int | None = None  # that many stand-in GPUs; None: not even a driver
    driver: Variant = "modern"  # which kind of stand-in, see tests.lab.nvml
    hide: tuple[str, ...] = ()  # globs of programs in /usr/bin that it lacks, e.g. "python3*"
    mounts: Mapping[str, Path] = field(default_factory=dict)  # "/opt/NAME" inside: path outside
    pam: str | None = None  # lines of /etc/pam.d/sshd: sshd asks PAM, keyboard-interactive works


class Machine(Host):
    """A running server. `directory` is its files on this side, `INSIDE` on its own."""

    def __init__(self, spec: Spec, interfaces: Iterable[Interface], directory: Path) -> None:
        super().__init__(spec.name, interfaces)
        self.spec = spec
        self.directory = directory
        self.home = directory / "home" / spec.user
        self.sshds: list[Sshd] = []
        self._lay_out()
        env = {**self._fit_gpus(), **spec.env}
        self.sshd = self.add_sshd(spec.port, options=spec.sshd, env=env)

    @property
    def user(self) -> str:
        return self.spec.user

    @property
    def gpus(self) -> FakeNvml:
        """The stand-in hardware, to be changed while probes look at it."""
        if self._gpus is None:
            raise ValueError(f"{self.name} was made without GPUs")
        return self._gpus

    # Files

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write a file of the login user's home, e.g. ".bashrc"; returns its path on this side."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        for made in (path, *path.relative_to(self.home).parents):
            os.chown(self.home / made, _UID, _UID)
        return path

    def install(self, name: str, script: str) -> None:
        """Put a program into /usr/local/bin, which holds nothing else."""
        path = self.directory / "bin" / name
        path.write_text(script)
        path.chmod(0o755)

    def authorize(self, *public_keys: str) -> None:
        """Let these keys, and no others, log in."""
        self.write(".ssh/authorized_keys", "".join(f"{key}\n" for key in public_keys), 0o600)

    def home_writable(self, writable: bool) -> None:
        """Mount /home read-only, or writable again."""
        self.run(["mount", "-o", f"remount,bind,{'rw' if writable else 'ro'}", "/home"])

    # Processes

    def argv(self, command: Sequence[Argument]) -> list[str]:
        """The command line that runs `command` inside as root, as a child of nsenter."""
        spaces = f"/proc/{self.pid}/ns/pid_for_children"
        return [
            "nsenter", "-t", str(self.pid), "-r", "-n", "-m", "-u", f"--pid={spaces}",
            "--", *map(str, command),
        ]  # fmt: skip

    def environ(self) -> dict[str, str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8"}

    def as_user(self, command: Sequence[Argument]) -> list[str]:
        """`command` as the login user, for `run` and `popen`."""
        home = f"/home/{self.user}"
        return [
            "setpriv", "--reuid", str(_UID), "--regid", str(_UID), "--clear-groups",
            "env", "-C", home, f"HOME={home}", f"USER={self.user}", *map(str, command),
        ]  # fmt: skip

    def processes(self) -> list[int]:
        """Pids, as this side numbers them, of all that runs on the machine, its init included."""
        return pids_in("pid", [Path(f"/proc/{self.pid}/ns/pid_for_children").stat().st_ino])

    def freeze(self) -> None:
        """Stop every process, as a machine does that swaps itself to death."""
        self._signal_all(signal.SIGSTOP, "T")

    def thaw(self) -> None:
        """Let every process go on."""
        self._signal_all(signal.SIGCONT, "RSDI")

    def _signal_all(self, number: signal.Signals, states: str) -> None:
        def done() -> bool:
            waiting = [p for p in self.processes() if (now := state(p)) and now not in states]
            for pid in waiting:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            return not waiting

        wait_until(done, f"{number.name} of all processes of {self.name}")

    # Power

    def power_off(self) -> None:
        """End the machine: processes and link are gone, without a word to anyone."""
        self.unplug()
        self.end()

    def end(self) -> None:
        super().end()
        for sshd in self.sshds:
            sshd.forget()

    # sshd

    def add_sshd(
        self, port: int, *, options: Options | None = None, env: Mapping[str, str] | None = None
    ) -> Sshd:
        """Set up a further sshd on its own port; `start` it when the machine runs."""
        sshd = Sshd(self, port, options=options or {}, env=env or {})
        self.sshds.append(sshd)
        return sshd

    # Setting up

    def _unshare(self) -> Sequence[str]:
        return ("--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")

    def _setup(self) -> str:
        files = shlex.quote(str(self.directory))
        lines = [
            super()._setup(),
            f"hostname {self.name}",
            "mount -t tmpfs tmpfs /opt",
            f"mkdir {INSIDE} && mount --bind {files} {INSIDE}",
        ]
        for target, source in self.spec.mounts.items():
            lines.append(f"mkdir {target} && mount --bind {shlex.quote(str(source))} {target}")
        lines += [f"mount --bind {INSIDE}/etc/{name} /etc/{name}" for name in self._etc()]
        if self.spec.pam is not None:
            lines.append(f"mount --bind {INSIDE}/pam /etc/pam.d/sshd")
        lines += [
            f"mount --bind {INSIDE}/home /home",
            f"mount --bind {INSIDE}/bin /usr/local/bin",
            "mount -t tmpfs -o mode=1777 tmpfs /tmp",
            "mount -t tmpfs tmpfs /var/log",
            "mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd",
        ]
        if self.spec.hide:
            layers = "lowerdir=/usr/bin,upperdir=/opt/upper,workdir=/opt/work"
            lines.append(f"mkdir /opt/upper /opt/work; mount -t overlay -o {layers} none /usr/bin")
            lines += [f"rm -f /usr/bin/{pattern}" for pattern in self.spec.hide]
        return "\n".join(lines)

    def _etc(self) -> dict[str, str]:
        user, home = self.user, f"/home/{self.user}"
        secret = _crypt(self.spec.password) if self.spec.password is not None else "*"
        passwd, group = (
            "".join(
                line
                for line in Path(f"/etc/{name}").read_text().splitlines(keepends=True)
                if not line.startswith(f"{user}:")
            )
            for name in ("passwd", "group")
        )
        return {
            "passwd": f"{passwd}{user}:x:{_UID}:{_UID}::{home}:{self.spec.shell}\n",
            "group": f"{group}{user}:x:{_UID}:\n",
            "shadow": f"root:*:19000::::::\n{user}:{secret}:19000::::::\n",
        }

    def _lay_out(self) -> None:
        for name in ("etc", "home", "bin", "keys"):
            (self.directory / name).mkdir(parents=True)
        for name, text in self._etc().items():
            (self.directory / "etc" / name).write_text(text)
        if self.spec.pam is not None:
            (self.directory / "pam").write_text(self.spec.pam)
        keys.generate(self.directory / "keys" / "host", kind=self.spec.host_key)
        self.home.mkdir(mode=0o700)
        os.chown(self.home, _UID, _UID)
        self.authorize()
        (self.home / ".ssh").chmod(0o700)

    def _fit_gpus(self) -> dict[str, str]:
        """Put the stand-in into place; returns what a session needs to find it."""
        self._gpus: FakeNvml | None = None
        if self.spec.gpus is None:
            return {}
        built = self.directory.with_name(f"nvml-{self.spec.driver}")  # once a world
        if not built.exists():
            nvml.build(built, self.spec.driver)
        directory = self.directory / "nvml"
        shutil.copytree(built, directory)
        self._gpus = FakeNvml(directory / "gpus", self.spec.gpus)
        inside = INSIDE / "nvml"
        return {"LD_LIBRARY_PATH": f"{inside}", "GPUHOP_FAKE_NVML": f"{inside / 'gpus'}"}


def _crypt(password: str) -> str:
    done = subprocess.run(
        ["perl", "-e", "print crypt(<STDIN>, q($6$gpuhoplab$))"],
        input=password,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
