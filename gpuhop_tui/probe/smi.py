"""The way without Python on the node: what `nvidia-smi` prints, read as samples.

The command of `delivery` loops two queries (`nvidia-smi --help-query-gpu` names the fields) into
one stream. Their lines are told apart by their shape: a GPU's begins with its index, a process's
with a UUID. Lines `gpuhop-smi-error TEXT` and `gpuhop-smi-failed STATUS` say that the query failed.
"""

from __future__ import annotations

import csv
import re
from typing import Any

from gpuhop_tui.probe.checked import MAX_PID
from gpuhop_tui.probe.clean import clean
from gpuhop_tui.probe.remote import throttle
from gpuhop_tui.probe.sample import HOST_FIGURES, Gpu, Host, Process, Sample
from gpuhop_tui.probe.validate import NONSENSE, figure
from gpuhop_tui.problem import ErrorKind, Problem

BASIC_FIELDS = (
    "index",
    "count",
    "uuid",
    "name",
    "driver_version",
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "temperature.gpu",
)
"""What every nvidia-smi of the last ten years knows."""

GPU_FIELDS = (
    *BASIC_FIELDS,
    "power.draw",
    "enforced.power.limit",
    "fan.speed",
    "clocks.sm",
    "clocks_throttle_reasons.active",
    "ecc.errors.uncorrected.volatile.total",
    "mig.mode.current",
)

APP_FIELDS = ("gpu_uuid", "pid", "used_memory", "process_name")

MAX_APPS = 4096
"""Processes listed between two sweeps; more are left out."""

NOT_IN_SMI = "not in this nvidia-smi"
NOT_ASKED = "not asked of nvidia-smi"
NO_PYTHON = "there is no Python 3.6 or newer on the node"

_MIB = 1 << 20
_ERROR, _FAILED = b"gpuhop-smi-error ", b"gpuhop-smi-failed "
_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z/-]+")
_BLANKS = {
    "[N/A]": "not supported",
    "N/A": "not supported",
    "[Not Supported]": "not supported",
    "[Insufficient Permissions]": "no permission",
    "[Unknown Error]": "unknown error",
    "[Unknown error]": "unknown error",
    "[Not Found]": "not found",
    "[Function Not Found]": "function not in this driver",
}
_LOST = ("[GPU is lost]", "GPU is lost")

# our name: (field of nvidia-smi, what one unit of it is in ours; None: a fraction counts)
_FIGURES: dict[str, tuple[str, int | None]] = {
    "utilization_percent": ("utilization.gpu", 1),
    "memory_used_bytes": ("memory.used", _MIB),
    "memory_total_bytes": ("memory.total", _MIB),
    "temperature_celsius": ("temperature.gpu", 1),
    "power_watts": ("power.draw", None),
    "power_limit_watts": ("enforced.power.limit", None),
    "fan_percent": ("fan.speed", 1),
    "sm_clock_mhz": ("clocks.sm", 1),
    "ecc_uncorrected": ("ecc.errors.uncorrected.volatile.total", 1),
}

_LINK = ("pcie_generation", "pcie_generation_max", "pcie_width", "pcie_width_max")

Apps = dict[tuple[str, int], Process]  # by the UUID of the GPU and the process id


class SmiReader:
    """Gathers lines into samples: one for every sweep over all GPUs."""

    def __init__(self, hop: str) -> None:
        self._hop = hop
        self._sweep: dict[int, dict[str, str]] = {}
        self._apps: Apps = {}  # listed before the last sweep
        self._new_apps: Apps = {}  # listed since
        self._errors: list[str] = []
        self.ignored = 0  # lines that are none of these

    def feed(self, line: bytes, at: float) -> Sample | None:
        """The sample that `line` completes, if it does. `at` is the laptop's clock."""
        if line.startswith(_ERROR):
            text = clean(line[len(_ERROR) :].decode("utf-8", "replace"), 400)
            self._errors = [*self._errors, text or ""][-8:]
            return None
        if line.startswith(_FAILED):
            errors, self._errors = self._errors, []
            return self._failed(errors, line[len(_FAILED) :].strip(), at)
        return self._row(line, at)

    def _row(self, line: bytes, at: float) -> Sample | None:
        row = _split(line)
        if len(row) in (len(GPU_FIELDS), len(BASIC_FIELDS)) and row[0].isdecimal():
            fields = dict(zip(GPU_FIELDS, row, strict=False))
            if fields["count"].isdecimal() and len(row[0]) < 4:
                return self._gpu_row(int(row[0]), fields, at)
        if len(row) >= len(APP_FIELDS) and _UUID.fullmatch(row[0]) and row[1].isdecimal():
            self._app_row(row)
            return None
        self.ignored += 1
        return None

    def _gpu_row(self, index: int, fields: dict[str, str], at: float) -> Sample | None:
        if index in self._sweep:  # a line of the sweep before was lost
            self._sweep = {}
        self._sweep[index] = fields
        if len(self._sweep) < int(fields["count"]):
            return None
        sweep, self._sweep = self._sweep, {}
        # The loops are not in step: between two sweeps there may be no list of processes.
        listed = self._apps | self._new_apps
        self._apps, self._new_apps = self._new_apps, {}
        gpus = tuple(_gpu(each, sweep[each], listed) for each in sorted(sweep))
        return Sample("nvidia-smi", at, clean(fields["driver_version"], 64), None, gpus, no_host())

    def _app_row(self, row: list[str]) -> None:
        pid = int(row[1]) if len(row[1]) < 9 else 0
        if 0 < pid <= MAX_PID and len(self._new_apps) < MAX_APPS:
            self._new_apps[row[0], pid] = Process(
                pid=pid,
                user=None,
                command=clean(", ".join(row[3:])),
                memory_bytes=figure("memory_used_bytes", _number(row[2], _MIB)),
                started_at=None,
            )

    def _failed(self, errors: list[str], status: bytes, at: float) -> Sample:
        text = " ".join(filter(None, errors))
        problem = smi_problem(text, status.decode("ascii", "replace")[:8], self._hop)
        return Sample("nvidia-smi", at, host=no_host(), problem=problem)


