"""How far a pull or a build is: one line that changes on a terminal, a few lines elsewhere."""

from __future__ import annotations

import shutil
from types import TracebackType
from typing import Self, TextIO

from gpuhop_tui.cli.text import clean, fit
from gpuhop_tui.containers.build import BuildProgress
from gpuhop_tui.containers.progress import PullProgress

_BAR = 20


class RunProgress:
    """Writes to `stream` while its body runs. A failed build's last lines stay to be read."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._shown = ""
        self._said: set[str] = set()
        self._lines: tuple[str, ...] = ()

    def pull(self, progress: PullProgress) -> None:
        self._show(pull_line(progress))
        self._milestone(
            f"pulled {progress.image}" if progress.done else f"pulling {progress.image}"
        )
        if progress.waiting:
            self._milestone(f"waiting: {progress.waiting}")

    def build(self, progress: BuildProgress) -> None:
        if progress.secrets and not self._said:
            names = ", ".join(progress.secrets[:5])
            self._line(f"note: these look like secrets, and are sent to the node: {names}")
        self._show(build_line(progress))
        if progress.step:
            self._milestone(f"step {progress.step}/{progress.steps}: {progress.instruction}")
        if progress.waiting:
            self._milestone(f"waiting: {progress.waiting}")
        if progress.done:
            self._milestone(f"built {progress.image}")
        self._lines = progress.lines

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._clear()
        if isinstance(error, Exception):
            for line in self._lines[-15:]:
                self._line(f"  | {line}")

    def _show(self, text: str) -> None:
        if self._is_terminal and text != self._shown:
            width = shutil.get_terminal_size().columns
            self._write(f"\r\x1b[K{fit(clean(text), max(20, width - 1)).rstrip()}")
            self._shown = text

    def _milestone(self, text: str) -> None:
        """Once, and only where no line can change."""
        if not self._is_terminal and text not in self._said:
            self._line(text)
        self._said.add(text)

    def _line(self, text: str) -> None:
        self._clear()
        self._write(f"{clean(text)}\n")

    def _clear(self) -> None:
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def pull_line(progress: PullProgress) -> str:
    """Such as "pulling x:1  ██████░░░░  3/12 layers  1.2/3.4 GB  85.0 MB/s  eta 35 s"."""
    if progress.waiting:
        return f"pulling {progress.image}  waiting: {progress.waiting}"
    done = sum(layer.done for layer in progress.layers)
    parts = [f"pulling {progress.image}"]
    if progress.total_bytes:
        parts.append(_bar(progress.downloaded_bytes / progress.total_bytes))
    parts.append(f"{done}/{len(progress.layers)} layers")
    parts.append(f"{_bytes(progress.downloaded_bytes)} of {_bytes(progress.total_bytes)}")
    if progress.bytes_per_second is not None:
        parts.append(f"{_bytes(progress.bytes_per_second)}/s")
    if progress.eta_seconds is not None:
        parts.append(f"eta {_seconds(progress.eta_seconds)}")
    return "  ".join(parts)


def build_line(progress: BuildProgress) -> str:
    """Such as "building x:1  step 3/9  RUN apt-get update  Reading package lists..."."""
    head = f"building {progress.image}"
    if progress.waiting:
        return f"{head}  waiting: {progress.waiting}"
    if not progress.step:
        return f"{head}  sent {_bytes(progress.sent_bytes)} of {_bytes(progress.context_bytes)}"
    if progress.pulling is not None:
        return f"{head}  step {progress.step}/{progress.steps}  {pull_line(progress.pulling)}"
    last = progress.lines[-1] if progress.lines else ""
    last = "" if last.startswith(("Step ", " --->")) else last
    return f"{head}  step {progress.step}/{progress.steps}  {progress.instruction[:40]}  {last}"


def _bar(fraction: float) -> str:
    filled = round(min(1.0, fraction) * _BAR)
    return "█" * filled + "░" * (_BAR - filled)


def _bytes(number: float) -> str:
    """In powers of 1000, as registries and networks count."""
    units = ["B", "kB", "MB", "GB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.0f} {units[0]}" if units[0] == "B" else f"{number:.1f} {units[0]}"


def _seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
