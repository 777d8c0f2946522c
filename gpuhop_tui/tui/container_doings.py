"""What is under way on containers and images, and what of it failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.render.engine import Key

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """What happened, and what to do."""

    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.message}. {self.advice}".removesuffix(" ")


class Doings:
    """Does things at the same time and keeps, by node and id, what is under way and what failed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called when something begins, ends or fails."""
        self.busy: dict[Key, str] = {}  # such as "stopping"
        self.failures: dict[Key, str] = {}  # kept until something else is done there
        self._changed = changed

    async def do(
        self, word: str, deeds: Mapping[Key, Callable[[], Awaitable[object]]]
    ) -> dict[Key, Failure]:
        """Does all of `deeds` but those where something is under way; returns what failed.

        `word` is what is shown meanwhile: "stopping".
        """
        free = {key: deed for key, deed in deeds.items() if key not in self.busy}
        for key in free:
            self.busy[key] = word
            self.failures.pop(key, None)
        self._changed()
        try:
            results = await asyncio.gather(*(self._one(*each) for each in free.items()))
        finally:
            for key in free:
                self.busy.pop(key, None)
            self._changed()
        return {key: failure for key, failure in zip(free, results, strict=True) if failure}

    async def _one(self, key: Key, deed: Callable[[], Awaitable[object]]) -> Failure | None:
        failure = None
        try:
            await deed()
        except ContainerError as error:
            failure = Failure(error.message, error.advice)
        except ProblemError as error:
            failure = Failure(error.problem.message, error.problem.advice)
        except Exception as error:
            log.exception("unexpected failure")
            failure = Failure(f"{type(error).__name__}: {error}", "The log file has the details.")
        self.busy.pop(key, None)
        if failure is not None:
            self.failures[key] = str(failure)
        self._changed()
        return failure

    def forget_failures(self) -> bool:
        """Forget what failed; whether anything had."""
        had = bool(self.failures)
        self.failures.clear()
        return had
