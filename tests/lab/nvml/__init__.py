"""A stand-in for `libnvidia-ml.so.1`, so that the real pynvml runs without a GPU.

`build` compiles it; `FakeNvml` writes the file that drives it. See `fake_nvml.c` for the keys.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

Variant = Literal["modern", "middle", "old", "wide", "narrow"]
"""modern: all functions; middle: no `_v3`; old: neither `_v3` nor `_v2`, no MIG; wide, narrow:
`_v3` process lists with a struct of 32 or 16 bytes, as some drivers have them."""

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, GPU_IS_LOST = 3, 4, 9, 15
LIB_RM_VERSION_MISMATCH, UNINITIALIZED, UNKNOWN = 18, 1, 999

GIB = 1 << 30
_SOURCE = Path(__file__).with_name("fake_nvml.c")


def build(directory: Path, variant: Variant = "modern") -> Path:
    """Compiles the library into `directory`, for LD_LIBRARY_PATH; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    library = directory / "libnvidia-ml.so.1"
    defined = [] if variant == "modern" else [f"-D{variant.upper()}"]
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    soname = "-Wl,-soname,libnvidia-ml.so.1"
    subprocess.run(["gcc", *options, *defined, soname, "-o", library, _SOURCE], check=True)
    return directory


class FakeNvml:
    """The hardware that a stand-in shows. Every change is there at the next call of NVML."""

    def __init__(self, path: Path, gpus: int = 2) -> None:
        self.path = path
        self._values: dict[str, str] = {"driver": "550.54.15", "cuda": "12040", "count": str(gpus)}
        for index in range(gpus):
            for key, value in _a100(index).items():
                self._values[f"gpu.{index}.{key}"] = str(value)
        self._write()

    def environment(self, library: Path) -> dict[str, str]:
        """What a process needs to load the stand-in from `library`, a directory of `build`."""
        return {"LD_LIBRARY_PATH": str(library), "GPUHOP_FAKE_NVML": str(self.path)}

    def set(self, **values: object) -> None:
        """Sets keys of the driver: `count=3`."""
        self._update("", values)

    def gpu(self, index: int, **values: object) -> None:
        """Sets keys of a GPU, None removes one: `gpu(0, utilization=50, fan=None)`."""
        self._update(f"gpu.{index}.", values)

    def instance(self, index: int, mig: int, **values: object) -> None:
        """Sets keys of a MIG device of a GPU."""
        self._update(f"gpu.{index}.mig.{mig}.", values)

    def fail(self, function: str, code: int | Literal["hang"], gpu: int | None = None) -> None:
        """Makes a function fail with an nvmlReturn_t, or hang; "" means every function."""
        self._values[_error_key(function, gpu)] = str(code)
        self._write()

    def heal(self, function: str, gpu: int | None = None) -> None:
        """Ends what `fail` began."""
        del self._values[_error_key(function, gpu)]
        self._write()

    def processes(self, index: int, **lists: dict[int, int | None]) -> None:
        """Sets process lists, pid → bytes: `processes(0, compute={123: 1 << 30})`."""
        self._update(f"gpu.{index}.", {kind: listed(pids) for kind, pids in lists.items()})

    def _update(self, prefix: str, values: dict[str, object]) -> None:
        for key, value in values.items():
            if value is None:
                self._values.pop(prefix + key, None)
            else:
                self._values[prefix + key] = str(value)
        self._write()

    def _write(self) -> None:
        scratch = self.path.with_name(self.path.name + ".new")
        scratch.write_text("".join(f"{key}={value}\n" for key, value in self._values.items()))
        scratch.replace(self.path)


def listed(pids: dict[int, int | None]) -> str:
    """A process list as the stand-in reads it; None is memory that is not available."""
    return " ".join(f"{pid}:{'-' if size is None else size}" for pid, size in pids.items())


def _error_key(function: str, gpu: int | None) -> str:
    parts = [] if gpu is None else [f"gpu.{gpu}"]
    return ".".join([*parts, "error", *filter(None, [function])])


def _a100(index: int) -> dict[str, object]:
    return {
        "name": "NVIDIA A100-SXM4-80GB",
        "uuid": f"GPU-00000000-0000-0000-0000-{index:012d}",
        "utilization": 10 * (index + 1),
        "memory_used": (index + 1) * GIB,
        "memory_total": 80 * GIB,
        "temperature": 40 + index,
        "power": 100_000 + 1000 * index,
        "power_limit": 400_000,
        "fan": 30,
        "clock": 1410,
        "throttle": "0x0",
        "ecc": 0,
        "pcie_generation": 4,
        "pcie_generation_max": 4,
        "pcie_width": 16,
        "pcie_width_max": 16,
    }
