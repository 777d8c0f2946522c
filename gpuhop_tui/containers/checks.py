"""What would go wrong at a container's start, looked for before it: each as a named finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gpuhop_tui.containers import gpus as node_gpus
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.gpus import NodeGpu, NodeMig
from gpuhop_tui.containers.model import GpuGrant
from gpuhop_tui.containers.spec import STARTED_BY, ContainerSpec, mistakes
from gpuhop_tui.containers.surroundings import Surroundings

FindingName = Literal[
    "mistake",
    "name-taken",
    "image-missing",
    "gpu-missing",
    "gpu-lost",
    "gpu-busy",
    "gpu-given",
    "gpu-unknown",
    "port-taken",
    "path-missing",
    "shm-small",
    "shm-large",
    "agent-not-lent",
    "ssh-unpublished",
    "not-checked",
]

_LOADER_SHM = 1 << 30  # what a PyTorch loader with a few workers soon needs
_DEFAULT_SHM = 64 << 20  # the engine's


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands in the way (`stops`), or that may surprise."""

    name: FindingName
    message: str
    advice: str
    stops: bool = True


def check(spec: ContainerSpec, around: Surroundings) -> list[Finding]:
    """All findings, those that stop first."""
    found = [
        *_mistakes(spec),
        *_name(spec, around),
        *_image(spec, around),
        *_gpus(spec, around),
        *_ports(spec, around),
        *_paths(spec, around),
        *_shm(spec, around),
        *_agent(spec, around),
        *_ssh(spec),
    ]
    return sorted(found, key=lambda finding: not finding.stops)


def settled(spec: ContainerSpec, around: Surroundings) -> ContainerSpec:
    """`spec` with what only the node knows: GPUs by their UUIDs, the home for `~`, who starts."""
    volumes = tuple(
        around.home + volume[1:] if volume.startswith("~/") and around.home else volume
        for volume in spec.volumes
    )
    labels = {**spec.labels, **({STARTED_BY: around.user} if around.user else {})}
    wanted = replace(spec, volumes=volumes, labels=labels)
    if not around.gpus or spec.gpus.all or not spec.gpus:
        return wanted
    ids: list[str] = []
    if spec.gpus.ids:
        for identity in spec.gpus.ids:
            gpu = node_gpus.find(identity, around.gpus)
            is_instance = gpu is not None and node_gpus.instance(identity, gpu) is not None
            ids.append(identity if gpu is None or is_instance else gpu.device_id)
    else:
        given = node_gpus.holders(around.containers, around.gpus)
        picked = node_gpus.chosen(spec.gpus, around.gpus, given)
        ids = [gpu.device_id for gpu in sorted(picked, key=lambda gpu: gpu.index)]
    return replace(wanted, gpus=replace(spec.gpus, all=False, count=0, ids=tuple(ids)))


def _agent(spec: ContainerSpec, around: Surroundings) -> Iterator[Finding]:
    if spec.forward_agent and not around.lends_agent:
        yield Finding(
            "agent-not-lent",
            "the agent is not lent to this node: its socket in the container will answer nobody",
            "Set `forward_agent` for the node, too; it is lent while a hop to it is open.",
            stops=False,
        )


def _ssh(spec: ContainerSpec) -> Iterator[Finding]:
    published = [port.host_port for port in spec.ports if port.protocol == "tcp"]
    if spec.ssh_port is not None and spec.ssh_port not in published:
        yield Finding(
            "ssh-unpublished",
            f"the SSH port {spec.ssh_port} is none of the published ports",
            f"Publish it ({spec.ssh_port}:22), or name the one that leads to the container's sshd.",
            stops=False,
        )


def _mistakes(spec: ContainerSpec) -> Iterator[Finding]:
    for wrong in mistakes(spec):
        yield Finding("mistake", wrong, "Change it.")


def _name(spec: ContainerSpec, around: Surroundings) -> Iterator[Finding]:
    for container in around.containers:
        if spec.name and container.name == spec.name:
            yield Finding(
                "name-taken",
                f"there is a container named {spec.name} already ({container.state})",
                "Choose another name, or start, restart or remove that one.",
            )


def _image(spec: ContainerSpec, around: Surroundings) -> Iterator[Finding]:
    if not around.has_image:
        yield Finding(
            "image-missing",
            f"the node has no image {spec.image}",
            "Pull it, or build it from the template's [templates.build].",
        )


