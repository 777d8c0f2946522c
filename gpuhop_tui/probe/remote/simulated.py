"""A believable fleet without a GPU, for the demo and for tests; always marked `simulated`.

`GPUHOP_SIMULATED` holds the specification as JSON, or the absolute path of a file with it (read
again whenever it changes). Figures follow from the seed and the clock alone:

    {"seed": 7, "driver": "550.54.15", "cuda": "12.4",
     "host": {"hostname": "gpu-01", "cpu_count": 64, ...},   # over the machine's own; optional
     "gpus": [{"name": "NVIDIA A100-SXM4-80GB", "memory_total_bytes": 85899345920,
               "profile": "training", "user": "mira", "command": "python train.py",
               "container": "train", "container_id": "…", "tmux_session": "train",
               "pid": 4711, "started_ago": 7200, "fan": false,
               "power_limit_watts": 400, "instances": [{...}],
               "also": [{"user": "ann", "command": "…", "memory_bytes": 1073741824, ...}]}]}

Profiles: `idle`, `training`, `busy`, `bursty` (inference), `stalled` (memory held, nothing runs),
`throttled`, `lost`, `mig` (its `instances`: name, memory_total_bytes, and a process as above). GPUs
with the same pid share a process; `also` are further ones, by what they hold. `started_at` (seconds
since the epoch) may stand for `started_ago`. `problem` instead of `gpus` is a broken driver.
"""

import hashlib
import json
import math
import os
import time
from typing import Any, Dict, Optional, Tuple

Spec = Dict[str, Any]

GIB = 1 << 30
MIB = 1 << 20

# profile: (utilization low, high, memory share held, seconds of one wave)
_SHAPES = {
    "idle": (0, 0, 0.0, 60),
    "training": (86, 99, 0.68, 40),
    "throttled": (90, 100, 0.82, 50),
    "busy": (35, 95, 0.55, 90),
    "bursty": (0, 80, 0.34, 25),
    "stalled": (0, 0, 0.89, 60),
    "mig": (0, 0, 0.0, 60),
}  # type: Dict[str, Tuple[int, int, float, float]]

_NO_UTILIZATION_UNDER_MIG = "MIG is on"


