"""A node's simulated GPUs, and who runs on them: what its probe reads changes with it.

The specification (`gpuhop_tui.probe.remote.simulated`) lies in a file, which the probe reads again
whenever it changes: so a container that is started shows among the GPU's processes, too.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuhop_tui.demo.noise import between
from gpuhop_tui.probe.remote.simulated import SimulatedSource

Json = dict[str, Any]

_PROCESS = (
    "user", "command", "container", "container_id", "tmux_session", "pid", "started_at",
    "started_ago",
)  # fmt: skip
_SHARED_BYTES = 9 << 30  # held by a process on a GPU that another one has already


@dataclass(frozen=True, slots=True)
class Work:
    """A process on GPUs. Names beside `user` and `command` are those that the screens show."""

    user: str
    command: str
    pid: int
    container: str = ""
    container_id: str = ""
    tmux_session: str = ""


class NodeGpus:
    """The GPUs of one node. `path` is where its probe reads them."""

    def __init__(self, spec: Json, path: Path) -> None:
        self._spec = copy.deepcopy(spec)
        self.path = path
        began = time.time()
        for place in self._places():  # a process is as old for every probe that looks
            if "started_ago" in place:
                place["started_at"] = int(began - place.pop("started_ago"))
        self._save()
        self.uuids = tuple(str(gpu["uuid"]) for gpu in self._sample()["gpus"].values())

    @property
    def driver(self) -> str:
        return str(self._spec["driver"])

    @property
    def cuda(self) -> str:
        return str(self._spec["cuda"])

    @property
    def host(self) -> Json:
        """hostname, cpu_count, memory_total_bytes"""
        return dict(self._spec["host"])

    def figures(self) -> list[Json]:
        """Each GPU as the probe would tell it now, its processes with their details."""
        sample = self._sample()
        gpus = []
        for gpu in sample["gpus"].values():
            listed = gpu.get("processes", {})
            details = {pid: {**sample["processes"][pid], "memory": listed[pid]} for pid in listed}
            gpus.append({**gpu, "processes": details})
        return gpus

    def is_lost(self, index: int) -> bool:
        return bool(self._spec["gpus"][index].get("profile") == "lost")

    def resolve(self, request: Json) -> list[int] | None:
        """The indexes that a DeviceRequest of Docker's API means; None: there is no such GPU."""
        if ids := request.get("DeviceIDs"):
            found = [self._index(str(each)) for each in ids]
            return None if None in found else [index for index in found if index is not None]
        count = int(request.get("Count") or 0)
        if count > len(self.uuids):
            return None
        return list(range(len(self.uuids)))[: None if count < 0 else count]

    def _index(self, identity: str) -> int | None:
        if identity.isdigit():
            return int(identity) if int(identity) < len(self.uuids) else None
        return next((n for n, uuid in enumerate(self.uuids) if uuid.startswith(identity)), None)

    # Who runs

    def begin(self, work: Work, indexes: list[int]) -> None:
        """Puts a process on these GPUs, beside what is there already."""
        details = {name: getattr(work, name) for name in work.__slots__ if getattr(work, name)}
        details["started_at"] = int(time.time())
        for index in indexes:
            gpu = self._spec["gpus"][index]
            if gpu["profile"] == "idle":
                gpu.update(details, profile="training")
            elif gpu["profile"] not in ("lost", "mig"):
                share = int(between(0.5, 1.5, work.pid) * _SHARED_BYTES)
                gpu.setdefault("also", []).append({**details, "memory_bytes": share})
        self._save()

    def end(self, **of: str) -> None:
        """Takes away the processes whose details are these: `container_id=…`; "" is none."""

        def is_meant(place: Json) -> bool:
            return all((place.get(name) or "") == value for name, value in of.items())

        for gpu in self._spec["gpus"]:
            if "also" in gpu:
                gpu["also"] = [each for each in gpu["also"] if not is_meant(each)]
            for place in (gpu, *gpu.get("instances", ())):
                if place.get("user") and is_meant(place):
                    for name in _PROCESS:
                        place.pop(name, None)
                    if place is gpu:
                        gpu["profile"] = "idle"
        self._save()

    def rename(self, container_id: str, name: str) -> None:
        """A container has another name now."""
        for place in self._places():
            if place.get("container_id") == container_id:
                place["container"] = name
        self._save()

    def pid_in(self, container_id: str) -> int | None:
        """The process that a container has on the GPUs."""
        for pid, details in self._sample()["processes"].items():
            if details.get("container_id") == container_id:
                return int(pid)
        return None

    def _places(self) -> list[Json]:
        return [
            place
            for gpu in self._spec["gpus"]
            for place in (gpu, *gpu.get("also", ()), *gpu.get("instances", ()))
        ]

    def _sample(self) -> Json:
        return SimulatedSource(json.dumps(self._spec)).read(1.0)

    def _save(self) -> None:
        """By rename(2): a probe reads the old one or the new one."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self._spec))
        new.replace(self.path)
