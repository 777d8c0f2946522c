"""The work behind the forms: an image is pulled or built, a container is started."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuhop_tui.containers.checks import check, stop_at
from gpuhop_tui.containers.pull import pull
from gpuhop_tui.containers.spec import ContainerSpec, Gpus
from gpuhop_tui.containers.start import Started
from gpuhop_tui.containers.surroundings import Surroundings
from gpuhop_tui.tui.work import Job, Kind

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import BuildConfig
    from gpuhop_tui.containers.gpus import NodeGpu
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.probe.sample import Sample


async def pull_image(job: Job, containers: NodeContainers, image: str) -> None:
    """Raises as `pull` does."""
    async with contextlib.aclosing(pull(containers.engine, image)) as steps:
        async for step in steps:
            job.tell(step, Kind.PULL)


async def build_image(
    job: Job, containers: NodeContainers, image: str, config: BuildConfig
) -> None:
    """Raises as `build` does."""
    async with contextlib.aclosing(containers.build(image, config)) as steps:
        async for step in steps:
            job.tell(step, Kind.BUILD)


async def start(
    job: Job,
    containers: NodeContainers,
    spec: ContainerSpec,
    build: BuildConfig | None,
    live: Callable[[], Sample | None],
    since: Surroundings | None,
) -> Started:
    """Looks, gets the image where it is absent, starts. `live` gives the node's figures of now.

    Raises ContainerError, DiedAtOnceError and ProblemError as `start_container` does; what would
    stop the start is told before anything is pulled or built.
    """
    job.tell("looking at the node")
    around = await containers.look_around(spec, live())
    findings = [each for each in check(spec, around) if each.name != "image-missing"]
    stop_at(findings, job.node)
    if not around.has_image:
        if build is not None:
            await build_image(job, containers, spec.image, build)
        else:
            await pull_image(job, containers, spec.image)
    job.tell("starting it, and watching its first moments", Kind.START)
    return await containers.start(spec, live(), since=since or around)


def success(started: Started, gpus: Sequence[NodeGpu] | None) -> str:
    """Such as "train runs  GPUs 0,3  2222→22". `gpus` are the node's; None: no figures."""
    container = started.container
    verb = "runs" if container.running else f"has {container.state} well"
    parts = [f"{container.name} {verb}"]
    if started.spec.gpus:
        parts.append(f"GPUs {_numbered(started.spec.gpus, gpus or ())}")
    parts += [str(port) for port in container.ports if port.host_port is not None]
    return "  ".join(parts)


def _numbered(wanted: Gpus, gpus: Sequence[NodeGpu]) -> Gpus:
    """By index, where there is one: nobody knows a GPU by its UUID."""
    indexes = {gpu.uuid: str(gpu.index) for gpu in gpus}
    return replace(wanted, ids=tuple(indexes.get(each, each) for each in wanted.ids))
