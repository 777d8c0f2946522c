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
        """Does all of `deeds`; returns what failed.

        `word` is what is shown meanwhile: "stopping". Another deed may begin at the same place
        before one has ended, as a kill while a stop takes its time.
        """
        for key in deeds:
            self.busy[key] = word
            self.failures.pop(key, None)
        self._changed()
        work = (self._one(word, key, deed) for key, deed in deeds.items())
        results = await asyncio.gather(*work)
        return {key: failure for key, failure in zip(deeds, results, strict=True) if failure}

    async def _one(
        self, word: str, key: Key, deed: Callable[[], Awaitable[object]]
    ) -> Failure | None:
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
        finally:
            if self.busy.get(key) == word:
                del self.busy[key]
        if failure is not None:
            self.failures[key] = str(failure)
        self._changed()
        return failure

    def forget_failures(self) -> bool:
        """Forget what failed; whether anything had."""
        had = bool(self.failures)
        self.failures.clear()
        return had
