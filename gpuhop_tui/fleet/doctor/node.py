"""A node by what was seen on it: python, tmux, clock, disks; and its GPUs by its probe."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuhop_tui.fleet.doctor.finding import Finding, ok, problem, unchecked, warning
from gpuhop_tui.fleet.doctor.remote import Look
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.problem import ErrorKind, Problem

OLDEST_PYTHON = (3, 6)
OLDEST_TMUX_TAIL = (3, 2)  # attach -f, which a tail needs to leave the size alone
SKEW_SECONDS = 2.0  # from here on times of the node mislead
BAD_SKEW_SECONDS = 60.0  # from here on tokens and certificates are refused
FULL = 0.05  # of a disk that is left
GIB = 1 << 30
LITTLE_BYTES = GIB // 2

_MEND_DRIVER = {
    ErrorKind.NO_DRIVER: "on {node}: nvidia-smi  # and lsmod | grep nvidia",
    ErrorKind.DRIVER_MISMATCH: "on {node}: sudo reboot  # or sudo rmmod nvidia_uvm nvidia && sudo "
    "modprobe nvidia",
    ErrorKind.NO_PERMISSION: "on {node}: ls -l /dev/nvidia*",
    ErrorKind.NO_PROBE: "on {node}: python3 --version",
}


def check_look(node: str, look: Look) -> Iterator[Finding]:
    """Python, tmux, clock and disks of a node. What was not seen before the look ended is said."""
    if look.user or not look.reason:
        yield _python(node, look)
        yield _tmux(node, look)
    else:
        for check in ("python", "tmux"):
            yield unchecked(check, node, look.reason)
    yield check_clock(node, look)
    yield from _disks(node, look)


def check_clock(node: str, look: Look) -> Finding:
    """The node's clock against ours, with half the round trip as the margin."""
    if look.clock_ahead is None:
        return unchecked("clock", node, look.reason or "its date(1) printed no time")
    off, within = look.clock_ahead, look.clock_within
    words = f"{abs(off):.1f} s {'ahead' if off > 0 else 'behind'} (± {within:.1f} s)"
    if abs(off) - within < SKEW_SECONDS:
        return ok("clock", node, f"its clock agrees with this machine's, within {within:.1f} s")
    judge = problem if abs(off) - within > BAD_SKEW_SECONDS else warning
    return judge(
        "clock",
        node,
        f"its clock is {words} of this machine's",
        "one of the two does not keep time: ages and the expiry of certificates are wrong",
        f"on {node}: sudo timedatectl set-ntp true  # and `timedatectl` here",
    )


def check_gpus(state: NodeState) -> Finding:
    """The driver and NVML, by what the probe says."""
    node, sample = state.name, state.live_sample
    fault: Problem | None = state.probe_problem or (sample.problem if sample else None)
    if fault is not None:
        mend = _MEND_DRIVER.get(fault.kind, "on {node}: nvidia-smi").format(node=node)
        return problem("gpu", node, fault.message, fault.advice, mend)
    if sample is None:
        return unchecked("gpu", node, "the probe has not answered")
    if lost := [gpu for gpu in sample.gpus if gpu.lost is not None]:
        names = ", ".join(f"{gpu.index} ({gpu.lost})" for gpu in lost)
        return problem(
            "gpu",
            node,
            f"GPU {names}",
            "the driver has lost it: a fault of the hardware or of the driver",
            f"on {node}: sudo dmesg | grep -i xid",
        )
    facts = f"{len(sample.gpus)} GPUs by {sample.source}"
    if sample.driver:
        facts += f", driver {sample.driver}"
    return ok("gpu", node, facts + (f", CUDA {sample.cuda}" if sample.cuda else ""))


def _python(node: str, look: Look) -> Finding:
    version = _numbers(look.python or "")
    if look.python is not None and version >= OLDEST_PYTHON:
        return ok("python", node, f"Python {look.python}")
    if look.python is None:
        found = "there is no python3"
    elif version:
        found = f"Python {look.python} is too old"
    else:
        found = "its python3 does not start"
    return warning(
        "python",
        node,
        found,
        "without Python 3.6 or later the figures come from nvidia-smi: fewer, and no users",
        f"on {node}: sudo apt-get install python3  # or as its system has it",
    )


def _tmux(node: str, look: Look) -> Finding:
    install = f"on {node}: sudo apt-get install tmux  # or as its system has it"
    if look.tmux is None:
        return warning(
            "tmux", node, "there is no tmux", "shells there end with the connection", install
        )
    version = _numbers(look.tmux)
    if version and version < OLDEST_TMUX_TAIL:
        return warning(
            "tmux",
            node,
            f"tmux {look.tmux} is old",
            "before 3.2 a tail is a picture a second and no stream",
            install,
        )
    return ok("tmux", node, f"tmux {look.tmux}")


def _disks(node: str, look: Look) -> Iterator[Finding]:
    well = True
    for path in look.read_only:
        well = False
        yield warning(
            "disk",
            node,
            f"{path} cannot be written",
            "the probe is sent anew at each start, and shells keep no history",
            f"on {node}: ls -ld {path}; mount | grep $(df -P {path} | tail -n 1 | cut -d' ' -f1)",
        )
    for path, (free, total) in look.disks.items():
        if fault := check_disk(node, path, free, total):
            well = False
            yield fault
    if look.reason and not look.disks:
        yield unchecked("disk", node, look.reason)
    elif well and look.disks:
        free = min(free for free, _ in look.disks.values())
        yield ok("disk", node, f"home and cache have {free / GIB:.0f} GiB left")


def check_disk(node: str, path: str, free: int, total: int) -> Finding | None:
    """A finding where little is left. Sizes are bytes."""
    if total <= 0 or (free >= FULL * total and free >= min(LITTLE_BYTES, total // 2)):
        return None
    judge = problem if free < min(LITTLE_BYTES, total // 100) else warning
    return judge(
        "disk",
        node,
        f"{path} has {free / GIB:.1f} of {total / GIB:.0f} GiB left",
        "what writes there fails: checkpoints, images, the probe's cache",
        f"on {node}: du -xsh {path}/* | sort -h | tail",
    )


def _numbers(text: str) -> tuple[int, ...]:
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else ()
