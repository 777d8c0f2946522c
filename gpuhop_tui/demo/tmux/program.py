"""What runs in a pane: something that writes as time goes by, and may be typed at."""

from __future__ import annotations

import math
from typing import Protocol

from gpuhop_tui.demo.noise import between, fraction
from gpuhop_tui.demo.story import Story

_BAR = " ▏▎▍▌▋▊▉█"
_BAR_CELLS = 20
_PAST_EPOCHS = 40  # told at once to who looks for the first time


class Program(Protocol):
    """Asked for its output whenever somebody looks; nothing of it runs meanwhile."""

    ended: int | None  # its exit status

    @property
    def command(self) -> str:
        """The name of what runs, as in a list of processes."""
        ...

    def output(self, now: float) -> bytes:
        """What it has written since it was last asked."""
        ...

    def typed(self, data: bytes, now: float) -> None: ...

    def resized(self, columns: int, rows: int) -> None: ...


class Silent:
    """The parts of a program that takes no keys."""

    ended: int | None = None

    def typed(self, data: bytes, now: float) -> None:
        """ctrl+c ends it, as it would end most."""
        if b"\x03" in data:
            self.ended = 130

    def resized(self, columns: int, rows: int) -> None:
        pass


class Training(Silent):
    """Epoch after epoch, each with the progress bar of tqdm; without end where `epochs` is 0."""

    command = "python"

    def __init__(
        self, seed: str, started_at: float, *, seconds: float, steps: int, epochs: int = 0
    ) -> None:
        """`seconds` and `steps` are those of an epoch."""
        self._seed, self._started_at = seed, started_at
        self._seconds, self._steps, self._epochs = seconds, steps, epochs
        self._told = -1  # the last epoch whose end was told
        self._began = False

    def output(self, now: float) -> bytes:
        elapsed = max(0.0, now - self._started_at)
        epoch = int(elapsed // self._seconds)
        last = epoch if not self._epochs else min(epoch, self._epochs)
        parts = []
        if not self._began:
            self._began = True
            parts.append(f"\x1b[2m[simulated] training {self._seed}: nothing runs\x1b[0m\r\n")
        for each in range(max(self._told + 1, last - _PAST_EPOCHS), last):
            parts.append(f"\r{self._bar(each, self._seconds)}\x1b[K\r\n{self._summary(each)}\r\n")
        self._told = max(self._told, last - 1)
        if self._epochs and epoch >= self._epochs:
            if self.ended is None:
                self.ended = 0
                parts.append("\x1b[32mdone\x1b[0m\r\n")
        else:
            parts.append(f"\r{self._bar(epoch, elapsed % self._seconds)}\x1b[K")
        return "".join(parts).encode()

    def _bar(self, epoch: int, seconds: float) -> str:
        share = min(1.0, seconds / self._seconds)
        step = int(share * self._steps)
        full, rest = divmod(int(share * _BAR_CELLS * 8), 8)
        bar = ("█" * full + (_BAR[rest] if rest else "")).ljust(_BAR_CELLS)
        rate = self._steps / self._seconds
        left = self._seconds - seconds
        return (
            f"epoch {epoch + 1}: {int(100 * share):3}%|{bar}| {step}/{self._steps} "
            f"[{_clock(seconds)}<{_clock(left)}, {rate:5.2f}it/s, "
            f"loss={self._loss(epoch, share):.3f}]"
        )

    def _summary(self, epoch: int) -> str:
        loss = self._loss(epoch, 1.0)
        accuracy = 100 * (1 - 0.93 / (1 + epoch) ** 0.35)
        return (
            f"epoch {epoch + 1}: loss {loss:.4f}  val_loss {loss * 1.07:.4f}  "
            f"val_acc \x1b[32m{accuracy:.2f} %\x1b[0m  saved checkpoints/last.pt"
        )

    def _loss(self, epoch: int, share: float) -> float:
        noise = 0.04 * fraction(self._seed, epoch, int(50 * share))
        return 0.9 + 5.1 / math.pow(1 + epoch + share, 0.6) + noise


class Telling(Silent):
    """Writes a story's lines as they come."""

    def __init__(self, command: str, story: Story) -> None:
        self.command = command
        self._story = story
        self._seen: float | None = None

    def output(self, now: float) -> bytes:
        if self._seen is None:
            entries = self._story.last(200, now)
        else:
            entries = self._story.entries(self._seen, now)
        self._seen = now
        return "".join(f"{line}\r\n" for _, line in entries).encode()


class Evaluation(Silent):
    """A bar of rich, over one task after the other."""

    command = "python"
    _TASKS = ("mmlu", "hellaswag", "arc_challenge", "gsm8k", "truthfulqa", "winogrande")

    def __init__(self, seed: str, started_at: float, seconds: float = 240.0) -> None:
        self._seed, self._started_at, self._seconds = seed, started_at, seconds
        self._told = -1

    def output(self, now: float) -> bytes:
        elapsed = now - self._started_at
        task = int(elapsed // self._seconds)
        parts = []
        for each in range(max(self._told + 1, task - 12), task):
            score = between(0.31, 0.82, self._seed, each)
            parts.append(f"\r\x1b[K{self._name(each):<14} acc {score:.4f} ± 0.0041\r\n")
        self._told = task - 1
        share = (elapsed % self._seconds) / self._seconds
        cells = int(share * 30)
        bar = f"\x1b[35m{'━' * cells}\x1b[0m\x1b[2m{'━' * (30 - cells)}\x1b[0m"
        left = _clock(self._seconds * (1 - share))
        parts.append(f"\r{self._name(task)} {bar} {int(100 * share):3}% eta {left}\x1b[K")
        return "".join(parts).encode()

    def _name(self, task: int) -> str:
        return self._TASKS[task % len(self._TASKS)]


class Said:
    """A program that has ended, and what it wrote before."""

    def __init__(self, command: str, text: str, status: int) -> None:
        self.command = command
        self._text = text.replace("\n", "\r\n")
        self._status = status
        self.ended: int | None = None

    def output(self, now: float) -> bytes:
        text, self._text = self._text, ""
        self.ended = self._status
        return text.encode()

    def typed(self, data: bytes, now: float) -> None:
        pass

    def resized(self, columns: int, rows: int) -> None:
        pass


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
