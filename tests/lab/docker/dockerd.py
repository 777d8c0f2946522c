"""A real dockerd on a machine of the lab, in the machine's own namespaces."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.lab.docker.image import PROGRAMS, root_filesystem
from tests.lab.machine import INSIDE, Machine
from tests.lab.procfs import program
from tests.lab.waiting import wait_until

SOCKET = "/run/docker.sock"
BASE = "base:1"
REGISTRY_PORT, SLOW_PORT = 5000, 5001
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP = "gpuhop-lab-"
_START_SECONDS = 30.0
_CONTAINERD = "/run/containerd/containerd.sock"

_REGISTRY = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@cache
def _root_filesystem() -> bytes:
    return root_filesystem()


class Dockerd:
    """Started by its constructor; `close` ends it with all its containers and cgroups.

    The machine's login user is in the group that may use it. With `disk_megabytes` its data is on a
    disk of that size.
    """

    def __init__(self, machine: Machine, *, disk_megabytes: int | None = None) -> None:
        self.machine = machine
        self._cgroup = f"{_CGROUP}{os.getpid()}-{machine.name}"
        _sweep_cgroups()
        self._daemon: subprocess.Popen[Any] | None = None
        self._others: list[subprocess.Popen[Any]] = []
        # The engine takes the runtime for NVIDIA's by the presence of its hook.
        machine.install("nvidia-container-runtime-hook", "#!/bin/sh\nexit 0\n")
        group = machine.directory / "etc" / "group"
        others = [line for line in group.read_text().splitlines() if line[:7] != "docker:"]
        group.write_text("\n".join([*others, f"docker:x:61001:{machine.user}", ""]))
        if disk_megabytes is not None:
            machine.run(["mkdir", INSIDE / "docker"])
            size = f"size={disk_megabytes}m"
            machine.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", INSIDE / "docker"])
        self._start_containerd()
        self.start()
        if BASE not in self.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
            archive = machine.directory / "base.tar"
            archive.write_bytes(_root_filesystem())
            self.docker("import", str(INSIDE / "base.tar"), BASE)
            archive.unlink()

    # The daemon

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.machine.directory / "dockerd.log").open("ab")
        self._daemon = self.machine.popen(
            ["dockerd", "--data-root", INSIDE / "docker", "--exec-root", "/run/docker",
             "--containerd", _CONTAINERD, "--pidfile", "/run/docker.pid", "-H", f"unix://{SOCKET}",
             "--group", "docker",
             "--iptables=false", "--ip6tables=false", "--cgroup-parent", f"/{self._cgroup}",
             "--exec-opt", "native.cgroupdriver=cgroupfs", "--live-restore"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        wait_until(self._answers, f"dockerd of {self.machine.name}", _START_SECONDS)

    def _start_containerd(self) -> None:
        """Beside dockerd, as the distributions have it: it outlives dockerd."""
        with (self.machine.directory / "containerd.log").open("ab") as log:
            self._others.append(
                self.machine.popen(
                    ["containerd", "--address", _CONTAINERD, "--state", "/run/containerd",
                     "--root", INSIDE / "containerd", "--log-level", "error"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )
            )  # fmt: skip
        wait_until(
            lambda: self.machine.run(["test", "-S", _CONTAINERD], check=False).returncode == 0,
            "containerd",
        )

    @property
    def is_running(self) -> bool:
        return self._daemon is not None

    def stop(self) -> None:
        """End it in good order. Its containers go on (`live-restore`)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL. Its containers go on, as they do on a real node."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it, as a daemon does that hangs; `thaw` lets it go on."""
        self._signal("dockerd", signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, and the nsenter(1) that stops with it."""
        self._signal("dockerd", signal.SIGCONT)
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return
        self._signal("dockerd", number)
        daemon.wait(timeout=30)
        self.machine.run(["rm", "-f", "/run/docker.pid"])

    def _pids(self, name: str) -> list[int]:
        return [pid for pid in self.machine.processes() if program(pid) == name]

    def _signal(self, name: str, number: signal.Signals) -> None:
        for pid in self._pids(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _answers(self) -> bool:
        if self._daemon is not None and self._daemon.poll() is not None:
            raise AssertionError(f"dockerd ended: {self.log()[-3000:]}")
        return self.machine.run(["docker", "version"], check=False).returncode == 0

    def log(self) -> str:
        return (self.machine.directory / "dockerd.log").read_text()

    # What a person at the node would type

    def docker(self, *words: str, check: bool = True, timeout: float = 60.0) -> str:
        """The standard output of docker(1), run as root on the node."""
        return self.machine.run(["docker", *words], check=check, timeout=timeout).stdout.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.docker("inspect", name))[0]
        return found

    def clear(self) -> None:
        """Remove every container, and every image but the base."""
        if ids := self.docker("ps", "-aq").split():
            self.docker("rm", "-f", "-v", *ids)
        images = self.docker("images", "-a", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
        for line in images.splitlines():
            name, _, identity = line.partition(" ")
            if name != BASE:
                target = identity if "<none>" in name else name
                self.docker("rmi", "-f", target, check=False)

    def registry(self) -> str:
        """Start a registry on the node; returns its address there. See SLOW_PORT too."""
        config = self.machine.directory / "registry.yml"
        config.write_text(_REGISTRY.format(root=INSIDE / "registry", port=REGISTRY_PORT))
        with (self.machine.directory / "registry.log").open("ab") as log:
            self._others.append(
                self.machine.popen(
                    ["docker-registry", "serve", INSIDE / "registry.yml"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )
            )  # fmt: skip
        shutil.copy(Path(__file__).with_name("slow_line.py"), self.machine.directory)
        self._others.append(
            self.machine.popen(
                ["python3", INSIDE / "slow_line.py", str(SLOW_PORT), str(REGISTRY_PORT)],
                stdin=subprocess.DEVNULL,
            )
        )
        for port in (REGISTRY_PORT, SLOW_PORT):
            wait_until(
                lambda port=port: self.machine.run(
                    ["nc", "-z", "127.0.0.1", str(port)], check=False
                ).returncode == 0,
                f"something at port {port}",
            )  # fmt: skip
        return f"127.0.0.1:{REGISTRY_PORT}"

    def close(self) -> None:
        """End everything at once, and leave no cgroup behind."""
        self.kill()
        for process in self._others:
            process.kill()
            process.wait()
        self._end_containers()
        for controller in _CGROUPS.iterdir():
            _remove_cgroup(controller / self._cgroup)
        _remove_cgroup(_CGROUPS / self._cgroup)

    def _end_containers(self) -> None:
        def members() -> list[int]:
            found: set[int] = set()
            for tasks in _CGROUPS.glob(f"**/{self._cgroup}/*/cgroup.procs"):
                with contextlib.suppress(OSError):
                    found.update(map(int, tasks.read_text().split()))
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return list(found)

        wait_until(lambda: not members(), "the end of all containers")


def _sweep_cgroups() -> None:
    """Those that a killed run has left."""
    for path in (*_CGROUPS.glob(f"{_CGROUP}*"), *_CGROUPS.glob(f"*/{_CGROUP}*")):
        owner = path.name.removeprefix(_CGROUP).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            _remove_cgroup(path)


def _remove_cgroup(path: Path) -> None:
    if not path.is_dir():
        return
    for child in path.iterdir():
        if child.is_dir():
            _remove_cgroup(child)
    wait_until(lambda: _removed(path), f"the end of {path}")


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def missing() -> str | None:
    """Why no engine can run here, in a sentence; None where it can."""
    wanted = ("dockerd", "containerd", "docker", "docker-registry", *PROGRAMS)
    absent = [
        name for name in wanted if not (shutil.which(name) or shutil.which(name, path="/usr/sbin"))
    ]
    if absent:
        return f"the lab's engines need {', '.join(absent)}; tests/run installs them"
    return None
