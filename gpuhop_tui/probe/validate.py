"""Documents of the probe turned into samples: strictly, since a node may be broken or hostile.

Whatever does not fit is left out and named in `missing`. Parts of a document that have not changed
since the last one give the same objects again, so that a steady fleet costs little.
"""

from __future__ import annotations

import math
from typing import Any, cast

from gpuhop_tui.probe.clean import clean
from gpuhop_tui.probe.protocol import Json
from gpuhop_tui.probe.sample import (
    GPU_FIGURES,
    HOST_FIGURES,
    INSTANCE_FIGURES,
    Disk,
    Gpu,
    Host,
    MigInstance,
    Process,
    Sample,
    Source,
)
from gpuhop_tui.probe.secrets import mask_secrets
from gpuhop_tui.problem import ErrorKind, Problem

MAX_GPUS = 256
MAX_INSTANCES = 64
MAX_PROCESSES = 1024  # of one GPU or instance
MAX_PID = 1 << 22  # PID_MAX_LIMIT of Linux
MAX_LIST = 16  # throttle reasons, disks
BYTES = 1 << 50

NOT_SENT = "the node does not say"
NONSENSE = "the node sent something that makes no sense"

_TEXTS = {"uuid": 96, "name": 128}
_INTEGERS: dict[str, tuple[int, int]] = {
    "utilization_percent": (0, 100),
    "memory_used_bytes": (0, BYTES),
    "memory_total_bytes": (0, BYTES),
    "temperature_celsius": (-100, 300),
    "fan_percent": (0, 200),  # NVML: may exceed 100 for a while
    "sm_clock_mhz": (0, 100_000),
    "ecc_uncorrected": (0, 1 << 63),
    "cpu_count": (1, 1 << 16),
}
_NUMBERS: dict[str, tuple[float, float]] = {
    "power_watts": (0, 100_000),
    "power_limit_watts": (0, 100_000),
    "boot_time": (0, 1e11),
    "cpu_percent": (0, 100),
    "load_1": (0, 1e6),
}
_KINDS = (
    ErrorKind.NO_DRIVER,
    ErrorKind.DRIVER_MISMATCH,
    ErrorKind.NO_PERMISSION,
    ErrorKind.NO_PROBE,
)


class SampleMaker:
    """Makes the samples of one node."""

    def __init__(self, hop: str) -> None:
        self._hop = hop
        self._gpus: dict[int, tuple[Json, Json, Gpu]] = {}  # index: (gpu, processes, made of them)
        self._host: tuple[Any, Host] | None = None

    def make(self, document: Json, at: float) -> Sample:
        """The sample that `document` describes, taken at `at` by the laptop's clock. Never raises
        for what a node can send."""
        problem = document.get("problem")
        source = document.get("source")
        return Sample(
            source=cast(Source, source if source in ("nvml", "simulated") else "nvml"),
            sampled_at=at,
            driver=clean(document.get("driver"), 64),
            cuda=clean(document.get("cuda"), 32),
            gpus=() if problem is not None else self._all_gpus(document),
            host=self._host_of(document.get("host")),
            problem=None if problem is None else problem_of(problem, self._hop),
        )

    def _all_gpus(self, document: Json) -> tuple[Gpu, ...]:
        gpus, processes = _dict(document.get("gpus")), _dict(document.get("processes"))
        made = {}
        for index in _indices(gpus, MAX_GPUS):
            gpu = _dict(gpus[str(index)])
            before = self._gpus.get(index)
            if before is None or before[1] is not processes:
                made[index] = (gpu, processes, _gpu(index, gpu, processes))
            elif before[0] is gpu:
                made[index] = before
            else:
                listed = before[2].processes if _same_lists(before[0], gpu) else None
                made[index] = (gpu, processes, _gpu(index, gpu, processes, listed))
        self._gpus = made
        return tuple(each[2] for each in made.values())

    def _host_of(self, host: Any) -> Host:
        if self._host is None or self._host[0] is not host:
            self._host = (host, _host(_dict(host)))
        return self._host[1]


def problem_of(value: Any, hop: str) -> Problem:
    """A `problem` of the wire as one of ours."""
    problem = _dict(value)
    kind = next((kind for kind in _KINDS if kind == problem.get("kind")), ErrorKind.NO_DRIVER)
    message = clean(problem.get("message"), 400) or "The GPUs cannot be read"
    advice = clean(problem.get("advice"), 400) or "Run nvidia-smi on the node and see what it says."
    return Problem(hop, kind, message, advice)


def _same_lists(one: Json, other: Json) -> bool:
    """Whether two versions of a GPU list the same processes, none of them in MIG instances."""
    same = one.get("processes") is other.get("processes")
    return same and not ("mig" in one or "mig" in other or "lost" in one or "lost" in other)


