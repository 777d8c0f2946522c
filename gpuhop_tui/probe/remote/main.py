"""The probe's life: a document every interval on standard output, commands on standard input.

It ends, whatever else hangs, when standard input ends, when no line has come on it for
`heartbeat` seconds, or when standard output is closed: nothing is left on the node when the laptop
or the link is gone.
"""

import math
import os
import sys
import time
import traceback
from typing import Any, List, NoReturn

from .delta import Document
from .host import HostReader
from .reservations import ReservationReader
from .talk import Listener, Output, start_watchdog
from .workers import Bell

READ_SECONDS = 1.5  # how long one sample waits for a GPU that does not answer


def main(arguments: List[str]) -> NoReturn:
    """Runs until there is nobody to talk to. Arguments: interval and heartbeat, in seconds."""
    try:
        run(float(arguments[0]), float(arguments[1]))
    except Exception as error:  # the last line of defence: one line that says why and where
        at = traceback.extract_tb(error.__traceback__)[-1]
        sys.stderr.write("probe: %r at %s:%s\n" % (error, os.path.basename(at[0]), at[1]))
        sys.stderr.flush()
        os._exit(70)


def run(interval: float, heartbeat: float) -> NoReturn:
    """Samples at absolute deadlines: a slow sample makes none of the later ones late."""
    bell = Bell()
    output = Output()
    listener = Listener(interval, bell, output)
    start_watchdog(listener, heartbeat)
    host = HostReader(bell)
    notes = ReservationReader(bell)
    source = choose_source(bell)
    due = time.monotonic()
    while True:
        interval = listener.interval
        if time.monotonic() >= due:
            seconds = min(READ_SECONDS, interval * 0.75)
            output.document(sample(source, host, notes, seconds))
            due = next_deadline(due, interval, time.monotonic())
        due = min(due, time.monotonic() + interval)  # the interval may have become shorter
        bell.wait(due - time.monotonic())


def sample(source: Any, host: HostReader, notes: ReservationReader, seconds: float) -> Document:
    """One document. GPUs, processes and the machine are each waited for no longer than about
    `seconds`, and what hangs is waited for once; the first start of NVML takes its own time."""
    document: Document = source.read(seconds)
    host.ask()  # after the GPUs: the first time, that gives the CPU figure something to measure
    document["host"] = figures = host.read(seconds)
    for name, value in source.host().items():  # a simulated machine
        figures[name] = value
        figures.get("missing", {}).pop(name, None)
    document["reservations"] = notes.read(seconds)
    document["time"] = round(time.time(), 1)
    return document


def choose_source(bell: Bell) -> Any:
    """NVML, unless `GPUHOP_SIMULATED` asks for a simulated fleet."""
    specification = os.environ.get("GPUHOP_SIMULATED")
    if specification:
        from .simulated import SimulatedSource

        return SimulatedSource(specification)
    from .nvml import NvmlSource

    return NvmlSource(bell)


def next_deadline(due: float, interval: float, now: float) -> float:
    """The first of `due + n * interval` that is later than `now`; missed ones are left out."""
    return due + interval * max(1, math.floor((now - due) / interval) + 1)