def _gpu(index: int, fields: dict[str, str], apps: Apps) -> Gpu:
    uuid, name = clean(fields["uuid"], 96), clean(fields["name"], 128)
    if any(value in _LOST for value in fields.values()):
        lost = "GPU is lost (fallen off the bus)"
        uuid = uuid if uuid and _UUID.fullmatch(uuid) else None
        name = None if name in _LOST else name
        missing = dict.fromkeys((*_FIGURES, "throttle_reasons", *_LINK), lost)
        missing |= {each: lost for each, known in (("uuid", uuid), ("name", name)) if not known}
        return Gpu(index, uuid, name, missing=missing, lost=lost)
    figures: dict[str, Any] = {}
    missing = {}
    for ours, (theirs, unit) in _FIGURES.items():
        number = _number(fields.get(theirs, ""), unit)
        figures[ours] = figure(ours, number)
        if figures[ours] is None:
            missing[ours] = NONSENSE if number is not None else _reason(fields.get(theirs))
    missing |= dict.fromkeys(_LINK, NOT_ASKED)
    figures["throttle_reasons"] = throttle_words(fields.get("clocks_throttle_reasons.active"))
    if figures["throttle_reasons"] is None:
        missing["throttle_reasons"] = _reason(fields.get("clocks_throttle_reasons.active"))
    if fields.get("mig.mode.current") == "Enabled":
        missing["mig"] = NO_PYTHON
        if figures["utilization_percent"] is None:
            missing["utilization_percent"] = "MIG is on"
    processes = tuple(apps[key] for key in sorted(apps) if key[0] == uuid)
    return Gpu(index, uuid, name, **figures, missing=missing, processes=processes)


def smi_problem(text: str, status: str, hop: str) -> Problem | None:
    """What nvidia-smi's complaint and exit status mean; None where it only found no GPU."""
    low = text.lower()
    if "no devices were found" in low:
        return None
    if "mismatch" in low or status == "18":
        return Problem(
            hop,
            ErrorKind.DRIVER_MISMATCH,
            text or "nvidia-smi: driver and library versions differ",
            "The driver was updated under way: reboot the node, or reload its kernel modules.",
        )
    if "permission" in low or status == "4":
        return Problem(
            hop,
            ErrorKind.NO_PERMISSION,
            text or "nvidia-smi: no permission",
            "Ask for access to /dev/nvidia* on the node.",
        )
    if status == "124":
        text = text or "nvidia-smi does not answer"
    return Problem(
        hop,
        ErrorKind.NO_DRIVER,
        text or f"nvidia-smi failed with status {status}",
        "Run nvidia-smi on the node; see whether the driver is loaded (lsmod | grep nvidia).",
    )


def throttle_words(mask: str | None) -> tuple[str, ...] | None:
    """`clocks_throttle_reasons.active`, a hexadecimal mask, in words; None if it is none."""
    if not mask or not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", mask):
        return None
    return tuple(throttle.throttle_words(int(mask, 16)))


def no_host() -> Host:
    """Nothing is known of the machine, and why."""
    return Host(missing=dict.fromkeys((*HOST_FIGURES, "disks"), NO_PYTHON))


def _split(line: bytes) -> list[str]:
    text = line.decode("utf-8", "replace").strip()
    if len(text) > 4096 or "," not in text:
        return []
    try:
        return [field.strip() for field in next(csv.reader([text], skipinitialspace=True), [])]
    except csv.Error:
        return []


def _number(text: str, unit: int | None) -> float | None:
    """A figure as nvidia-smi prints it, in whole `unit`s where there is one."""
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", text):
        return None
    return float(text) if unit is None else int(float(text)) * unit


def _reason(text: str | None) -> str:
    if text is None:
        return NOT_IN_SMI
    return _BLANKS.get(text) or clean(text.strip("[]"), 100) or "nvidia-smi leaves it blank"
