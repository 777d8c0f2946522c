"""What was last seen of a node, against what a form wants of it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuhop_tui.containers import gpus as node_gpus
from gpuhop_tui.containers.checks import Finding, check, settled
from gpuhop_tui.containers.gpus import NodeGpu
from gpuhop_tui.containers.spec import ContainerSpec, Gpus, docker_run_line
from gpuhop_tui.containers.surroundings import Surroundings, sources
from gpuhop_tui.ssh.container_agent import directory
from gpuhop_tui.tui.starting.draft import Origin
from gpuhop_tui.tui.work import told

if TYPE_CHECKING:
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.probe.sample import Sample


class NodeLook:
    """Looks at a node whenever it is told to, and keeps what it saw.

    `since` is what was there when the user chose the GPUs: the `since` of a start. `problem` is why
    the last look saw nothing: what happened, and what to do.
    """

    def __init__(self, containers: NodeContainers) -> None:
        self._containers = containers
        self._seen: Surroundings | None = None
        self._asked: tuple[str, list[str]] | None = None  # the image and the paths of that look
        self.since: Surroundings | None = None
        self.problem = ("", "")

    def is_due(self, spec: ContainerSpec) -> bool:
        """Whether the last look did not ask for what `spec` wants."""
        return self._asked != (spec.image, sources(spec))

    async def look(self, spec: ContainerSpec, sample: Sample | None) -> None:
        """Look for what `spec` wants. It never raises: see `problem`."""
        asked = replace(spec, image=spec.image or "scratch")  # which no engine has
        try:
            self._seen = await self._containers.look_around(asked, sample)
        except Exception as error:
            self.problem = told(error)
            return
        self.problem = ("", "")
        self._asked = (spec.image, sources(spec))
        self.since = self.since or self._seen

    def choose_again(self) -> None:
        """The GPUs were chosen in view of what is known now."""
        self.since = self._seen

    def start_again(self) -> None:
        """A start was refused: the next look counts for the next one."""
        self.since = None

    def around(self, spec: ContainerSpec, gpus: tuple[NodeGpu, ...] | None) -> Surroundings | None:
        """What was seen, with the GPUs as they are now; what was not asked for stops nothing."""
        if self._seen is None or self._asked is None:
            return None
        image, paths = self._asked
        return replace(
            self._seen,
            gpus=gpus,
            has_image=self._seen.has_image if image == spec.image else True,
            missing_paths=self._seen.missing_paths if paths == sources(spec) else (),
        )

    def given(self, gpus: tuple[NodeGpu, ...] | None) -> list[NodeGpu]:
        """The GPUs that running containers were given."""
        if self._seen is None or not gpus:
            return []
        return list(node_gpus.holders(self._seen.containers, gpus))


def findings(
    spec: ContainerSpec, around: Surroundings | None, wrong: Container[str] = ()
) -> tuple[Finding, ...]:
    """What stands in the way or may surprise; mistakes are said at their fields (those in `wrong`,
    which the spec has no value of), an absent image by `plan`."""
    if around is None:
        return ()
    found = check(spec, around)
    elsewhere = {"mistake", "image-missing", *(("ssh-unpublished",) if "ports" in wrong else ())}
    return tuple(each for each in found if each.name not in elsewhere)


def plan(node: str, image: str, origin: Origin, around: Surroundings | None) -> str:
    """What a start does before it starts: an absent image is built, or pulled."""
    if around is None or around.has_image or not image:
        return ""
    build = origin.build_of(image)
    if build is None:
        return f"{node} has no image {image}: it is pulled first, then started"
    source = f"the preset {build.preset}" if build.preset else str(build.dockerfile)
    return f"{node} has no image {image}: it is built first, from {source}"


def run_line(spec: ContainerSpec, around: Surroundings | None) -> str:
    """The `docker run` line, with the node's home for "~", which quotes would hide from a shell,
    and with the GPUs that a count comes to, which docker would take from the first one on."""
    spec = replace(spec, image=spec.image or "IMAGE")
    if around is None:
        return docker_run_line(spec)
    shown = replace(settled(spec, around), gpus=spec.gpus)
    if spec.forward_agent and around.home and around.hostname:
        shown = replace(shown, agent_directory=directory(around.home, around.hostname))
    if spec.gpus.count and around.gpus:
        given = node_gpus.holders(around.containers, around.gpus)
        numbers = sorted(gpu.index for gpu in node_gpus.chosen(spec.gpus, around.gpus, given))
        shown = replace(shown, gpus=Gpus(ids=tuple(map(str, numbers))))
    return docker_run_line(shown)