def _gpu(index: int, gpu: Json, details: Json, listed: tuple[Process, ...] | None = None) -> Gpu:
    """`listed` are its processes, where they are known already."""
    lost = clean(gpu.get("lost"), 200)
    if lost is not None:
        uuid, name = clean(gpu.get("uuid"), 96), clean(gpu.get("name"), 128)
        known = {"uuid": uuid, "name": name}
        missing = {figure: lost for figure in GPU_FIGURES if not known.get(figure)}
        return Gpu(index, uuid, name, missing=missing, lost=lost)
    figures, missing = _figures(gpu, GPU_FIGURES)
    given = _dict(gpu.get("missing"))
    for part in ("processes", "mig"):
        if part in given:
            missing[part] = clean(given[part], 200) or NOT_SENT
    instances = _dict(gpu.get("mig"))
    mig = tuple(
        _instance(each, _dict(instances[str(each)]), details)
        for each in _indices(instances, MAX_INSTANCES)
    )
    own = _processes(gpu.get("processes"), details) if listed is None else listed
    pids = {process.pid for process in own}
    inside = [each for instance in mig for each in instance.processes if each.pid not in pids]
    return Gpu(index, **figures, mig=mig, missing=missing, processes=(*own, *inside))


def _instance(index: int, instance: Json, details: Json) -> MigInstance:
    figures, missing = _figures(instance, INSTANCE_FIGURES)
    processes = _processes(instance.get("processes"), details)
    return MigInstance(index, **figures, missing=missing, processes=processes)


def _host(host: Json) -> Host:
    figures, missing = _figures(host, HOST_FIGURES)
    disks = []
    for path, sizes in list(_dict(host.get("disks")).items())[:MAX_LIST]:
        name = clean(path, 255)
        if name and isinstance(sizes, list) and len(sizes) == 2:
            free, total = (_integer(size, 0, 1 << 60) for size in sizes)
            if free is not None and total is not None:
                disks.append(Disk(name, free, total))
    if not disks:
        missing["disks"] = clean(_dict(host.get("missing")).get("disks"), 200) or NOT_SENT
    return Host(**figures, disks=tuple(disks), missing=missing)


def _figures(owner: Json, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """The figures called `names`, None where there is none; and the reason of each None."""
    figures: dict[str, Any] = {}
    missing: dict[str, str] = {}
    reasons = _dict(owner.get("missing"))
    for name in names:
        given = owner.get(name)
        figures[name] = None if given is None else figure(name, given)
        if figures[name] is None:
            reason = NONSENSE if given is not None else clean(reasons.get(name), 200)
            missing[name] = reason or NOT_SENT
    return figures, missing


def figure(name: str, value: Any) -> Any:
    """`value` where it can be the figure `name`, else None."""
    if name in _INTEGERS:
        return _integer(value, *_INTEGERS[name])
    if name in _NUMBERS:
        return _number(value, *_NUMBERS[name])
    if name == "throttle_reasons":
        return _words(value)
    return clean(value, _TEXTS.get(name, 255))


def _processes(value: Any, details: Json) -> tuple[Process, ...]:
    processes = []
    for pid in _indices(_dict(value), MAX_PROCESSES, MAX_PID):
        detail = _dict(details.get(str(pid)))
        processes.append(
            Process(
                pid=pid,
                user=clean(detail.get("user"), 64),
                command=_command(detail.get("command")),
                memory_bytes=_integer(value[str(pid)], 0, BYTES),  # -1: not known
                started_at=_number(detail.get("started_at"), 0, 1e11),
                container=clean(detail.get("container"), 255),
                container_id=clean(detail.get("container_id"), 128),
                tmux_session=clean(detail.get("tmux_session"), 255),
                tmux=clean(detail.get("tmux"), 400),
            )
        )
    return tuple(processes)


def _indices(value: Json, most: int, highest: int = 1 << 16) -> list[int]:
    """The keys of `value` that are numbers as we write them, in order, at most `most`."""
    numbers = [
        int(key)
        for key in value
        if len(key) < 10 and key.isascii() and key.isdecimal() and str(int(key)) == key
    ]
    return sorted(number for number in numbers if number <= highest)[:most]


def _words(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or len(value) > MAX_LIST:
        return None
    words = tuple(clean(word, 64) for word in value)
    return cast("tuple[str, ...]", words) if all(words) else None


def _command(value: Any) -> str | None:
    command = clean(value)
    return None if command is None else mask_secrets(command)


def _integer(value: Any, low: int, high: int) -> int | None:
    return value if type(value) is int and low <= value <= high else None


def _number(value: Any, low: float, high: float) -> float | None:
    if type(value) not in (int, float) or not low <= value <= high:
        return None
    return value if math.isfinite(value) else None


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
