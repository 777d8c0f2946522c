"""NVML's return codes (nvmlReturn_t, nvml.h) in plain words, and what they mean for the probe."""

from typing import Any, Callable, Dict

import pynvml

WORDS: Dict[int, str] = {
    pynvml.NVML_ERROR_UNINITIALIZED: "NVML is not initialized",
    pynvml.NVML_ERROR_INVALID_ARGUMENT: "not supported by this driver",
    pynvml.NVML_ERROR_NOT_SUPPORTED: "not supported",
    pynvml.NVML_ERROR_NO_PERMISSION: "no permission",
    pynvml.NVML_ERROR_NOT_FOUND: "not found",
    pynvml.NVML_ERROR_INSUFFICIENT_POWER: "external power cables are not attached",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the driver is not loaded",
    pynvml.NVML_ERROR_TIMEOUT: "timed out",
    pynvml.NVML_ERROR_IRQ_ISSUE: "interrupt problem",
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "library not found",
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "function not in this driver",
    pynvml.NVML_ERROR_CORRUPTED_INFOROM: "infoROM is corrupted",
    pynvml.NVML_ERROR_GPU_IS_LOST: "GPU is lost (fallen off the bus)",
    pynvml.NVML_ERROR_RESET_REQUIRED: "GPU needs a reset",
    pynvml.NVML_ERROR_OPERATING_SYSTEM: "blocked by the operating system",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "driver and library versions differ",
    pynvml.NVML_ERROR_IN_USE: "in use",
    pynvml.NVML_ERROR_MEMORY: "out of memory",
    pynvml.NVML_ERROR_NO_DATA: "no data",
    pynvml.NVML_ERROR_UNKNOWN: "unknown error",
}

# What one function says, but all of NVML is meant.
_DRIVER_GONE = (
    pynvml.NVML_ERROR_UNINITIALIZED,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
)
_GPU_GONE = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED)

# The driver is older, or newer, than the function: another one may do.
_NOT_THIS_FUNCTION = (
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    getattr(pynvml, "NVML_ERROR_ARGUMENT_VERSION_MISMATCH", 25),
    getattr(pynvml, "NVML_ERROR_DEPRECATED", 26),
)


class NotAvailable(Exception):  # noqa: N818  (a blank figure is not an error)
    """One figure cannot be had; the text is the reason that users see."""


class GpuLost(Exception):  # noqa: N818
    """The GPU answers no more."""


class DriverGone(Exception):  # noqa: N818
    """All of NVML has to be started again; `code` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(words(code))
        self.code = code


def words(code: int) -> str:
    return WORDS.get(code) or "NVML error %d" % code


def first_of(*calls: Callable[[], Any]) -> Any:
    """What the first of `calls` that this driver has returns.

    Raises `NotAvailable`, `GpuLost` or `DriverGone` where it fails.
    """
    code = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    for call in calls:
        try:
            return call()
        except pynvml.NVMLError as error:
            code = error.value
            if code not in _NOT_THIS_FUNCTION:
                break
        except AttributeError:
            pass  # this pynvml has no such function
    if code in _DRIVER_GONE:
        raise DriverGone(code)
    if code in _GPU_GONE:
        raise GpuLost(words(code))
    raise NotAvailable(words(code))
