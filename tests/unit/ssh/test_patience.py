"""A person's time is not counted; a machine's is."""

import asyncio

import pytest

from gpuhop_tui.ssh.patience import Patience


async def test_a_machine_that_is_too_slow_times_out():
    with pytest.raises(TimeoutError):
        async with Patience(0.02).limit():
            await asyncio.Event().wait()


async def test_a_person_may_take_longer_than_the_limit():
    patience = Patience(0.02)
    answered = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, answered.set)
    async with patience.limit():
        with patience.waiting_for_person():
            await answered.wait()
    assert patience.machine_seconds < 0.1


async def test_after_the_person_the_machine_is_limited_again(monkeypatch):
    monkeypatch.setattr("gpuhop_tui.ssh.patience.REST_SECONDS", 0.02)
    patience = Patience(0.02)

    async def a_person_and_then_a_silent_machine():
        async with patience.limit():
            with patience.waiting_for_person():
                pass
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await a_person_and_then_a_silent_machine()


async def test_two_questions_at_once_count_as_one_pause():
    patience = Patience(0.05)
    answered = asyncio.Event()
    asyncio.get_running_loop().call_later(0.15, answered.set)
    async with patience.limit():
        with patience.waiting_for_person():
            with patience.waiting_for_person():
                pass
            await answered.wait()
    assert patience.machine_seconds < 0.1
