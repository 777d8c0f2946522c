"""Signals that concern who holds a terminal, handled on the event loop for a while."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Handlers = Mapping[signal.Signals, Callable[[], None]]


@contextmanager
def handling(handlers: Handlers) -> Iterator[None]:
    """Calls these on the loop; afterwards the signals are handled as before. Does nothing on
    any thread but the main one, where Python allows no handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            loop.remove_signal_handler(number)
            if old is not None:
                signal.signal(number, old)


def stop_process() -> None:
    """Stops this process as an unhandled SIGTSTP does; returns when it is continued."""
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        signal.raise_signal(signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, handler)
