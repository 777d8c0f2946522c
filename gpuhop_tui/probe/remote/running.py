"""The processes on a GPU: `nvmlDeviceGet{Compute,Graphics,MPSCompute}RunningProcesses`.

The struct of these functions has had 16, 24 and 32 bytes, and some drivers (535.43 to 535.86 among
them) fill another one than the function's version promises, which scrambles process ids. So the
size is measured: by how far the driver wrote into a buffer full of a pattern, and by which size
gives process ids that exist.
"""

import ctypes
import os
import struct
from typing import Any, Dict, List, Tuple

import pynvml

from .errors import NotAvailable, first_of

KINDS = ("Compute", "Graphics", "MPSCompute")
VERSIONS = (("_v3", 24), ("_v2", 24), ("", 16))  # newest first, with the documented size
SIZES = (16, 24, 32)
MAX_PID = 1 << 22  # PID_MAX_LIMIT of Linux
NOT_KNOWN = -1  # bytes, where the driver cannot tell

_PATTERN = 0xA5
_NOT_AVAILABLE = (1 << 64) - 1  # NVML_VALUE_NOT_AVAILABLE


def running(handle: Any) -> Dict[int, int]:
    """Process id → bytes of GPU memory (`NOT_KNOWN` where it is not), all kinds together.

    Raises as `first_of` where not even compute processes can be listed.
    """
    found: Dict[int, int] = {}
    for kind in KINDS:
        try:
            listed = first_of(*[_caller(handle, kind, *version) for version in VERSIONS])
        except NotAvailable:
            if kind == "Compute":
                raise
            continue
        for pid, memory in listed:
            found[pid] = max(memory, found.get(pid, NOT_KNOWN))
    return found


def _caller(handle: Any, kind: str, suffix: str, documented: int) -> Any:
    return lambda: _list(handle, "nvmlDeviceGet%sRunningProcesses%s" % (kind, suffix), documented)


def _list(handle: Any, name: str, documented: int) -> List[Tuple[int, int]]:
    function = pynvml._nvmlGetFunctionPointer(name)
    capacity = 32
    for _ in range(6):
        size = capacity * max(SIZES)
        buffer = ctypes.create_string_buffer(size)
        ctypes.memset(buffer, _PATTERN, size)
        count = ctypes.c_uint(capacity)
        code = function(handle, ctypes.byref(count), buffer)
        if code != pynvml.NVML_ERROR_INSUFFICIENT_SIZE:
            break
        capacity = max(capacity, count.value) * 2  # more may start in between
    if code != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(code)
    return parse(buffer.raw, count.value, documented)


def parse(raw: bytes, count: int, documented: int) -> List[Tuple[int, int]]:
    """(pid, bytes) of the `count` structs at the start of `raw`, whatever their size is."""
    if not count:
        return []
    written = len(raw.rstrip(bytes([_PATTERN])))
    measured = [size for size in SIZES if size * count == written]
    candidates = measured + [documented] + list(SIZES)
    readings = [_unpack(raw, count, size) for size in candidates]
    return max(readings, key=_existing)  # the first of equals


def _unpack(raw: bytes, count: int, size: int) -> List[Tuple[int, int]]:
    listed = []
    for start in range(0, min(count * size, len(raw) - 15), size):
        pid, memory = struct.unpack_from("=I4xQ", raw, start)
        listed.append((pid, NOT_KNOWN if memory == _NOT_AVAILABLE else memory))
    return listed


def _existing(listed: List[Tuple[int, int]]) -> int:
    return sum(exists(pid) for pid, _ in listed)


def exists(pid: int) -> bool:
    return 0 < pid <= MAX_PID and os.path.exists("/proc/%d" % pid)
