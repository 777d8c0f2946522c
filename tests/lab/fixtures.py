"""Fixtures of the lab, for every folder of tests (tests/conftest.py loads them)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lab.world import World, missing

_NEED_A_LAB = frozenset({"world", "fresh_world", "make_world", "shared_docker_world"})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _NEED_A_LAB & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lab)


def require_lab() -> None:
    """Skip where no world can be built; in CI, where every test has to run, fail."""
    if reason := missing():
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"{reason} (a skip is a failure in CI)", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """One world for all tests that leave it as they found it: three nodes with two GPUs each."""
    require_lab()
    with World(gpus=2) as world:
        yield world


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Builds worlds as `World(...)` does; they end with the test."""
    require_lab()
    with ExitStack() as stack:

        def make(*arguments: Any, **options: Any) -> World:
            return stack.enter_context(World(*arguments, **options))

        yield make


@pytest.fixture
def quick_to_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links of this process that are cut are given up within two seconds."""
    monkeypatch.setattr("gpuhop_tui.ssh.keepalive.INTERVAL_SECONDS", 0.5)
    monkeypatch.setattr("gpuhop_tui.ssh.keepalive.ANSWER_SECONDS", 1.5)


@pytest.fixture
def fresh_world(make_world: Callable[..., World]) -> World:
    """A world as `world` is, that a test may break."""
    return make_world(gpus=2)
