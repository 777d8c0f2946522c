"""One simulated container, and what an engine says of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gpuhop_tui.demo.engine.files import Files
from gpuhop_tui.demo.noise import between, fraction, wave
from gpuhop_tui.demo.story import Story

Json = dict[str, Any]

NEVER = "0001-01-01T00:00:00Z"
_NS = 1_000_000_000
_DEFAULT_SHM = 64 << 20


@dataclass(slots=True)
class Container:
    """Times are seconds since the epoch. `body` is what it was created from: the body of POST
    /containers/create, the image's own words filled in."""

    id: str
    name: str
    image_id: str
    body: Json
    created_at: float
    files: Files
    state: str = "created"  # running, paused, exited
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int = 0
    pid: int = 0
    gpus: tuple[int, ...] = ()  # indexes
    ports: dict[str, list[Json]] = field(default_factory=dict)  # as in NetworkSettings
    health: str = ""
    stories: list[Story] = field(default_factory=list)  # one each time that it was started
    execs: list[str] = field(default_factory=list)

    @property
    def host(self) -> Json:
        found = self.body.get("HostConfig")
        return found if isinstance(found, dict) else {}

    @property
    def command(self) -> list[str]:
        """Entrypoint and command, in one."""
        return [*(self.body.get("Entrypoint") or ()), *(self.body.get("Cmd") or ())]

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused")

    @property
    def has_sshd(self) -> bool:
        """Whether its program is an SSH server."""
        return bool(self.stories) and self.stories[-1].kind == "sshd"

    @property
    def tty(self) -> bool:
        return bool(self.body.get("Tty"))

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.body.get("Labels") or {})

    @property
    def writable_bytes(self) -> int:
        """Of its own layer."""
        return int(between(2, 900, self.id, "layer")) << 20 if self.stories else 0

    def log(self, since: float, until: float) -> list[tuple[float, str]]:
        """Lines of all of its runs: (time, line)."""
        return [entry for story in self.stories for entry in story.entries(since, until)]

    def last_log(self, count: int, until: float) -> list[tuple[float, str]]:
        found: list[tuple[float, str]] = []
        for story in reversed(self.stories):
            found = story.last(count - len(found), until) + found
        return found


def inspected(container: Container) -> Json:
    """As in GET /containers/ID/json."""
    host, body = container.host, container.body
    words = container.command or ["sh"]
    state: Json = {
        "Status": container.state,
        "Running": container.running,
        "Paused": container.state == "paused",
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": container.pid if container.running else 0,
        "ExitCode": container.exit_code,
        "Error": "",
        "StartedAt": stamp(container.started_at),
        "FinishedAt": stamp(container.finished_at),
    }
    if container.health:
        state["Health"] = {"Status": container.health, "FailingStreak": 0, "Log": []}
    return {
        "Id": container.id,
        "Created": stamp(container.created_at),
        "Path": words[0],
        "Args": words[1:],
        "State": state,
        "Image": container.image_id,
        "Name": f"/{container.name}",
        "RestartCount": 0,
        "Driver": "overlay2",
        "Platform": "linux",
        "ExecIDs": list(container.execs) or None,
        "HostConfig": {"ShmSize": _DEFAULT_SHM, "NetworkMode": "bridge", **host},
        "Mounts": list(_mounts(container)),
        "Config": {
            "Hostname": container.id[:12],
            "User": body.get("User") or "",
            "Tty": container.tty,
            "Env": list(body.get("Env") or ()),
            "Cmd": body.get("Cmd") or None,
            "Entrypoint": body.get("Entrypoint") or None,
            "Image": body.get("Image"),
            "WorkingDir": body.get("WorkingDir") or "",
            "Labels": container.labels,
            "ExposedPorts": body.get("ExposedPorts") or {},
        },
        "NetworkSettings": {"Ports": container.ports if container.running else {}},
    }


def listed(container: Container, *, size: bool) -> Json:
    """As in GET /containers/json and GET /system/df."""
    facts: Json = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.body.get("Image"),
        "ImageID": container.image_id,
        "Command": " ".join(container.command),
        "Created": int(container.created_at),
        "State": container.state,
        "Status": _status(container),
        "Ports": list(_published(container)) if container.running else [],
        "Labels": container.labels,
        "Mounts": [],
    }
    if size:
        facts["SizeRw"] = container.writable_bytes
        facts["SizeRootFs"] = container.writable_bytes + (6 << 30)
    return facts


def _published(container: Container) -> Iterator[Json]:
    for name, bindings in container.ports.items():
        port, _, protocol = name.partition("/")
        for each in bindings:
            public = {"IP": each.get("HostIp") or "0.0.0.0", "PublicPort": int(each["HostPort"])}
            yield {"PrivatePort": int(port), "Type": protocol or "tcp", **public}


def measured(container: Container, cpus: int, memory_bytes: int, now: float) -> Json:
    """As in GET /containers/ID/stats: counters since its start. An ended one has empty figures."""
    if not container.running or container.started_at is None:
        return {"read": NEVER, "cpu_stats": {}, "memory_stats": {}, "pids_stats": {}}
    age = now - container.started_at
    works = bool(container.stories) and container.stories[-1].kind in ("training", "serving")
    busy = between(1.5, 9.0, container.id, "cpu") if works else 0.04
    used = busy * (age + 4.0 * wave(now, 9.0, container.id)) * _NS
    share = between(0.03, 0.22, container.id, "m") if works else 0.002
    memory = int(memory_bytes * share * (1 + 0.05 * wave(now, 30.0, container.id, "m")))
    rate = between(2e5, 3e7, container.id, "n") if works else 300.0
    received = int(rate * (age + 5 * wave(now, 6.0, container.id, "n")))
    return {
        "read": stamp(now),
        "name": f"/{container.name}",
        "id": container.id,
        "pids_stats": {"current": 3 + int(60 * fraction(container.id, "p")) * works},
        "cpu_stats": {
            "cpu_usage": {"total_usage": int(used)},
            "system_cpu_usage": int(now * cpus * _NS),
            "online_cpus": cpus,
        },
        "memory_stats": {
            "usage": memory,
            "limit": memory_bytes,
            "stats": {"inactive_file": memory // 9},
        },
        "networks": {"eth0": {"rx_bytes": received, "tx_bytes": received // 14}},
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"op": "read", "value": received * 2},
                {"op": "write", "value": received // 3},
            ]
        },
    }


def stamp(seconds: float | None) -> str:
    """As Go writes a time (RFC 3339, nanoseconds); the year 1 for never."""
    if seconds is None:
        return NEVER
    whole = datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{int(seconds % 1 * _NS):09d}Z"


def _status(container: Container) -> str:
    if container.running:
        return f"Up {int(time.time() - (container.started_at or 0))} seconds"
    if container.state == "exited":
        return f"Exited ({container.exit_code})"
    return "Created"


def _mounts(container: Container) -> list[Json]:
    mounts = []
    for bind in container.host.get("Binds") or ():
        source, _, rest = str(bind).partition(":")
        target, _, mode = rest.partition(":")
        mount: Json = {"Type": "bind", "Source": source, "Destination": target}
        if not source.startswith("/"):
            mount = {"Type": "volume", "Name": source, "Source": source, "Destination": target}
        mounts.append({**mount, "Mode": mode, "RW": mode != "ro"})
    return mounts
