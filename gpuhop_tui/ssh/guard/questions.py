"""Questions to the person: one on the screen at a time, where the person then is.

What is asked again while its question is open is the same question, and gets the same answer. A
question that nobody answers in time is a no, and one whose askers have all gone is taken back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gpuhop_tui.ssh.guard.grants import Subject, subject
from gpuhop_tui.ssh.guard.model import Purpose, SignatureFacts
from gpuhop_tui.ssh.prompts import Prompter, SignatureAnswer, SignatureQuestion

SECONDS = 30.0
MINUTES = 10  # that a grant holds
MOST_OPEN = 3  # different questions of one lending
MOST_ASKERS = 8  # of one question

Ask = Callable[[SignatureQuestion], Awaitable[SignatureAnswer]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person has said."""

    answer: SignatureAnswer
    reason: str  # why it is a no


@dataclass(slots=True)
class _Open:
    task: asyncio.Task[Answer]
    askers: int = 1


@dataclass(slots=True)
class _Front:
    """Where the person is now, and what is done when that changes."""

    asks: list[Ask] = field(default_factory=list)
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Questions:
    """Asks through `prompter`, or where a full-screen program has the terminal, through that."""

    def __init__(self, prompter: Prompter, seconds: float = SECONDS) -> None:
        self.minutes = MINUTES
        self._prompter = prompter
        self._seconds = seconds
        self._front = _Front()
        self._turn = asyncio.Lock()
        self._open: dict[tuple[int, Subject], _Open] = {}
        self._of_lending: Counter[int] = Counter()

    @contextmanager
    def asked_through(self, ask: Ask) -> Iterator[None]:
        """While the block runs the person is there: open questions move over."""
        self._front.asks.append(ask)
        self._move()
        try:
            yield
        finally:
            self._front.asks.remove(ask)
            self._move()

    async def ask(self, lending: int, facts: SignatureFacts) -> Answer:
        """The person's answer. Cancelling it takes the question back, if nobody else waits."""
        key = (lending, subject(facts))
        opened = self._open.get(key)
        if opened is None:
            if self._of_lending[lending] >= MOST_OPEN:
                return _no(f"{MOST_OPEN} questions of {facts.node} are open already")
            opened = self._begin(key, facts)
        elif opened.askers >= MOST_ASKERS:
            return _no(f"asked {MOST_ASKERS} times at once")
        else:
            opened.askers += 1
        try:
            return await asyncio.shield(opened.task)
        except asyncio.CancelledError:
            if opened.task.cancelled():
                return _no("the agent was locked meanwhile")
            raise
        finally:
            opened.askers -= 1
            if not opened.askers:
                opened.task.cancel()

    def drop(self) -> None:
        """Every open question is a no."""
        for opened in tuple(self._open.values()):
            opened.task.cancel()

    def _begin(self, key: tuple[int, Subject], facts: SignatureFacts) -> _Open:
        task = asyncio.create_task(self._put(facts), name=f"question of {facts.node}")
        opened = self._open[key] = _Open(task)
        self._of_lending[key[0]] += 1

        def over(_task: asyncio.Task[Answer]) -> None:
            del self._open[key]
            self._of_lending[key[0]] -= 1

        task.add_done_callback(over)
        return opened

    async def _put(self, facts: SignatureFacts) -> Answer:
        async with self._turn:
            question = SignatureQuestion(
                facts=facts,
                expires_at=time.time() + self._seconds,
                seconds=self._seconds,
                minutes=self.minutes,
                choices=_choices(facts),
            )
            try:
                async with asyncio.timeout(self._seconds):
                    answer = await self._where_the_person_is(question)
            except TimeoutError:
                return _no(f"no answer within {self._seconds:.0f} s")
            except Exception as error:
                _log.exception("a question could not be put")
                return _no(f"the question could not be put: {type(error).__name__}")
        if answer is SignatureAnswer.NOBODY:
            return _no("there is nobody to ask: no terminal, and no rule that allows it")
        if answer not in question.choices:
            return _no("denied by you")
        return Answer(answer, "denied by you" if answer is SignatureAnswer.DENY else "")

    async def _where_the_person_is(self, question: SignatureQuestion) -> SignatureAnswer:
        front = self._front
        while True:
            front.moved.clear()
            ask = front.asks[-1] if front.asks else self._prompter.signature
            answering = asyncio.ensure_future(ask(question))
            moving = asyncio.create_task(front.moved.wait())
            try:
                await asyncio.wait({answering, moving}, return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    return answering.result()
            finally:
                for task in (answering, moving):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        await task

    def _move(self) -> None:
        self._front.moved.set()


def _choices(facts: SignatureFacts) -> tuple[SignatureAnswer, ...]:
    """What may be answered: the less is known, the less can be allowed at once."""
    deny, once = SignatureAnswer.DENY, SignatureAnswer.ONCE
    minutes, lending = SignatureAnswer.MINUTES, SignatureAnswer.LENDING
    if facts.purpose in (Purpose.LOGIN, Purpose.SIGNATURE):
        return (deny, once, minutes, lending)
    if facts.purpose is Purpose.UNBOUND:
        return (deny, once, minutes)
    return (deny, once)


def _no(reason: str) -> Answer:
    return Answer(SignatureAnswer.DENY, reason)
