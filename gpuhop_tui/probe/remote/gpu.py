"""One GPU's figures through pynvml. Each that cannot be had leaves a reason in `missing`."""

import time
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple

import pynvml

from .errors import GpuLost, NotAvailable, first_of, words
from .running import MAX_PID, exists, running
from .text import visible
from .throttle import throttle_words

MIB = 1 << 20
MIG_IS_ON = "MIG is on"
LINK_SECONDS = 30.0  # between two reads of the PCIe link: it hardly changes
BUSY_PERCENT = 10  # from here on the link is at its full speed: it is read then


class GpuReader:
    """Reads one GPU again and again; what never changes is asked for once."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._handle: Any = None
        self.identity: Dict[str, Any] = {}  # uuid, name; kept when the GPU is lost
        self._link: Dict[str, Any] = {}  # the PCIe link, and in "missing" why it is not known
        self._link_at: Optional[float] = None  # monotonic seconds; None: not read yet
        self._was_busy = False

    def read(self) -> Dict[str, Any]:
        """The GPU as in a document. Raises `DriverGone` where the fault is all of NVML's."""
        try:
            if self._handle is None:
                index = self._index
                self._handle = first_of(lambda: pynvml.nvmlDeviceGetHandleByIndex(index))
            return self._read(self._handle)
        except (GpuLost, NotAvailable) as error:
            self._handle = None  # asked for anew: it may come back
            return dict(self.identity, lost=str(error))

    def _read(self, handle: Any) -> Dict[str, Any]:
        missing: Dict[str, str] = {}
        for name, call in (
            ("uuid", lambda: visible(pynvml.nvmlDeviceGetUUID(handle), 96)),
            ("name", lambda: visible(pynvml.nvmlDeviceGetName(handle), 128)),
        ):
            if name not in self.identity:
                _note(self.identity, missing, name, call)
        gpu = dict(self.identity)
        for name, calls in _figures(handle):
            _note(gpu, missing, name, *calls)
        _note_memory(gpu, missing, handle)
        if not set(gpu) - set(self.identity) and "unknown error" in missing.values():
            raise GpuLost("the driver cannot reach it (unknown error)")
        self._note_link(gpu, missing, handle)
        if _mig_is_on(handle):
            if "utilization_percent" in missing:
                missing["utilization_percent"] = MIG_IS_ON
            gpu["mig"] = _instances(missing, handle)
        else:
            _note_processes(gpu, missing, handle)
        if missing:
            gpu["missing"] = missing
        return gpu

    def _note_link(self, gpu: Dict[str, Any], missing: Dict[str, str], handle: Any) -> None:
        """The PCIe link: read seldom, and when the GPU begins to work, for it falls back while
        there is nothing to do."""
        busy = gpu.get("utilization_percent", 0) >= BUSY_PERCENT
        now = time.monotonic()
        due = self._link_at is None or now - self._link_at >= LINK_SECONDS
        if due or (busy and not self._was_busy):
            self._link_at, self._link = now, _link(handle)
        self._was_busy = busy
        gpu.update(self._link["figures"])
        missing.update(self._link["missing"])


def _link(handle: Any) -> Dict[str, Any]:
    """The PCIe link's generation and lanes, now and at most."""
    nvml = pynvml
    figures: Dict[str, Any] = {}
    missing: Dict[str, str] = {}
    for name, call in (
        ("pcie_generation", lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(handle)),
        ("pcie_generation_max", lambda: nvml.nvmlDeviceGetMaxPcieLinkGeneration(handle)),
        ("pcie_width", lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(handle)),
        ("pcie_width_max", lambda: nvml.nvmlDeviceGetMaxPcieLinkWidth(handle)),
    ):
        _note(figures, missing, name, call)
    return {"figures": figures, "missing": missing}


