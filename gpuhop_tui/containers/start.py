"""From a form to a running container: checks, GPUs that are ours alone, start, first moments."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpuhop_tui.containers import gpus as node_gpus
from gpuhop_tui.containers.checks import Finding, check, settled, stop_at
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.gpus import NodeGpu
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container, GpuGrant
from gpuhop_tui.containers.node_shell import ask_node
from gpuhop_tui.containers.reserve import one_start_at_a_time
from gpuhop_tui.containers.spec import STARTED_BY, ContainerSpec, create_arguments
from gpuhop_tui.containers.surroundings import Surroundings, look_around
from gpuhop_tui.containers.text import plain
from gpuhop_tui.problem import Problem, ProblemError
from gpuhop_tui.ssh import container_agent

FIRST_MOMENTS_SECONDS = 1.5  # that it has to live for to count as started
LAST_LINES = 12
_LOOK_SECONDS = 0.15
_LETTING_GO_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Started:
    """What came of it. `spec` has the very GPUs that it got."""

    container: Container
    spec: ContainerSpec
    findings: tuple[Finding, ...] = ()  # what may surprise


class DiedAtOnceError(ContainerError):
    """It ended within its first moments; `lines` is the last that it said. It is still there, to be
    looked at or removed."""

    def __init__(
        self, message: str, advice: str, container: Container, lines: Sequence[str]
    ) -> None:
        super().__init__(message, advice)
        self.container = container
        self.lines = tuple(lines)


async def start_container(
    engine: Engine,
    spec: ContainerSpec,
    gpus: tuple[NodeGpu, ...] | None = None,
    *,
    since: Surroundings | None = None,
) -> Started:
    """Checks, creates and starts it. `gpus` are the node's, by figures of now; None: no figures.

    `since` is what the user saw when choosing (see `look_around`): a GPU that somebody else was
    given after that is refused, and one that was given before it is shared.

    Raises ContainerError for a finding that stops, for a GPU that another was given meanwhile, and
    for what the engine refuses; DiedAtOnceError; and ProblemError as `Engine.call` does. In all
    cases but DiedAtOnceError nothing is left on the node; where that could not be seen to, the
    ProblemError says so.
    """
    before = since or await look_around(engine, spec, gpus)
    async with one_start_at_a_time(engine.link):
        around = await look_around(engine, spec, gpus)
        findings = check(spec, around)
        stop_at(findings, engine.node)
        wanted = await _with_agent(engine, settled(spec, around))
        known = {container.id for container in before.containers}
        news = [each for each in around.containers if each.id not in known and each.running]
        _refuse_given(engine.node, wanted, gpus, news)
        identity = await _create(engine, wanted)
        try:
            await _yield_to_the_first(engine, wanted, identity, known, gpus)
            await engine.call(f"starting {_called(wanted)}", lambda client: client.start(identity))
        except ProblemError as error:
            if await _remove(engine, identity):
                raise
            raise ProblemError(_left(error.problem, wanted)) from error
        except BaseException:
            await _remove(engine, identity)
            raise
    container = await _first_moments(engine, identity)
    return Started(container, wanted, tuple(each for each in findings if not each.stops))


async def _with_agent(engine: Engine, spec: ContainerSpec) -> ContainerSpec:
    """`spec` with the directory of the agent's socket, which is made first: the engine would make
    it root's."""
    if not spec.forward_agent or spec.agent_directory:
        return spec
    said = (await ask_node(engine.link, container_agent.MAKE_DIRECTORY)).split()
    if len(said) != 1:
        raise ContainerError(
            f"{engine.node}: there is no place for the agent's socket that containers are given",
            "Check that ~/.cache can be written there and has no space in its path, or leave "
            "`forward_agent` out.",
        )
    return replace(spec, agent_directory=said[0])


async def _create(engine: Engine, spec: ContainerSpec) -> str:
    """Its id. One that the engine makes though we have given up is removed again."""
    body = create_arguments(spec)

    def create(client: Any) -> str:
        return str(client.create_container_from_config(body, spec.name or None)["Id"])

    making = asyncio.ensure_future(engine.call(f"creating {_called(spec)}", create))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await asyncio.wait({making}, timeout=_LETTING_GO_SECONDS)
        if making.done() and not making.cancelled() and making.exception() is None:
            await _remove(engine, making.result())
        making.cancel()
        raise


