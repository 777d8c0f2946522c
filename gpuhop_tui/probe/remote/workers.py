"""Calls that may hang, kept from hanging everything: each in a daemon thread, with a deadline.

A thread stuck inside the driver can be neither stopped nor joined; it is left alone, its owner is
told that it does not answer, and the process ends by `os._exit`.
"""

import os
import queue
import select
import threading
import time
from typing import Any, Callable, Iterable, Optional, Tuple


class Bell:
    """Wakes the one thread that waits for it.

    A pipe and `select`, since timed waits on locks follow the wall clock before Python 3.11 and
    would sleep through a clock that is set back.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def ring(self) -> None:
        try:
            os.write(self._writer, b"\0")
        except BlockingIOError:
            pass  # full of rings already

    def wait(self, seconds: float) -> None:
        """Returns when rung, or after `seconds`."""
        if select.select([self._reader], [], [], max(0.0, seconds))[0]:
            os.read(self._reader, 4096)


class Worker:
    """A daemon thread that does one job at a time. Used from one thread only."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._jobs: "queue.Queue[Callable[[], Any]]" = queue.Queue()
        self._answers: "queue.Queue[Tuple[Any, Optional[Exception]]]" = queue.Queue()
        self.asked_at: Optional[float] = None  # wall clock; None: nothing is under way
        threading.Thread(target=self._work, daemon=True).start()

    @property
    def answered(self) -> bool:
        return not self._answers.empty()

    @property
    def stuck(self) -> bool:
        """Whether it was asked and has not answered yet."""
        return self.asked_at is not None and not self.answered

    def ask(self, job: Callable[[], Any]) -> bool:
        """Starts `job`; False where the one before has not been answered for."""
        if self.asked_at is not None:
            return False
        self.asked_at = time.time()
        self._jobs.put(job)
        return True

    def answer(self) -> Any:
        """What the job returned; raises what it raised. Only when `answered`."""
        value, error = self._answers.get_nowait()
        self.asked_at = None
        if error is not None:
            raise error
        return value

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                self._answers.put((job(), None))
            except Exception as error:
                self._answers.put((None, error))
            self._bell.ring()


def wait_for(workers: Iterable[Worker], bell: Bell, seconds: float) -> None:
    """Waits until none of `workers` is stuck, or for `seconds`."""
    waiting = list(workers)
    deadline = time.monotonic() + seconds
    while any(worker.stuck for worker in waiting):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        bell.wait(left)


def clock(at: float) -> str:
    """A wall clock time as people of the node would read it."""
    return time.strftime("%H:%M:%S", time.localtime(at))