def _figures(handle: Any) -> List[Tuple[str, List[Callable[[], Any]]]]:
    """(name in a document, calls that give it: the first that the driver has counts)."""
    nvml = pynvml
    sm, uncorrected, volatile = (
        nvml.NVML_CLOCK_SM,
        nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        nvml.NVML_VOLATILE_ECC,
    )
    return [
        ("utilization_percent", [lambda: int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)]),
        (
            "temperature_celsius",
            [
                lambda: nvml.nvmlDeviceGetTemperatureV(handle, nvml.NVML_TEMPERATURE_GPU),
                lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            ],
        ),
        ("power_watts", [lambda: _watts(nvml.nvmlDeviceGetPowerUsage(handle))]),
        ("power_limit_watts", [lambda: _watts(nvml.nvmlDeviceGetEnforcedPowerLimit(handle))]),
        ("fan_percent", [lambda: nvml.nvmlDeviceGetFanSpeed(handle)]),
        ("sm_clock_mhz", [lambda: nvml.nvmlDeviceGetClockInfo(handle, sm)]),
        (
            "throttle_reasons",
            [
                lambda: throttle_words(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)),
                lambda: throttle_words(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
            ],
        ),
        (
            "ecc_uncorrected",
            [lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, uncorrected, volatile)],
        ),
    ]


def _watts(milliwatts: int) -> float:
    """Whole watts from 20 W on: more would be noise on the wire."""
    watts = milliwatts / 1000.0
    return int(round(watts)) if watts >= 20 else round(watts, 1)


def _note(
    owner: Dict[str, Any], missing: Dict[str, str], name: str, *calls: Callable[[], Any]
) -> None:
    """Puts what the first working call gives under `name`, or why none does into `missing`."""
    try:
        owner[name] = first_of(*calls)
    except NotAvailable as error:
        missing[name] = str(error)


def _note_memory(owner: Dict[str, Any], missing: Dict[str, str], handle: Any) -> None:
    """Used and total memory. The second version of the call leaves out what the driver reserves."""
    version = getattr(pynvml, "nvmlMemory_v2", None)
    try:
        memory = first_of(
            lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version),
            lambda: pynvml.nvmlDeviceGetMemoryInfo(handle),
        )
    except NotAvailable as error:
        missing["memory_used_bytes"] = missing["memory_total_bytes"] = str(error)
    else:
        owner["memory_used_bytes"] = memory.used // MIB * MIB
        owner["memory_total_bytes"] = memory.total


def _note_processes(owner: Dict[str, Any], missing: Dict[str, str], handle: Any) -> None:
    try:
        found = running(handle)
    except NotAvailable as error:
        missing["processes"] = str(error)
        return
    owner["processes"] = {str(pid): memory for pid, memory in found.items() if 0 < pid <= MAX_PID}
    strange = sum(not exists(pid) for pid in found)
    if strange * 2 > len(found):
        missing["processes"] = (
            "%d of %d process ids are not in /proc: hidden, of another pid namespace, "
            "or wrong in this driver" % (strange, len(found))
        )


def _mig_is_on(handle: Any) -> bool:
    try:
        current: Optional[int] = first_of(lambda: pynvml.nvmlDeviceGetMigMode(handle))[0]
    except NotAvailable:
        return False
    return current == 1


def _instances(missing: Dict[str, str], handle: Any) -> Dict[str, Any]:
    """The MIG devices of a GPU by their index; why one cannot be had goes into `missing`."""
    instances: Dict[str, Any] = {}
    try:
        most = first_of(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))
    except NotAvailable as error:
        missing["mig"] = str(error)
        return instances
    for index in range(most):
        try:
            instance = first_of(partial(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index))
        except NotAvailable as error:
            if str(error) != words(pynvml.NVML_ERROR_NOT_FOUND):  # there is none at this index
                missing["mig"] = str(error)
        else:
            instances[str(index)] = _instance(instance)
    return instances


def _instance(handle: Any) -> Dict[str, Any]:
    """One MIG device: its memory and processes are its own."""
    instance: Dict[str, Any] = {}
    missing: Dict[str, str] = {}
    _note(instance, missing, "uuid", lambda: visible(pynvml.nvmlDeviceGetUUID(handle), 96))
    _note(instance, missing, "name", lambda: _profile(pynvml.nvmlDeviceGetName(handle)))
    _note_memory(instance, missing, handle)
    _note_processes(instance, missing, handle)
    if missing:
        instance["missing"] = missing
    return instance


def _profile(name: str) -> str:
    """ "1g.10gb" of "NVIDIA A100-SXM4-80GB MIG 1g.10gb"."""
    return visible(name.split(" MIG ")[-1], 64)
