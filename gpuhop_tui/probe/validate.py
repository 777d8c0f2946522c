"""Documents of the probe turned into samples: strictly, since a node may be broken or hostile.

Whatever does not fit is left out and named in `missing`. Parts of a document that have not changed
since the last one give the same objects again, so that a steady fleet costs little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from gpuhop_tui.probe.checked import (
    MAX_LIST,
    MAX_PID,
    command,
    indices,
    integer,
    number,
    table,
    words,
)
from gpuhop_tui.probe.clean import clean
from gpuhop_tui.probe.job_parts import read_endings, read_trees
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
    Reservation,
    Sample,
    Source,
)
from gpuhop_tui.problem import ErrorKind, Problem

MAX_GPUS = 256
MAX_INSTANCES = 64
MAX_RESERVATIONS = 1024  # on all GPUs of a node
MAX_PROCESSES = 1024  # of one GPU or instance
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
    "pcie_generation": (1, 64),
    "pcie_generation_max": (1, 64),
    "pcie_width": (1, 1024),
    "pcie_width_max": (1, 1024),
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
        self._notes: tuple[Json, dict[str | None, tuple[Reservation, ...]]] | None = None

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
            jobs=read_trees(document),
            endings=read_endings(document, at),
            problem=None if problem is None else problem_of(problem, self._hop),
        )

    def _all_gpus(self, document: Json) -> tuple[Gpu, ...]:
        gpus, processes = table(document.get("gpus")), table(document.get("processes"))
        made = {}
        for index in indices(gpus, MAX_GPUS):
            gpu = table(gpus[str(index)])
            before = self._gpus.get(index)
            if before is None or before[1] is not processes:
                made[index] = (gpu, processes, _gpu(index, gpu, processes))
            elif before[0] is gpu:
                made[index] = before
            else:
                listed = before[2].processes if _same_lists(before[0], gpu) else None
                made[index] = (gpu, processes, _gpu(index, gpu, processes, listed))
        self._gpus = made
        return self._reserved(tuple(each[2] for each in made.values()), document)

    def _reserved(self, gpus: tuple[Gpu, ...], document: Json) -> tuple[Gpu, ...]:
        """The GPUs with the notes on them."""
        notes = table(document.get("reservations"))
        if not notes:
            return gpus
        if self._notes is None or self._notes[0] is not notes:
            self._notes = (notes, _reservations(notes))
        on = self._notes[1]
        return tuple(
            replace(gpu, reservations=on[gpu.uuid]) if gpu.uuid in on else gpu for gpu in gpus
        )

    def _host_of(self, host: Any) -> Host:
        if self._host is None or self._host[0] is not host:
            self._host = (host, _host(table(host)))
        return self._host[1]


def problem_of(value: Any, hop: str) -> Problem:
    """A `problem` of the wire as one of ours."""
    problem = table(value)
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
    given = table(gpu.get("missing"))
    for part in ("processes", "mig"):
        if part in given:
            missing[part] = clean(given[part], 200) or NOT_SENT
    instances = table(gpu.get("mig"))
    mig = tuple(
        _instance(each, table(instances[str(each)]), details)
        for each in indices(instances, MAX_INSTANCES)
    )
    own = _processes(gpu.get("processes"), details) if listed is None else listed
    pids = {process.pid for process in own}
    inside = [each for instance in mig for each in instance.processes if each.pid not in pids]
    return Gpu(index, **figures, mig=mig, missing=missing, processes=(*own, *inside))


def _reservations(notes: Json) -> dict[str | None, tuple[Reservation, ...]]:
    """By the UUID of the GPU, the one that holds longest first."""
    found: dict[str | None, list[Reservation]] = {}
    for value in list(notes.values())[:MAX_RESERVATIONS]:
        said = table(value)
        gpu, user = clean(said.get("gpu"), 96), clean(said.get("user"), 64)
        until = number(said.get("until"), 0, 1e11)
        if gpu and user and until is not None:
            note = clean(said.get("note"), 200) or ""
            found.setdefault(gpu, []).append(Reservation(user, until, note))
    return {
        gpu: tuple(sorted(each, key=lambda one: (-one.until, one.user)))
        for gpu, each in found.items()
    }


def _instance(index: int, instance: Json, details: Json) -> MigInstance:
    figures, missing = _figures(instance, INSTANCE_FIGURES)
    processes = _processes(instance.get("processes"), details)
    return MigInstance(index, **figures, missing=missing, processes=processes)


def _host(host: Json) -> Host:
    figures, missing = _figures(host, HOST_FIGURES)
    disks = []
    for path, sizes in list(table(host.get("disks")).items())[:MAX_LIST]:
        name = clean(path, 255)
        if name and isinstance(sizes, list) and len(sizes) == 2:
            free, total = (integer(size, 0, 1 << 60) for size in sizes)
            if free is not None and total is not None:
                disks.append(Disk(name, free, total))
    if not disks:
        missing["disks"] = clean(table(host.get("missing")).get("disks"), 200) or NOT_SENT
    return Host(**figures, disks=tuple(disks), missing=missing)


def _figures(owner: Json, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """The figures called `names`, None where there is none; and the reason of each None."""
    figures: dict[str, Any] = {}
    missing: dict[str, str] = {}
    reasons = table(owner.get("missing"))
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
        return integer(value, *_INTEGERS[name])
    if name in _NUMBERS:
        return number(value, *_NUMBERS[name])
    if name == "throttle_reasons":
        return words(value)
    return clean(value, _TEXTS.get(name, 255))


def _processes(value: Any, details: Json) -> tuple[Process, ...]:
    processes = []
    for pid in indices(table(value), MAX_PROCESSES, MAX_PID):
        detail = table(details.get(str(pid)))
        processes.append(
            Process(
                pid=pid,
                user=clean(detail.get("user"), 64),
                command=command(detail.get("command")),
                memory_bytes=integer(value[str(pid)], 0, BYTES),  # -1: not known
                started_at=number(detail.get("started_at"), 0, 1e11),
                container=clean(detail.get("container"), 255),
                container_id=clean(detail.get("container_id"), 128),
                tmux_session=clean(detail.get("tmux_session"), 255),
                tmux=clean(detail.get("tmux"), 400),
                pod=clean(detail.get("pod"), 64),
            )
        )
    return tuple(processes)
