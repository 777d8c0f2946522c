"""Long work on an engine that outlives a lost link: it is begun again when the engine is back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TypeVar

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

ATTEMPTS = 5
LINK_SECONDS = 900.0  # a laptop may be closed for a while
ENGINE_SECONDS = 60.0  # a daemon restarts sooner
_PAUSE_SECONDS = 0.5
_COMES_BACK = (
    ErrorKind.LOST,
    ErrorKind.TIMEOUT,
    ErrorKind.REFUSED,
    ErrorKind.UNREACHABLE,
    ErrorKind.OVERLOADED,
    ErrorKind.NO_DOCKER,  # a daemon that restarts has no socket for a moment
)

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Said in between: why it stands still, and which attempt comes next."""

    why: str
    attempt: int


async def begun_again(
    engine: Engine, begin: Callable[[], AsyncGenerator[Step, None]], what: str
) -> AsyncGenerator[Step | Waiting, None]:
    """The steps of `begin()`, anew after each loss of link or engine. What the engine has finished
    (layers of a pull, steps of a build) it keeps, so that the next attempt goes on from there.

    Raises ContainerError where the engine refuses, and the ProblemError of the last attempt where
    link or engine stay away.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with contextlib.aclosing(begin()) as steps:
                async for step in steps:
                    yield step
            return
        except ProblemError as error:
            problem = error.problem
            if problem.kind not in _COMES_BACK or attempt == ATTEMPTS:
                raise ProblemError(_given_up(problem, what)) from error
        yield Waiting(str(problem), attempt + 1)
        await _back(engine, problem, what)


async def _back(engine: Engine, problem: Problem, what: str) -> None:
    """Returns when link and engine are there again. Raises ProblemError where they stay away."""
    try:
        async with asyncio.timeout(LINK_SECONDS):
            await engine.link.wait_until(lambda link: link.is_up)
        async with asyncio.timeout(ENGINE_SECONDS):
            while True:
                with contextlib.suppress(ProblemError):
                    await engine.call("looking whether it is back", lambda client: client.ping())
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError:
        raise ProblemError(_given_up(problem, what)) from None


def _given_up(problem: Problem, what: str) -> Problem:
    return Problem(
        problem.hop,
        problem.kind,
        f"{what} broke off: {problem.message}",
        f"{problem.advice} What was finished is kept by the engine: begin again, and it goes on "
        "from there.",
    )
