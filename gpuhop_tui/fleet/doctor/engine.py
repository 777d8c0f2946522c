"""The Docker engine of a node: whether it is to be had, gives GPUs, and what its containers may."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.text import plain
from gpuhop_tui.fleet.doctor.finding import Finding, ok, problem, unchecked, warning
from gpuhop_tui.fleet.doctor.node import check_disk
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

_SOCKETS = ("docker.sock", "podman.sock", "containerd.sock")
_ROOT = "whoever is in it is root on the node"


@dataclass(frozen=True, slots=True)
class EngineLook:
    """What an engine says: of itself, and of each running container."""

    name: str = ""
    root: str = ""
    gives_gpus: bool = False
    containers: tuple[Container, ...] = ()
    privileged: frozenset[str] = frozenset()  # ids
    problem: Problem | None = None


async def look_at_engine(engine: Engine) -> EngineLook:
    """Never raises: what stands in the way is `problem`."""
    try:
        facts = await engine.facts()
        info, inspected = await engine.call("looking at its containers", _ask)
    except ProblemError as error:
        return EngineLook(problem=error.problem)
    except ContainerError as error:
        fault = Problem(engine.node, ErrorKind.NO_DOCKER, error.message, error.advice)
        return EngineLook(problem=fault)
    return EngineLook(
        f"{facts.name} {facts.version}".strip(),
        facts.root,
        _gives_gpus(info),
        tuple(read_container(engine.node, each) for each in inspected),
        frozenset(
            plain(each.get("Id")) for each in inspected if _host(each).get("Privileged") is True
        ),
    )


def _ask(client: Any) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    from docker.errors import NotFound

    inspected = []
    for each in client.containers():
        try:
            inspected.append(client.inspect_container(each["Id"]))
        except NotFound:  # it ended meanwhile
            continue
    return client.info(), inspected


def _gives_gpus(info: Mapping[str, Any]) -> bool:
    """By the nvidia runtime, or by CDI devices that the engine has found."""
    devices = info.get("DiscoveredDevices") or ()
    return "nvidia" in (info.get("Runtimes") or {}) or any(
        "nvidia" in str(each.get("ID", "")) for each in devices
    )


def _host(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    host = facts.get("HostConfig")
    return host if isinstance(host, Mapping) else {}


def check_engine(
    node: str, look: EngineLook, programs: Collection[str], has_gpus: bool
) -> Iterator[Finding]:
    """`programs` are those of NVIDIA's that are on the node's PATH."""
    fault = look.problem
    if fault is not None:
        if fault.kind is ErrorKind.NO_DOCKER and "there is no Docker" in fault.message:
            yield unchecked("docker", node, f"{fault.message}; nothing is wrong if none is wanted")
        elif fault.kind in (ErrorKind.OVERLOADED, ErrorKind.LOST, ErrorKind.TIMEOUT):
            yield unchecked("docker", node, fault.message)
        else:
            judge = warning if fault.kind is ErrorKind.NO_DOCKER else problem
            yield judge("docker", node, fault.message, fault.advice, _mend(node, fault.kind))
        for check in ("nvidia-runtime", "containers"):
            yield unchecked(check, node, "there is no engine to ask")
        return
    yield ok("docker", node, look.name)
    hook = "nvidia-container-runtime-hook" in programs
    if not has_gpus:
        yield unchecked("nvidia-runtime", node, "no GPU was seen on this node")
    elif look.gives_gpus or hook:
        yield ok("nvidia-runtime", node, "the engine can give GPUs to containers")
    else:
        yield warning(
            "nvidia-runtime",
            node,
            "the engine cannot give GPUs to containers",
            "nvidia-container-toolkit is not installed, or not configured for the engine",
            f"on {node}: sudo apt-get install nvidia-container-toolkit && sudo nvidia-ctk runtime "
            "configure && sudo systemctl restart docker",
        )
    yield from _containers(node, look)


def check_store(node: str, look: EngineLook, disks: Mapping[str, tuple[int, int]]) -> list[Finding]:
    """The disk of images and containers. `disks`: path → free and total bytes."""
    if look.root not in disks:
        return []
    found = check_disk(node, look.root, *disks[look.root])
    return [found] if found else []


def _containers(node: str, look: EngineLook) -> Iterator[Finding]:
    well = True
    for container in look.containers:
        if container.id in look.privileged:
            well = False
            yield warning(
                "containers",
                node,
                f"the container {container.name} runs with --privileged",
                f"nothing parts it from the node: {_ROOT}",
                f"on {node}: docker stop {container.name}  # and start it without --privileged",
            )
        sockets = [m.source for m in container.mounts if m.source.endswith(_SOCKETS)]
        if sockets:
            well = False
            yield warning(
                "containers",
                node,
                f"the container {container.name} has the engine's socket ({sockets[0]})",
                f"it can start any container: {_ROOT}",
                f"on {node}: docker stop {container.name}  # and start it without that mount",
            )
    if well:
        count = len(look.containers)
        yield ok(
            "containers", node, f"{count} running, none with the engine's socket or privileges"
        )


def check_container_sshd(node: str, name: str, port: int, methods: tuple[str, ...]) -> Finding:
    """The sshd of a container at a port of the node, by the ways to log in that it offers."""
    if bad := [each for each in methods if each in ("password", "keyboard-interactive")]:
        return warning(
            "container-sshd",
            node,
            f"the sshd of {name} at port {port} takes passwords ({', '.join(bad)})",
            "everybody who reaches the node can guess at it",
            f"in the image of {name}: set `PasswordAuthentication no` and "
            "`KbdInteractiveAuthentication no` in sshd_config",
        )
    return ok("container-sshd", node, f"the sshd of {name} at port {port} takes keys only")


def _mend(node: str, kind: ErrorKind) -> str:
    match kind:
        case ErrorKind.NO_PERMISSION:
            return f'on {node}: sudo usermod -aG docker "$USER"  # then log in anew'
        case ErrorKind.FORWARDING_DENIED:
            return f"on {node}: set `AllowStreamLocalForwarding yes` in /etc/ssh/sshd_config"
        case _:
            return f"on {node}: systemctl status docker"