async def _yield_to_the_first(
    engine: Engine,
    spec: ContainerSpec,
    identity: str,
    known: set[str],
    gpus: tuple[NodeGpu, ...] | None,
) -> None:
    """Refuses a GPU for which someone without the lock created a container before ours."""
    if not spec.gpus or not gpus:
        return
    around = await look_around(engine, spec, gpus)
    ours = next((each for each in around.containers if each.id == identity), None)
    if ours is None:
        return
    place = (ours.created_at or 0.0, ours.id)
    first = [
        each
        for each in around.containers
        if each.id not in known
        and each.id != identity
        and each.state in ("created", "running")
        and (each.created_at or 0.0, each.id) < place
    ]
    _refuse_given(engine.node, spec, gpus, first)


def _refuse_given(
    node: str,
    spec: ContainerSpec,
    gpus: tuple[NodeGpu, ...] | None,
    others: Sequence[Container],
) -> None:
    """Raises ContainerError where one of the others was given a GPU of ours."""
    if not spec.gpus or not gpus:
        return
    instances = {identity for identity in spec.gpus.ids if identity.startswith("MIG")}
    ours = set(node_gpus.chosen(spec.gpus, gpus))
    for other in others:
        both = ours.intersection(node_gpus.granted(other.gpus, gpus))
        if instances and not instances & set((other.gpus or GpuGrant()).ids):
            continue
        if both:
            numbers = ", ".join(str(index) for index in sorted(gpu.index for gpu in both))
            who = other.labels.get(STARTED_BY)
            by = f" of {who}" if who else ""
            raise ContainerError(
                f"{node}: GPU {numbers} was given to the container {other.name}{by} meanwhile",
                "Choose another GPU, or start again to share it.",
            )


async def _first_moments(engine: Engine, identity: str) -> Container:
    """Returns it once it has lived for a while, or ended well. Raises DiedAtOnceError."""
    clock = asyncio.get_running_loop().time
    end = clock() + FIRST_MOMENTS_SECONDS
    while True:
        facts = await engine.call(
            "looking at its start", lambda client: client.inspect_container(identity)
        )
        container = read_container(engine.node, facts)
        failed = container.state == "restarting" or container.restart_count > 0
        if container.state in ("exited", "dead"):
            failed = container.exit_code != 0
            if not failed:
                return container
        if failed:
            raise await _died(engine, container)
        if clock() >= end:
            return container
        await asyncio.sleep(_LOOK_SECONDS)


async def _died(engine: Engine, container: Container) -> DiedAtOnceError:
    lines = await last_lines(engine, container.id)
    how = f"exit status {container.exit_code}"
    if container.oom_killed:
        how = "killed for want of memory"
    elif container.exit_code in (125, 126, 127):
        how += ", its program cannot be run"
    said = f": {lines[-1]}" if lines else ", and it said nothing"
    return DiedAtOnceError(
        f"{engine.node}: {container.name} ended at once ({how}){said}",
        f"Look at `docker logs {container.name}`, mend its command or image, and remove it.",
        container,
        lines,
    )


async def last_lines(engine: Engine, identity: str, number: int = LAST_LINES) -> list[str]:
    """The last lines that a container wrote; none where the engine does not keep them."""
    with contextlib.suppress(ContainerError):
        said = await engine.call(
            "reading its log", lambda client: client.logs(identity, tail=number)
        )
        return [plain(line) for line in said.decode(errors="replace").splitlines()]
    return []


async def _remove(engine: Engine, identity: str) -> bool:
    """Whether it is gone."""
    try:
        await engine.call(
            "removing what did not start",
            lambda client: client.remove_container(identity, v=True, force=True),
        )
    except ContainerError as error:
        return error.is_gone
    except ProblemError:
        return False
    return True


def _left(problem: Problem, spec: ContainerSpec) -> Problem:
    """That what was made could not be removed."""
    left = f"The container {_called(spec)} may be left there, not started: remove it then."
    return replace(problem, advice=f"{problem.advice} {left}")


def _called(spec: ContainerSpec) -> str:
    return spec.name or spec.image
