"""The containers of one node: watched while somebody looks, and the engine to act upon them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhop_tui.containers import start as starting
from gpuhop_tui.containers import surroundings
from gpuhop_tui.containers.build import BuildProgress, build
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.gpus import NodeGpu, NodeMig
from gpuhop_tui.containers.model import Container, Listing, LostGpus
from gpuhop_tui.containers.public_keys import keys_of_agent, keys_of_file
from gpuhop_tui.containers.spec import ContainerSpec
from gpuhop_tui.containers.start import Started
from gpuhop_tui.containers.surroundings import Surroundings
from gpuhop_tui.containers.watch import ContainerWatch
from gpuhop_tui.fleet.summary import is_free, is_free_instance
from gpuhop_tui.fleet.watching import NodeWatching
from gpuhop_tui.probe.sample import Gpu, Process, Sample
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.link import Link

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import BuildConfig


class NodeContainers(NodeWatching):
    """Keeps `listing` and `problem` true while `watch(True)`; calls `changed()` after a change.

    `engine` is for whoever acts: what it does shows in the listing by itself, while it is watched.
    """

    WHAT = "containers"
    UNEXPECTED = ErrorKind.NO_DOCKER

    def __init__(self, link: Link, socket: str, agent: Agent, changed: Callable[[], None]) -> None:
        super().__init__(link)
        self.engine = Engine(link, socket)
        self._agent = agent
        self._changed = changed
        self._watch = ContainerWatch(self.engine, self._tell)
        self.listing: Listing | None = None
        self.problem: Problem | None = None

    async def close(self) -> None:
        await super().close()
        await self.engine.close()

    async def check_gpus(self, container: Container) -> LostGpus | None:
        """Looks at once whether it lost its GPUs."""
        return await self._watch.check_gpus(container)

    async def look_around(self, spec: ContainerSpec, sample: Sample | None) -> Surroundings:
        """What the checks (`containers.checks.check`) need; `sample` is the node's, if live. Kept,
        it is the `since` of a later `start`."""
        return await surroundings.look_around(self.engine, spec, node_gpus(sample))

    async def start(
        self, spec: ContainerSpec, sample: Sample | None, since: Surroundings | None = None
    ) -> Started:
        """See `containers.start.start_container`."""
        return await starting.start_container(self.engine, spec, node_gpus(sample), since=since)

    async def build(self, image: str, config: BuildConfig) -> AsyncGenerator[BuildProgress, None]:
        """See `containers.build.build`; the keys are those that the config names."""
        if config.authorized_keys == "agent":
            keys = await keys_of_agent(self._agent)
        else:
            keys = await asyncio.to_thread(keys_of_file, Path(config.authorized_keys))
        async with contextlib.aclosing(build(self.engine, image, config, keys)) as steps:
            async for step in steps:
                yield step

    async def _look(self) -> None:
        await self._watch.run()

    def _tell(self, listing: Listing) -> None:
        self._went_well()
        self._set(listing, None)

    def _failed(self, problem: Problem) -> None:
        self._set(self.listing, problem)

    def _problem_of(self, error: Exception) -> Problem:
        if isinstance(error, ContainerError):
            return Problem(self._link.name, ErrorKind.NO_DOCKER, error.message, error.advice)
        return super()._problem_of(error)

    def _set(self, listing: Listing | None, problem: Problem | None) -> None:
        if listing != self.listing or problem != self.problem:
            self.listing, self.problem = listing, problem
            self._changed()


def node_gpus(sample: Sample | None) -> tuple[NodeGpu, ...] | None:
    """The GPUs of a live sample, as a form shows them and the checks want them."""
    if sample is None or sample.problem is not None:
        return None
    return tuple(
        NodeGpu(
            index=gpu.index,
            uuid=gpu.uuid,
            name=gpu.name or "",
            utilization_percent=gpu.utilization_percent,
            memory_used_bytes=gpu.memory_used_bytes,
            memory_total_bytes=gpu.memory_total_bytes,
            users=_users(gpu.processes),
            free=is_free(gpu),
            lost=gpu.lost,
            mig=tuple(
                NodeMig(each.uuid, each.name or "", _users(each.processes), is_free_instance(each))
                for each in gpu.mig
                if each.uuid
            ),
        )
        for gpu in sample.gpus
    )


def _users(processes: Iterable[Process]) -> tuple[str, ...]:
    return tuple(sorted({each.user or "?" for each in processes}))


def gpu_processes(container: Container, sample: Sample | None) -> tuple[Process, ...]:
    """The container's processes on GPUs: what is lost when it ends."""
    found = _processes(sample) if sample is not None else ()
    return tuple({each.pid: each for each in found if each.container_id == container.id}.values())


def with_container_names(sample: Sample | None, listing: Listing | None) -> Sample | None:
    """`sample` with the names of the containers that its processes run in."""
    if sample is None or listing is None:
        return sample
    names = {each.id: each.name for each in listing.containers}
    if not any(process.container_id in names for process in _processes(sample)):
        return sample
    return replace(sample, gpus=tuple(_named(gpu, names) for gpu in sample.gpus))


def with_gpu_memory(listing: Listing | None, sample: Sample | None) -> Listing | None:
    """`listing` with what each running container's processes hold on the GPUs of a live sample,
    or why that is not known."""
    if listing is None:
        return None
    reason = why_no_figures(sample)
    used: dict[str, int | None] = {}
    for process in _processes(sample) if sample is not None and reason is None else ():
        if process.container_id:
            before = used.get(process.container_id, 0)
            known = before is not None and process.memory_bytes is not None
            used[process.container_id] = (
                (before or 0) + (process.memory_bytes or 0) if known else None
            )

    def filled(container: Container) -> Container:
        if not container.running:
            return container
        missing = {k: v for k, v in container.missing.items() if k != "gpu_memory_bytes"}
        if reason is not None:
            return replace(container, missing={**missing, "gpu_memory_bytes": reason})
        memory = used.get(container.id, 0)
        if memory is None:
            missing["gpu_memory_bytes"] = "the driver does not say for all of its processes"
        return replace(container, gpu_memory_bytes=memory, missing=missing)

    return replace(listing, containers=tuple(map(filled, listing.containers)))


def why_no_figures(sample: Sample | None) -> str | None:
    """Why a sample does not say what a container uses of the GPUs; None where it does."""
    if sample is None:
        return "no figures from the node's GPUs"
    if sample.problem is not None:
        return sample.problem.message
    if sample.source == "nvidia-smi":
        return "nvidia-smi does not tell whose container a process is in"
    return None


def _processes(sample: Sample) -> Iterator[Process]:
    """Each once: those of a GPU in MIG mode are those of its instances."""
    for gpu in sample.gpus:
        yield from gpu.processes


def _named(gpu: Gpu, names: Mapping[str, str]) -> Gpu:
    def named(processes: tuple[Process, ...]) -> tuple[Process, ...]:
        return tuple(map(one, processes))

    def one(process: Process) -> Process:
        name = names.get(process.container_id or "")
        return process if name is None else replace(process, container=name)

    mig = tuple(replace(each, processes=named(each.processes)) for each in gpu.mig)
    return replace(gpu, processes=named(gpu.processes), mig=mig)
