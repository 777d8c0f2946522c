"""All GPUs of the node through NVML, which may be missing, broken, hanging, and come back."""

import _ctypes
import ctypes
import time
from typing import Any, Dict, List, Optional, Tuple

import pynvml

from .errors import DriverGone, NotAvailable, first_of, words
from .gpu import GpuReader
from .jobs import JobReader
from .procfs import ProcessReader
from .text import decoded, first_line, visible
from .workers import Bell, Worker, clock, wait_for

FIRST_START_SECONDS = 8.0  # GPUs without persistence mode take over a second each to wake up
RETRY_SECONDS = 10.0

LIBRARIES = (
    "libnvidia-ml.so.1",
    "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib64/libnvidia-ml.so.1",
    "/usr/lib64/nvidia/libnvidia-ml.so.1",
    "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
)

_LOOK = "Run nvidia-smi on the node; see whether the driver is loaded (lsmod | grep nvidia)."
_ADVICE = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        "no-driver",
        "Install the NVIDIA driver on the node; in a container, give it the GPUs (--gpus).",
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "driver-mismatch",
        "The driver was updated under way: reboot the node, or reload its kernel modules.",
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "no-permission",
        "Ask for access to /dev/nvidia* on the node (often the group video or render).",
    ),
}


class NvmlSource:
    """Reads all GPUs, each in a thread of its own: one that hangs does not hide the others."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._starter = Worker(bell)
        self._system: Optional[Dict[str, Any]] = None  # driver, cuda; None: not started
        self._gpus: List[Tuple[GpuReader, Worker]] = []
        self._spare: List[Worker] = []
        self._problem: Optional[Dict[str, str]] = None
        self._start_at = time.monotonic()
        self._first = True
        self._processes = ProcessReader(bell)
        self._jobs = JobReader(bell)

    def host(self) -> Dict[str, Any]:
        return {}

    def read(self, seconds: float) -> Dict[str, Any]:
        """The GPU part of a document, within about `seconds` whatever hangs."""
        deadline = time.monotonic() + seconds
        if self._system is None:
            self._start(FIRST_START_SECONDS if self._first else seconds)
            self._first = False
        if self._system is not None:
            try:
                return self._read(max(seconds / 2, deadline - time.monotonic()))
            except DriverGone as error:
                self._system, self._problem = None, problem_of(error.code)
                self._start_at = time.monotonic()
        return {"source": "nvml", "problem": self._problem}

    def _start(self, seconds: float) -> None:
        if time.monotonic() >= self._start_at:
            others = [worker for _, worker in self._gpus] + self._spare
            fresh = not any(worker.stuck for worker in others)
            if self._starter.ask(lambda: start(fresh)):
                wait_for([self._starter], self._bell, seconds)
        if self._starter.asked_at is None:
            return  # not time yet
        if not self._starter.answered:
            self._problem = {
                "kind": "no-driver",
                "message": "NVML does not answer: nvmlInit has hung since "
                + clock(self._starter.asked_at),
                "advice": "The driver hangs: see dmesg on the node for Xid errors; it may need a "
                "reboot.",
            }
            return
        self._start_at = time.monotonic() + RETRY_SECONDS
        try:
            self._system, count = self._starter.answer()
        except DriverGone as error:
            self._problem = problem_of(error.code, str(error))
        else:
            self._spare += [worker for _, worker in self._gpus]
            self._gpus = [(GpuReader(index), self._free_worker()) for index in range(count)]

    def _free_worker(self) -> Worker:
        """A worker that does nothing; those stuck in a driver that is gone stay where they are."""
        for worker in self._spare:
            if worker.answered:
                _forget_answer(worker)
            if worker.asked_at is None:
                self._spare.remove(worker)
                return worker
        return Worker(self._bell)

    def _read(self, seconds: float) -> Dict[str, Any]:
        asked = []
        for reader, worker in self._gpus:
            if worker.ask(reader.read):
                asked.append(worker)
        wait_for(asked, self._bell, seconds)
        gpus: Dict[str, Any] = {}
        for index, (reader, worker) in enumerate(self._gpus):
            gpus[str(index)] = _answer(reader, worker)
        document = dict(self._system or {}, source="nvml", gpus=gpus)
        pids = _pids(gpus)
        document.update(self._jobs.read(pids, seconds))
        roots = {int(pid) for pid in document["jobs"]}
        document["processes"] = self._processes.details(sorted(roots.union(pids)), seconds)
        return document


def start(fresh: bool) -> Tuple[Dict[str, Any], int]:
    """Starts NVML, again if need be; returns what is known of the driver, and the count of GPUs.

    With `fresh` the library is loaded anew, since it may have been replaced on the disk; that is
    safe only while no thread is inside it. Raises `DriverGone`.
    """
    if fresh:
        _unload()
    try:
        _load()
        try:
            pynvml.nvmlInitWithFlags(0)
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                raise
            code = pynvml._nvmlGetFunctionPointer("nvmlInit_v2")()  # drivers before R387
            if code != pynvml.NVML_SUCCESS:
                raise pynvml.NVMLError(code)
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise DriverGone(error.value)
    system: Dict[str, Any] = {}
    try:
        system["driver"] = visible(first_of(pynvml.nvmlSystemGetDriverVersion), 64)
    except NotAvailable:
        pass
    try:
        version = first_of(
            pynvml.nvmlSystemGetCudaDriverVersion_v2, pynvml.nvmlSystemGetCudaDriverVersion
        )
        system["cuda"] = "%d.%d" % (version // 1000, version % 1000 // 10)
    except NotAvailable:
        pass
    return system, count


def problem_of(code: int, detail: str = "") -> Dict[str, str]:
    """Why there are no GPUs, for the laptop."""
    kind, advice = _ADVICE.get(code, ("no-driver", _LOOK))
    message = "NVML: " + (detail or words(code))
    kernel = _kernel_driver()
    if kernel:
        message += "; the kernel has driver " + kernel
    return {"kind": kind, "message": message, "advice": advice}


def _answer(reader: GpuReader, worker: Worker) -> Dict[str, Any]:
    """What a GPU's worker has for this sample. Raises `DriverGone`."""
    if not worker.answered:
        since = clock(worker.asked_at or time.time())
        return dict(reader.identity, lost="not answering since " + since)
    try:
        gpu: Dict[str, Any] = worker.answer()
        return gpu
    except DriverGone:
        raise
    except Exception as error:
        return dict(reader.identity, lost="cannot be read: %s" % visible(repr(error), 120))


