"""Ends a world, whatever happens to the process that built it.

The reaper is a child in a session of its own. It is told of every namespace of the world, and
waits for the end of its input: that comes when the world is closed, and also when its owner dies
by SIGKILL. Then it kills every process in those namespaces and removes the world's directory.
There is no other way that a world ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.procfs import pids_in

_REPOSITORY = Path(__file__).resolve().parents[2]
_PATIENCE = 15.0  # seconds for killed processes to be gone


class Reaper:
    """The owner's side."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.reaper", str(directory)],
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl+C is for the owner, which then closes the world
        )

    def watch(self, pid: int) -> None:
        """End the network namespace of this process with the world."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{pid}\n".encode())
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError("the reaper has ended before the world")

    def end(self) -> None:
        """End the world now, and wait for it. Raises RuntimeError where something is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.wait(timeout=2 * _PATIENCE) != 0:
            raise RuntimeError("the reaper could not end everything; see its messages")
        assert self._process.stdout is not None
        self._process.stdout.close()


def main(directory: Path) -> int:
    owner = os.getppid()
    # An open namespace keeps its inode number from being given to someone else's.
    held: list[int] = []
    for line in sys.stdin:
        try:
            held.append(os.open(f"/proc/{int(line)}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            print(f"lab reaper: {error}", file=sys.stderr)
        print("watched", flush=True)
    left = _kill({os.fstat(fd).st_ino for fd in held}, spare={owner, os.getpid()})
    if left:
        print(f"lab reaper: processes {left} do not end", file=sys.stderr)
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        print(f"lab reaper: {directory} is still there", file=sys.stderr)
    return 1 if left or directory.exists() else 0


def _kill(namespaces: set[int], spare: set[int]) -> list[int]:
    """Kill all in these network namespaces until none is left; returns what stays."""
    end = time.monotonic() + _PATIENCE
    while left := [pid for pid in pids_in("net", namespaces) if pid not in spare]:
        if time.monotonic() > end:
            return left
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.005)
    return []


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
