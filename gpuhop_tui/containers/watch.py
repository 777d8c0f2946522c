"""Keeps the listing of one engine true: its events say what changed, and only that is read again.

CPU and memory are asked for in turns, a bounded number at once; whether GPUs were lost is looked at
when a container starts and every few minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.listing import (
    NOT_YET,
    read_container,
    read_disk_use,
    read_images,
)
from gpuhop_tui.containers.lost_gpus import look_inside
from gpuhop_tui.containers.model import Container, DiskUse, Image, Listing, LostGpus
from gpuhop_tui.containers.usage import Usage, cpu_percent, read_usage
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

MERGE_SECONDS = 0.1  # events within this time are told as one change
USAGE_SECONDS = 3.0
USAGE_AT_ONCE = 24  # containers asked in one turn
DISK_SECONDS = 120.0
GPU_CHECK_SECONDS = 150.0

_IGNORED = ("exec_", "top", "attach", "detach", "resize", "export", "archive-path", "copy", "kill")


class ContainerWatch:
    """Calls `tell` with the listing, at first when all is read, then after each change. What it
    measured is kept from one `run` to the next, so that nothing is blank while it is read again."""

    def __init__(self, engine: Engine, tell: Callable[[Listing], None]) -> None:
        self._engine = engine
        self._tell = tell
        self._containers: dict[str, Container] = {}
        self._images: tuple[Image, ...] = ()
        self._usage: dict[str, Usage] = {}
        self._figures: dict[str, tuple[float | None, Usage]] = {}
        self._no_figures: str | None = None
        self._lost: dict[str, LostGpus] = {}
        self._checked: dict[str, float] = {}  # monotonic
        self._disk: DiskUse | None = None
        self._disk_problem: Problem | None = None
        self._engine_name = ""
        self._dirty: set[str] = set()
        self._all_dirty = True
        self._images_dirty = True
        self._is_read = False  # at least once: half a listing is not told
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled. Raises ProblemError or ContainerError where the engine is not to
        be had any more; the caller begins anew."""
        facts = await self._engine.facts()
        self._engine_name = f"{facts.name} {facts.version}".strip()
        self._no_figures = None
        self._all_dirty = self._images_dirty = True
        self._checked.clear()
        self._wake.set()
        listening = asyncio.Event()
        await _all_or_first_failure(
            self._follow_events(listening),
            self._refresh(listening),
            self._measure(listening),
            self._look_at_disk(listening),
            self._look_for_lost_gpus(listening),
        )

    def look_at_disk_soon(self) -> None:
        """Asks for the disk use anew with the next change of the images."""
        self._images_dirty = True
        self._wake.set()

    # What changed

    async def _follow_events(self, listening: asyncio.Event) -> None:
        def events(client: Any) -> Any:
            found = client.events(decode=True, filters={"type": ["container", "image"]})
            yield None  # from here on nothing is missed
            yield from found

        stream = self._engine.stream("listening to its events", events)
        async with contextlib.aclosing(stream) as each:
            async for event in each:
                if event is None:
                    listening.set()
                else:
                    self._note(event)
        raise ProblemError(_ended(self._engine.node))

    def _note(self, event: dict[str, Any]) -> None:
        action = str(event.get("Action") or event.get("status") or "")
        if action.startswith(_IGNORED):
            return
        if event.get("Type") == "image" or action == "commit":
            self._images_dirty = True
        if event.get("Type") != "image":
            actor = event.get("Actor") or {}
            identity = str(actor.get("ID") or event.get("id") or "")
            self._dirty.add(identity)
        self._wake.set()

    async def _refresh(self, listening: asyncio.Event) -> None:
        await listening.wait()
        while True:
            await self._wake.wait()
            await asyncio.sleep(MERGE_SECONDS)
            self._wake.clear()
            if self._images_dirty:
                self._images_dirty = False
                found = await self._engine.call("listing images", lambda client: client.images())
                self._images = read_images(found)
            dirty, self._dirty = self._dirty, set()
            if self._all_dirty:
                self._all_dirty = False
                known = await self._engine.call(
                    "listing containers", lambda client: client.containers(all=True)
                )
                dirty = {str(each["Id"]) for each in known}
                self._containers = {
                    identity: each
                    for identity, each in self._containers.items()
                    if identity in dirty
                }
            await _each(self._read, dirty)
            self._is_read = True
            self._say()

    async def _read(self, identity: str) -> None:
        try:
            facts = await self._engine.call(
                f"reading {identity[:12]}", lambda client: client.inspect_container(identity)
            )
        except ContainerError as error:
            if error.is_gone:
                self._containers.pop(identity, None)
            else:  # one that the engine itself cannot read hides no other
                self._containers[identity] = _unread(self._engine.node, identity, error)
            return
        found = read_container(self._engine.node, facts)
        before = self._containers.get(found.id)
        self._containers[found.id] = found
        if before is not None and before.started_at != found.started_at:
            for known in (self._usage, self._figures, self._lost, self._checked):
                known.pop(found.id, None)

    def _say(self) -> None:
        if not self._is_read:
            return
        gone = self._usage.keys() - self._containers.keys()
        for identity in gone:
            for known in (self._usage, self._figures, self._lost, self._checked):
                known.pop(identity, None)
        containers = map(self._completed, self._containers.values())
        ordered = sorted(containers, key=lambda c: (not c.running, -(c.created_at or 0), c.name))
        self._tell(
            Listing(self._engine_name, tuple(ordered), self._images, self._disk, self._disk_problem)
        )

    def _completed(self, container: Container) -> Container:
        """With its figures, or why it has none."""
        if not container.running:
            return container
        lost = self._lost.get(container.id)
        if self._no_figures is not None:
            missing = {**container.missing}
            missing["cpu_percent"] = missing["memory_bytes"] = self._no_figures
            return replace(container, lost_gpus=lost, missing=missing)
        percent, usage = self._figures.get(container.id, (None, None))
        if usage is None:
            return replace(container, lost_gpus=lost)
        missing = {
            name: why
            for name, why in container.missing.items()
            if name not in ("cpu_percent", "memory_bytes")
        }
        if percent is None:
            missing["cpu_percent"] = NOT_YET
        if usage.memory_bytes is None:
            missing["memory_bytes"] = "the engine does not say"
        return replace(
            container,
            cpu_percent=percent,
            memory_bytes=usage.memory_bytes,
            memory_limit_bytes=usage.memory_limit_bytes,
            lost_gpus=lost,
            missing=missing,
        )

    # Figures

    async def _measure(self, listening: asyncio.Event) -> None:
        await listening.wait()
        facts = await self._engine.facts()
        if tuple(map(int, facts.api_version.split(".")[:2])) < (1, 41):
            self._no_figures = f"{facts.name} {facts.version} cannot tell it cheaply"
            return
        turn = 0
        while True:
            await asyncio.sleep(USAGE_SECONDS if turn > 1 else 0.3)  # two looks make a figure
            running = [each.id for each in self._containers.values() if each.state == "running"]
            if not running:
                continue
            start = turn * USAGE_AT_ONCE % len(running)
            chosen = (running[start:] + running[:start])[:USAGE_AT_ONCE]
            turn += 1
            before = dict(self._figures)
            await _each(self._measure_one, chosen)
            if self._figures != before:
                self._say()

    async def _measure_one(self, identity: str) -> None:
        try:
            facts = await self._engine.call(
                f"measuring {identity[:12]}",
                lambda client: client.stats(identity, stream=False, one_shot=True),
            )
        except ContainerError:
            return  # it ended meanwhile: an event says so
        now = read_usage(facts)
        before = self._usage.get(identity)
        self._usage[identity] = now
        percent = cpu_percent(before, now) if before is not None else None
        self._figures[identity] = (percent, now)

    async def _look_at_disk(self, listening: asyncio.Event) -> None:
        await listening.wait()
        while True:
            try:
                found = await self._engine.call("measuring its disk", lambda c: c.df(), timeout=60)
                self._disk, self._disk_problem = read_disk_use(found), None
            except ProblemError as error:
                if not self._engine.link.is_up:
                    raise
                self._disk_problem = error.problem
            except ContainerError:
                pass  # "a disk usage operation is already running"
            self._say()
            await asyncio.sleep(DISK_SECONDS)

    # GPUs

    async def _look_for_lost_gpus(self, listening: asyncio.Event) -> None:
        await listening.wait()
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            due = (
                each
                for each in self._containers.values()
                if each.gpus is not None
                and each.state == "running"
                and now - self._checked.get(each.id, -GPU_CHECK_SECONDS) >= GPU_CHECK_SECONDS
            )
            container = next(due, None)
            if container is not None:
                await self.check_gpus(container)

    async def check_gpus(self, container: Container) -> LostGpus | None:
        """Looks now. Raises as `Engine.call` does."""
        self._checked[container.id] = time.monotonic()
        lost = await look_inside(self._engine, container)
        if lost != self._lost.get(container.id):
            if lost is None:
                del self._lost[container.id]
            else:
                self._lost[container.id] = lost
            self._say()
        return lost


async def _each(work: Callable[[str], Coroutine[Any, Any, None]], identities: Any) -> None:
    """Does it for all of them; the engine's pool bounds how many at once."""
    await _all_or_first_failure(*(work(identity) for identity in identities))


async def _all_or_first_failure(*work: Coroutine[Any, Any, None]) -> None:
    """Until all have ended, or one has failed; then the others are cancelled and it is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _unread(node: str, identity: str, error: ContainerError) -> Container:
    """What is known of a container that the engine lists and cannot read."""
    said = f"the engine cannot tell of it: {error.message}"
    state = {"Status": "dead", "Error": said}
    return read_container(node, {"Id": identity, "Name": identity[:12], "State": state})


def _ended(node: str) -> Problem:
    return Problem(
        node,
        ErrorKind.REFUSED,
        f"the engine on {node} has ended its stream of events",
        "It is tried again by itself. If it stays so: `systemctl status docker` there.",
    )