def _gpus(spec: ContainerSpec, around: Surroundings) -> Iterator[Finding]:
    if not spec.gpus:
        return
    if around.gpus is None:
        yield Finding(
            "gpu-unknown",
            "there are no figures of this node's GPUs",
            "Whether they are there and free shows at the start only.",
            stops=False,
        )
        return
    for identity in spec.gpus.ids:
        if node_gpus.find(identity, around.gpus) is None:
            there = ", ".join(str(gpu.index) for gpu in around.gpus) or "none"
            yield Finding("gpu-missing", f"there is no GPU {identity}", f"This node has: {there}.")
    if not around.gpus or spec.gpus.count > len(around.gpus):
        wanted = spec.gpus.count or "any"
        yield Finding(
            "gpu-missing",
            f"there are {len(around.gpus)} GPUs, {wanted} wanted",
            "Ask for fewer, or choose another node.",
        )
    given = node_gpus.holders(around.containers, around.gpus)
    for gpu in node_gpus.chosen(spec.gpus, around.gpus, given):
        if gpu.lost is not None:
            yield Finding(
                "gpu-lost", f"GPU {gpu.index} does not answer: {gpu.lost}", "Choose another."
            )
        elif ours := [each for each in gpu.mig if each.uuid in spec.gpus.ids]:
            for each in ours:
                called = f"{each.name or 'the MIG instance'} of GPU {gpu.index}"
                holders = _holders_of(each, gpu, given.get(gpu, []), around)
                yield from _shared(called, holders, each)
        else:
            yield from _shared(f"GPU {gpu.index}", given.get(gpu, []), gpu)


def _shared(called: str, holders: Sequence[str], place: NodeGpu | NodeMig) -> Iterator[Finding]:
    """Whether somebody has it already, by a container or by its processes."""
    advice = "They will share it; choose another to have one alone."
    if holders:
        words = f"{called} was given to {', '.join(holders)} already"
        yield Finding("gpu-given", words, advice, stops=False)
    elif not place.free:
        words = f"{called} is in use by {', '.join(place.users) or 'someone'}"
        yield Finding("gpu-busy", words, advice, stops=False)


def _holders_of(
    instance: NodeMig, gpu: NodeGpu, given: Sequence[str], around: Surroundings
) -> list[str]:
    """Of the containers that were `given` something of this GPU: those that have this instance, or
    the GPU as a whole."""
    others = {each.uuid for each in gpu.mig} - {instance.uuid}

    def only_others(grant: GpuGrant) -> bool:
        of_gpu = [each for each in grant.ids if node_gpus.find(each, [gpu])]
        return bool(of_gpu) and others.issuperset(of_gpu)

    return [
        each.name
        for each in around.containers
        if each.running and each.name in given and each.gpus and not only_others(each.gpus)
    ]


def _ports(spec: ContainerSpec, around: Surroundings) -> Iterator[Finding]:
    published = {
        (port.protocol, port.host_port): container.name
        for container in around.containers
        if container.running
        for port in container.ports
        if port.host_port is not None
    }
    wanted: set[tuple[str, int]] = set()
    for port in spec.ports:
        if port.host_port is None:
            continue
        place = (port.protocol, port.host_port)
        if place in wanted:
            yield Finding("port-taken", f"port {port.host_port} is wanted twice", "Change one.")
        wanted.add(place)
        holder = published.get(place)
        if holder is None and not (around.ports and place in around.ports):
            continue
        by = f"the container {holder}" if holder else "a program on the node"
        yield Finding(
            "port-taken",
            f"port {port.host_port} of the node is taken by {by}",
            f"Publish another, such as {_free_port(port.host_port, around, published)}.",
        )
    if spec.ports and around.ports is None:
        yield Finding(
            "not-checked",
            "the node did not say which of its ports are taken",
            "A taken one shows at the start.",
            stops=False,
        )


def _free_port(near: int, around: Surroundings, published: dict[tuple[str, int], str]) -> int:
    taken = {port for _, port in around.ports or ()} | {port for _, port in published}
    return next((port for port in range(near + 1, 65536) if port not in taken), 0)


def _paths(spec: ContainerSpec, around: Surroundings) -> Iterator[Finding]:
    for path in around.missing_paths:
        yield Finding(
            "path-missing",
            f"the node has no {path}, or you may not see it",
            "Make it first: the engine would make an empty directory that belongs to root.",
        )


def _shm(spec: ContainerSpec, around: Surroundings) -> Iterator[Finding]:
    if spec.ipc == "host":
        return
    size = _DEFAULT_SHM if spec.shm_size is None else spec.shm_size
    memory = around.engine.memory_bytes
    if spec.gpus and size < _LOADER_SHM:
        yield Finding(
            "shm-small",
            f"/dev/shm of {size >> 20} MB is small for data loaders with worker processes",
            'They die of a bus error when it is full: shm_size = "2gb" or more, or ipc = "host".',
            stops=False,
        )
    if memory is not None and size > memory:
        yield Finding(
            "shm-large",
            f"/dev/shm of {size >> 30} GB is more than the node's memory ({memory >> 30} GB)",
            "Ask for less.",
        )


def stop_at(findings: Sequence[Finding], node: str) -> None:
    """Raises ContainerError for the first finding that stops."""
    for finding in findings:
        if finding.stops:
            raise ContainerError(f"{node}: {finding.message}", finding.advice)