def _forget_answer(worker: Worker) -> None:
    try:
        worker.answer()
    except Exception:
        pass  # it belonged to a driver that is gone


def _pids(gpus: Dict[str, Any]) -> List[int]:
    """Every process id on the GPUs and their instances, once."""
    owners = list(gpus.values())
    for gpu in gpus.values():
        owners += gpu.get("mig", {}).values()
    return sorted({int(pid) for owner in owners for pid in owner.get("processes", {})})


def _load() -> None:
    """Loads the library by its name, or from where drivers put it."""
    if pynvml.nvmlLib is not None:
        return
    for name in LIBRARIES:
        try:
            pynvml.nvmlLib = ctypes.CDLL(name)
            return
        except OSError:
            continue
    raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


def _unload() -> None:
    library, pynvml.nvmlLib = pynvml.nvmlLib, None
    pynvml._nvmlGetFunctionPointer_cache.clear()
    if library is not None:
        library.nvmlShutdown()
        _ctypes.dlclose(library._handle)


def _kernel_driver() -> str:
    """The version of the loaded kernel module, as /proc/driver/nvidia/version names it."""
    try:
        with open("/proc/driver/nvidia/version", "rb") as file:
            line = first_line(decoded(file.read(4096)))
    except OSError:
        return ""
    for word in line.split():
        if word[:1].isdigit() and "." in word:
            return word
    return ""