class SimulatedSource:
    """Reads the GPUs of a specification as `NvmlSource` reads those of a driver."""

    def __init__(self, specification: str) -> None:
        self._text = specification
        self._stamp: Optional[Tuple[int, int]] = None
        self._spec: Spec = {}
        self._started = time.time()

    def read(self, seconds: float) -> Dict[str, Any]:
        """The GPU part of a document: source, driver, cuda, gpus, processes, or a problem."""
        document: Dict[str, Any] = {"source": "simulated"}
        try:
            spec = self._load()
            for key in ("driver", "cuda", "problem"):
                if spec.get(key):
                    document[key] = spec[key]
            if "problem" not in document:
                document["gpus"], document["processes"] = self._gpus(spec, time.time())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return {
                "source": "simulated",
                "problem": {
                    "kind": "no-probe",
                    "message": "The simulated GPUs are not well described: %r" % error,
                    "advice": "Mend the JSON in GPUHOP_SIMULATED.",
                },
            }
        return document

    def host(self) -> Dict[str, Any]:
        """Figures of the machine that the specification sets; they take the place of real ones."""
        host = self._spec.get("host")
        if not isinstance(host, dict):
            return {}
        figures = dict(host)
        seed, now = self._spec.get("seed", 0), time.time()
        figures.setdefault("cpu_percent", round(100 * _wave((seed, "cpu"), now, 45) ** 2, 1))
        count = figures.setdefault("cpu_count", 64)
        figures.setdefault("load_1", round(count * figures["cpu_percent"] / 100, 2))
        days = 3 + 90 * _fraction(seed, "boot")
        figures.setdefault("boot_time", int(self._started - 86400 * days))
        total = figures.setdefault("memory_total_bytes", 512 * GIB)
        share = 0.2 + 0.3 * _wave((seed, "ram"), now, 600)
        figures.setdefault("memory_used_bytes", _mib(total * share))
        if "disks" not in figures:
            figures["disks"] = {
                "/": [_mib(GIB * (60 + 300 * _fraction(seed, "/"))), 960 * GIB],
                "/var/lib/docker": [_mib(GIB * (100 + 1500 * _fraction(seed, "d"))), 3840 * GIB],
            }
        return figures

    def _load(self) -> Spec:
        if not self._text.startswith("/"):
            self._spec = self._spec or json.loads(self._text)
            return self._spec
        status = os.stat(self._text)
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            with open(self._text, encoding="utf-8") as file:
                self._spec = json.load(file)
            self._stamp = stamp
        return self._spec

    def _gpus(self, spec: Spec, now: float) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        gpus: Dict[str, Any] = {}
        processes: Dict[str, Any] = {}
        for index, gpu in enumerate(spec["gpus"]):
            key = (spec.get("seed", 0), index)
            gpus[str(index)] = self._gpu(gpu, key, now, processes)
        return gpus, processes

    def _gpu(
        self, spec: Spec, key: Tuple[Any, ...], now: float, processes: Dict[str, Any]
    ) -> Dict[str, Any]:
        profile = spec.get("profile", "idle")
        gpu: Dict[str, Any] = {"name": spec["name"], "uuid": "GPU-" + _uuid(key)}
        if profile == "lost":
            gpu["lost"] = spec.get("lost", "GPU is lost (fallen off the bus)")
            return gpu
        low, high, share, period = _SHAPES[profile]
        total = spec.get("memory_total_bytes", 80 * GIB)
        limit = spec.get("power_limit_watts", 400)
        utilization = int(round(low + (high - low) * _wave(key, now, period)))
        heat = _wave(key + ("heat",), now, 180)
        missing: Dict[str, str] = {}
        gpu.update(
            memory_total_bytes=total,
            memory_used_bytes=_mib(total * share * (1 + 0.03 * _wave(key + ("m",), now, 900))),
            temperature_celsius=int(30 + 4 * heat + (utilization * 0.34)),
            power_watts=int(limit * (0.15 + 0.008 * utilization) * (0.96 + 0.04 * heat)),
            power_limit_watts=limit,
            sm_clock_mhz=1410 - 15 * int(6 * heat) if utilization else 210,
            throttle_reasons=[],
            ecc_uncorrected=spec.get("ecc_uncorrected", 0),
            pcie_generation=spec.get("pcie_generation", 4) if utilization else 1,
            pcie_generation_max=4,
            pcie_width=16,
            pcie_width_max=16,
        )
        if profile == "throttled":
            gpu["temperature_celsius"] = 87 + int(3 * heat)
            gpu["throttle_reasons"] = ["thermal (hardware)"]
            gpu["sm_clock_mhz"] = 1095 - 15 * int(4 * heat)
        if spec.get("fan"):
            gpu["fan_percent"] = min(100, gpu["temperature_celsius"])
        else:
            missing["fan_percent"] = "not supported"
        if profile == "mig":
            missing["utilization_percent"] = _NO_UTILIZATION_UNDER_MIG
            gpu["mig"] = self._instances(spec, key, now, processes)
            held = sum(each["memory_used_bytes"] for each in gpu["mig"].values())
            gpu["memory_used_bytes"] = held + 64 * MIB
        else:
            gpu["utilization_percent"] = utilization
        gpu["processes"] = self._listed(spec, key, gpu["memory_used_bytes"], processes)
        for number, each in enumerate(spec.get("also", ())):
            room = max(0, total - gpu["memory_used_bytes"])
            held = min(each.get("memory_bytes", GIB), room)
            gpu["processes"].update(self._listed(each, key + ("also", number), held, processes))
            gpu["memory_used_bytes"] += held
        gpu["missing"] = missing
        return gpu

    def _instances(
        self, spec: Spec, key: Tuple[Any, ...], now: float, processes: Dict[str, Any]
    ) -> Dict[str, Any]:
        instances: Dict[str, Any] = {}
        for index, each in enumerate(spec.get("instances", [])):
            mine = key + ("mig", index)
            total = each.get("memory_total_bytes", 10 * GIB)
            share = 0.6 + 0.05 * _wave(mine, now, 300) if each.get("user") else 0.002
            used = _mib(total * share)
            instances[str(index)] = {
                "name": each.get("name", "1g.10gb"),
                "uuid": "MIG-" + _uuid(mine),
                "memory_total_bytes": total,
                "memory_used_bytes": used,
                "processes": self._listed(each, mine, used, processes),
            }
        return instances

    def _listed(
        self, spec: Spec, key: Tuple[Any, ...], held: int, processes: Dict[str, Any]
    ) -> Dict[str, int]:
        """The process of a GPU or instance, if it has one; its details go to `processes`."""
        if not spec.get("user"):
            return {}
        pid = str(spec.get("pid") or 2000 + int(60000 * _fraction(key, "pid")))
        details = {
            name: spec[name]
            for name in ("user", "command", "container", "container_id", "tmux_session")
            if spec.get(name)
        }
        age = spec.get("started_ago", 600 + int(90000 * _fraction(key, "age")))
        details["started_at"] = int(spec.get("started_at") or self._started - age)
        processes.setdefault(pid, details)
        return {pid: _mib(held * 0.99)}


def _wave(key: Tuple[Any, ...], now: float, period: float) -> float:
    """A smooth wander between 0 and 1: noise at the ends of each period, eased between them."""
    step = math.floor(now / period)
    ease = (1 - math.cos(math.pi * (now / period - step))) / 2
    return _fraction(key, step) * (1 - ease) + _fraction(key, step + 1) * ease


def _fraction(*key: Any) -> float:
    """A number from 0 to below 1 that depends on nothing but `key`."""
    return int(_digest(*key)[:12], 16) / float(1 << 48)


def _uuid(key: Tuple[Any, ...]) -> str:
    digest = _digest(key, "uuid")
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def _digest(*key: Any) -> str:
    return hashlib.sha256(repr(key).encode("utf-8")).hexdigest()


def _mib(size: float) -> int:
    """Rounded down to whole MiB, as NVML's own figures for processes are."""
    return int(size) // MIB * MIB
