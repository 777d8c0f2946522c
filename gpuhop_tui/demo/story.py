"""What a simulated container or command writes: lines that follow from its start and the clock.

Nothing is kept and nothing runs: a line is made when somebody reads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gpuhop_tui.demo.noise import between, fraction

Kind = Literal["training", "serving", "notebook", "sshd", "quiet", "crash", "echo"]
MARK = "[simulated] this log is made up: nothing runs behind it"
_LONGEST = 5000  # entries that are ever told at once

_PERIODS = {"training": 2.0, "serving": 1.5, "notebook": 47.0, "sshd": 311.0}

_HEADS: dict[str, tuple[str, ...]] = {
    "training": (
        "torch 2.8.0+cu126, CUDA 12.6, NCCL 2.27.3",
        "dataset: 1,284,096 samples in 128 shards, seed 1234",
        "model: 6.74 B parameters, bf16, gradient checkpointing on",
        "compiling the training step with torch.compile … done in 48.1 s",
    ),
    "serving": (
        "INFO vLLM API server version 0.11.0",
        "INFO Loading model weights took 8.31 seconds",
        "INFO # GPU blocks: 27412, # CPU blocks: 2048",
        "INFO Application startup complete. Uvicorn running on http://0.0.0.0:8000",
    ),
    "notebook": (
        "[I ServerApp] Serving notebooks from local directory: /workspace",
        "[I ServerApp] Jupyter Server 2.14.2 is running at http://0.0.0.0:8888/lab",
    ),
    "sshd": (
        "gpuhop: made the host key /etc/gpuhop/host_key",
        "Server listening on 0.0.0.0 port 22.",
    ),
    "crash": (
        "torch 2.8.0+cu126, CUDA 12.6, NCCL 2.27.3",
        "Traceback (most recent call last):",
        '  File "/workspace/train.py", line 214, in <module>',
        "    loss.backward()",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total "
        "capacity of 79.15 GiB of which 1.12 GiB is free.",
    ),
}


@dataclass(frozen=True, slots=True)
class Story:
    """The output of one run. `words` are those of an `echo`; `ended_at` cuts it off."""

    kind: Kind
    seed: str
    started_at: float  # seconds since the epoch
    ended_at: float | None = None
    words: tuple[str, ...] = ()

    def entries(self, since: float, until: float) -> list[tuple[float, str]]:
        """What was written after `since` and up to `until`, oldest first: (time, line)."""
        if self.ended_at is not None:
            until = min(until, self.ended_at)
        head = (MARK, *_HEADS.get(self.kind, ()), *self.words)
        first = [(self.started_at + 0.05 + 0.01 * at, line) for at, line in enumerate(head)]
        found = [(at, line) for at, line in first if since < at <= until]
        period = _PERIODS.get(self.kind)
        if period is None:
            return found
        begin = self.started_at + 4.0
        low = max(0, math.floor((since - begin) / period) + 1)
        high = math.floor((until - begin) / period)
        low = max(low, high - _LONGEST)
        found += [(begin + n * period, self._line(n)) for n in range(low, high + 1)]
        return found

    def last(self, count: int, until: float) -> list[tuple[float, str]]:
        """The last `count` of them."""
        end = until if self.ended_at is None else min(until, self.ended_at)
        reach = (count + 1) * _PERIODS.get(self.kind, 1.0)
        since = self.started_at if reach > end - self.started_at - 60 else end - reach
        return self.entries(since, until)[-count:] if count else []

    def _line(self, n: int) -> str:
        key = (self.seed, n)
        if self.kind == "training":
            step = 10 * (n + 1)
            loss = 1.6 + 6.4 / (1 + step / 900) ** 0.5 + 0.06 * fraction(key, "loss")
            return (
                f"step {step:>7,} | loss {loss:6.3f} | grad norm {between(0.4, 1.3, key, 'g'):5.2f}"
                f" | lr {3e-4 * max(0.1, math.cos(min(1.4, step / 3e5))):.2e}"
                f" | {between(38.0, 41.5, key, 't'):5.1f} k tokens/s"
            )
        if self.kind == "serving":
            if n % 7 == 0:
                return (
                    f"INFO Avg generation throughput: {between(310, 1900, key):.1f} tokens/s, "
                    f"Running: {int(between(2, 31, key, 'r'))} reqs, Waiting: 0 reqs, "
                    f"GPU KV cache usage: {between(4, 63, key, 'k'):.1f}%"
                )
            path = "chat/completions" if fraction(key, "p") < 0.8 else "embeddings"
            return f'INFO 10.7.1.{int(between(20, 60, key))} - "POST /v1/{path} HTTP/1.1" 200 OK'
        if self.kind == "notebook":
            return f"[I ServerApp] Saving file at /pretrain-{int(between(1, 9, key))}.ipynb"
        return f"Connection from 172.17.0.1 port {int(between(32768, 60999, key))}"


def kind_of(image: str, command: Sequence[str]) -> Kind:
    """What a container of this image with this command would do."""
    line = " ".join(command).lower()
    if command and command[0] in ("echo", "true", "false"):
        return "echo"
    if "vllm" in image or "vllm" in line:
        return "serving"
    if "jupyter" in line or "ipykernel" in line:
        return "notebook"
    if "train" in line or "axolotl" in line or "main.py" in line:
        return "training"
    if "sshd" in line or "gpuhop/entry.sh" in line:
        return "sshd"
    return "quiet"
