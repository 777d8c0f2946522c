"""Why a GPU's clocks are held down: nvmlClocksEventReasons (nvml.h) in words."""

from typing import List

_IDLE = 0x1  # not throttling
_WORDS = (
    (0x2, "application clocks"),
    (0x4, "power cap"),
    (0x8, "hardware slowdown"),
    (0x10, "sync boost"),
    (0x20, "thermal (software)"),
    (0x40, "thermal (hardware)"),
    (0x80, "power brake"),
    (0x100, "display clocks"),
    (0x200, "board limit"),
    (0x400, "reliability"),
)


def throttle_words(bits: int) -> List[str]:
    """A bit mask in words; empty where the clocks are not held down."""
    found = [word for bit, word in _WORDS if bits & bit]
    unknown = bits & ~sum(bit for bit, _ in _WORDS) & ~_IDLE
    return found + (["reason 0x%x" % unknown] if unknown else [])
