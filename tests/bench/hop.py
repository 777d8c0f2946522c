"""The hop beside `ssh` through the same hops, with 0 and 50 ms added each way.

A bastion and a node; where time is added, it is by a relay on the laptop's line, for both alike.
Keys are typed into tmux on the node; the flood comes over a bare PTY, so that tmux is not what is
measured. What watches looks at bytes only, and takes them as fast as they come.
"""

from __future__ import annotations

import os
import re
import select
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.rows import Row
from tests.lab.hop_driving import HopTerminal, hop, start_counter, tmux
from tests.lab.relay import Relay
from tests.lab.waiting import wait_until
from tests.lab.world import World

KEYS = 60
BYTES = 24 << 20
CUT_SECONDS = 20.0
REPEATS = 3


class Eye:
    """A terminal that looks at bytes only, so that it is never what is measured."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self._end, tty = os.openpty()
        self.process = subprocess.Popen(
            argv, env=env, preexec_fn=lambda: os.login_tty(tty), stderr=None
        )
        os.close(tty)
        self.seen = b""

    def press(self, keys: bytes) -> float:
        os.write(self._end, keys)
        return time.perf_counter()

    def until(self, pattern: bytes, seconds: float = 60.0) -> float:
        """Reads on until `pattern` has come; the moment, and forgets what was seen."""
        end = time.perf_counter() + seconds
        while not re.search(pattern, self.seen):
            if time.perf_counter() > end:
                raise TimeoutError(f"{pattern!r} did not come: {self.seen[-300:]!r}")
            self._read()
        self.seen = b""
        return time.perf_counter()

    def take(self, count: int) -> None:
        """Reads `count` bytes."""
        while count > 0:
            self._read()
            count -= len(self.seen)
            self.seen = b""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)

    def _read(self) -> None:
        if select.select([self._end], [], [], 1.0)[0]:
            self.seen += os.read(self._end, 1 << 16)


@dataclass
class Line:
    """The laptop's line to the bastion: one way takes `delay` seconds more."""

    world: World
    relay: Relay | None
    delay: float

    def cut(self) -> None:
        if self.relay is None:
            self.world.laptop.cut()
        else:
            self.relay.pause()

    def heal(self) -> None:
        if self.relay is None:
            self.world.laptop.heal()
        else:
            self.relay.resume()

    def ours(self, *arguments: str) -> Eye:
        laptop = self.world.laptop
        return Eye(laptop.argv(["gpuhop-tui", "hop", "gpu-01", *arguments]), laptop.environ())

    def theirs(self, *command: str) -> Eye:
        laptop = self.world.laptop
        return Eye(laptop.argv(["ssh", "-t", "gpu-01", *command]), laptop.environ())


@contextmanager
def line(delay: float) -> Iterator[Line]:
    with World(1, 1) as world:
        if not delay:
            yield Line(world, None, delay)
            return
        relay = world.relay(world.bastion)
        relay.delay(delay)
        config = world.config()
        config["bastions"][0].update(host=relay.host, port=relay.port)
        world.laptop.write_config(config)
        world.laptop.write_ssh_config(
            world.ssh_config().replace(
                f"HostName {world.bastion.address}\n    Port 22",
                f"HostName {relay.host}\n    Port {relay.port}",
            )
        )
        kind, blob, *_ = world.bastion.sshd.host_key.public.split()
        with world.laptop.known_hosts.open("a") as file:
            file.write(f"[{relay.host}]:{relay.port} {kind} {blob}\n")
        yield Line(world, relay, delay)


def echo(eye: Eye) -> float:
    """Seconds from a key to its echo, the median; `cat` in the tty's own echo."""
    eye.until(rb"[$] ")
    eye.press(b"stty -icanon; clear; printf rea''dy; cat >/dev/null\r")
    eye.until(rb"ready")
    times = []
    for number in range(KEYS):
        key = chr(0x4E00 + number).encode()  # bytes that are in no sequence
        pressed = eye.press(key)
        times.append(eye.until(key) - pressed)
    eye.press(b"\x03")
    eye.until(rb"[$] ")
    eye.press(b"exit\r")
    eye.process.wait(30)
    return statistics.median(times[10:])


def throughput(eye: Eye) -> float:
    """Bytes a second of a command's output, from its first byte on."""
    eye.until(rb"begin")
    began = time.perf_counter()
    eye.take(BYTES - (1 << 20))
    return (BYTES - (1 << 20)) / (time.perf_counter() - began)


FLOOD = f"echo begin; yes '{'x' * 97}' | head -c {BYTES}; sleep 60"

SHELL = ("tmux", "-u", "-L", "bench", "new-session", "-A", "-s", "bench")


def median_of(measure: Callable[[Eye], float], start: Callable[[], Eye]) -> float:
    values = []
    for _ in range(REPEATS):
        eye = start()
        try:
            values.append(measure(eye))
        finally:
            eye.close()
    return statistics.median(values)


def reattach(line: Line) -> tuple[float, float]:
    """Seconds from the heal of a cut to the live screen, and those that a login takes now."""
    world = line.world
    with hop(world, "gpu-01") as terminal:
        start_counter(terminal)
        times = []
        for _ in range(REPEATS):
            line.cut()  # nothing passes, nothing is closed: a cut cable far away
            end = time.monotonic() + CUT_SECONDS
            wait_until(lambda end=end: time.monotonic() > end, "the cut", CUT_SECONDS + 5)
            assert "lost" in terminal.last_line, terminal.text
            line.heal()
            healed = time.monotonic()
            wait_until(lambda: is_live(terminal), "the screen", 60)
            times.append(time.monotonic() - healed)
        terminal.menu("d")
        terminal.wait()
    tmux(world["gpu-01"], "kill-server")
    began = time.monotonic()
    world.laptop.run(["ssh", "gpu-01", "true"])
    return statistics.median(times), time.monotonic() - began


def is_live(terminal: HopTerminal) -> bool:
    return "lost" not in terminal.last_line and terminal.text.count("line ") > 3


def measure() -> list[Row]:
    rows = []
    for delay in (0.0, 0.05):
        with line(delay) as one:
            rows += [_echo_row(one), _flood_row(one), _reattach_row(one)]
    return rows


def _echo_row(line: Line) -> Row:
    theirs = median_of(echo, lambda: line.theirs(*SHELL))
    ours = median_of(echo, lambda: line.ours("--session", "bench"))
    what = f"hop, {line.delay * 1e3:.0f} ms each way: a key's echo"
    return Row(what, f"{ours * 1e3:.2f} ms", f"ssh {theirs * 1e3:.2f} ms", ours / theirs, 1.2)


def _flood_row(line: Line) -> Row:
    node = line.world["gpu-01"]
    theirs = median_of(throughput, lambda: line.theirs(FLOOD))
    node.install("tmux", "#!/bin/sh\necho out of order >&2; exit 1\n")
    ours = median_of(throughput, lambda: line.ours("--", FLOOD))
    (node.directory / "bin" / "tmux").unlink()
    what = f"hop, {line.delay * 1e3:.0f} ms each way: seconds a byte"
    shown = f"{ours / 1e6:.1f} MB/s", f"ssh {theirs / 1e6:.1f} MB/s"
    return Row(what, *shown, theirs / ours, 1.25)


def _reattach_row(line: Line) -> Row:
    took, login = reattach(line)
    what = (
        f"hop, {line.delay * 1e3:.0f} ms each way: from the heal of a 20 s cut to the live screen"
    )
    return Row(what, f"{took:.2f} s", f"one ssh login {login:.2f} s", took - login, 1.0, "s beyond")
