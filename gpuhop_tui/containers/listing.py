"""What an engine answers, read into the model. Sources: Docker Engine API 1.40 and later, and what
Podman's compatible API makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from gpuhop_tui.containers.model import Container, DiskUse, GpuGrant, Image, Mount, Port
from gpuhop_tui.containers.text import plain

Json = Mapping[str, Any]

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}\Z")
_NO_GPUS = ("", "none", "void")
STOPPED, NOT_YET = "not running", "not measured yet"


def read_container(node: str, facts: Json) -> Container:
    """From GET /containers/ID/json."""
    state, config, host = _at(facts, "State"), _at(facts, "Config"), _at(facts, "HostConfig")
    health = plain(_at(state, "Health").get("Status")) or None
    ended = read_time(state.get("FinishedAt"))
    words = [facts.get("Path"), *(facts.get("Args") or ())]
    status = plain(state.get("Status"))
    why = NOT_YET if status == "running" else STOPPED
    return Container(
        node=node,
        id=plain(facts.get("Id")),
        name=plain(facts.get("Name")).removeprefix("/"),
        image=plain(config.get("Image")),
        image_id=plain(facts.get("Image")),
        command=plain(" ".join(str(word) for word in words if word)),
        state=status,
        health=None if health == "none" else health,
        created_at=read_time(facts.get("Created")),
        started_at=read_time(state.get("StartedAt")),
        finished_at=ended,
        exit_code=state.get("ExitCode") if ended is not None else None,
        error=plain(state.get("Error")),
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=int(facts.get("RestartCount") or 0),
        restart_policy=plain(_at(host, "RestartPolicy").get("Name")) or "no",
        tty=bool(config.get("Tty")),
        user=plain(config.get("User")),
        pid=state.get("Pid") or None,
        ports=_ports(facts),
        gpus=read_grant(config, host),
        mounts=tuple(map(_mount, facts.get("Mounts") or ())),
        labels=_labels(config.get("Labels")),
        missing=dict.fromkeys(("cpu_percent", "memory_bytes", "gpu_memory_bytes"), why),
    )


def read_grant(config: Json, host: Json) -> GpuGrant | None:
    """The GPUs that a container was given: by a device request (`--gpus`, CDI), by the nvidia
    runtime and its variable, or as bare devices."""
    for request in host.get("DeviceRequests") or ():
        groups = request.get("Capabilities") or ()
        named = tuple(plain(str(each)) for each in request.get("DeviceIDs") or ())
        if request.get("Driver") == "cdi":
            named = tuple(
                each.partition("=")[2] for each in named if each.startswith("nvidia.com/gpu=")
            )
        elif not any("gpu" in group for group in groups):
            continue
        if named:
            return GpuGrant(all=True) if "all" in named else GpuGrant(ids=named)
        count = int(request.get("Count") or 0)
        if count:
            return GpuGrant(all=True) if count < 0 else GpuGrant(count=count)
    if host.get("Runtime") == "nvidia":
        for assignment in config.get("Env") or ():
            name, _, value = str(assignment).partition("=")
            if name == "NVIDIA_VISIBLE_DEVICES" and value not in _NO_GPUS:
                ids = tuple(plain(each.strip()) for each in value.split(","))
                return GpuGrant(all=True) if value == "all" else GpuGrant(ids=ids)
    paths = [str(each.get("PathOnHost", "")) for each in host.get("Devices") or ()]
    numbers = sorted(m[1] for path in paths if (m := re.fullmatch(r"/dev/nvidia(\d+)", path)))
    return GpuGrant(ids=tuple(numbers)) if numbers else None


def read_images(facts: Iterable[Json]) -> tuple[Image, ...]:
    """From GET /images/json, the newest first."""
    images = (
        Image(
            id=plain(each.get("Id")),
            tags=tuple(plain(tag) for tag in each.get("RepoTags") or () if tag != "<none>:<none>"),
            size_bytes=int(each.get("Size") or 0),
            created_at=float(each["Created"]) if each.get("Created") else None,
            labels=_labels(each.get("Labels")),
        )
        for each in facts
    )
    return tuple(sorted(images, key=lambda image: -(image.created_at or 0)))


def read_disk_use(facts: Json) -> DiskUse:
    """From GET /system/df."""
    images = list(facts.get("Images") or ())
    containers = list(facts.get("Containers") or ())
    volumes = [_at(each, "UsageData") for each in facts.get("Volumes") or ()]
    cache = list(facts.get("BuildCache") or ())
    layers = int(facts.get("LayersSize") or 0)
    unused_images = sum(
        max(0, int(each.get("Size") or 0) - max(0, int(each.get("SharedSize") or 0)))
        for each in images
        if not each.get("Containers")
    )
    stopped = (each for each in containers if each.get("State") not in ("running", "paused"))
    return DiskUse(
        images_bytes=layers,
        containers_bytes=_sum(containers, "SizeRw"),
        volumes_bytes=_sum(volumes, "Size"),
        build_cache_bytes=_sum(cache, "Size"),
        reclaimable_bytes=min(layers, unused_images)
        + _sum(stopped, "SizeRw")
        + _sum((each for each in volumes if not each.get("RefCount")), "Size")
        + _sum((each for each in cache if not each.get("InUse")), "Size"),
    )


def _ports(facts: Json) -> tuple[Port, ...]:
    """Published ones once, though the engine lists them for IPv4 and for IPv6."""
    known = _at(_at(facts, "NetworkSettings"), "Ports") or _at(
        _at(facts, "HostConfig"), "PortBindings"
    )
    found: dict[Port, None] = {}
    for name, bindings in known.items():
        number, _, protocol = str(name).partition("/")
        if not number.isdigit():
            continue
        if not bindings:
            found[Port(int(number), protocol or "tcp")] = None
        for binding in bindings or ():
            published = str(binding.get("HostPort") or "")
            address = plain(binding.get("HostIp"))
            anywhere = address in ("", "0.0.0.0", "::")
            found[
                Port(
                    int(number),
                    protocol or "tcp",
                    int(published) if published.isdigit() else None,
                    "" if anywhere else address,
                )
            ] = None
    return tuple(sorted(found, key=lambda port: (port.container_port, port.protocol)))


def _mount(facts: Json) -> Mount:
    kind, name = plain(facts.get("Type")), plain(facts.get("Name"))
    return Mount(
        kind=kind,
        source=name if kind == "volume" else plain(facts.get("Source")),
        target=plain(facts.get("Destination")),
        read_only=not facts.get("RW", True),
        anonymous=kind == "volume" and bool(_ANONYMOUS.match(name)),
    )


def read_time(text: object) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; the engine writes the year 1 for never."""
    found = _TIME.match(text) if isinstance(text, str) else None
    if found is None or text == "" or found[1].startswith("0001-"):
        return None
    zone = "+00:00" if found[3] == "Z" else found[3]
    try:
        seconds = datetime.fromisoformat(found[1] + zone).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):  # the 30th of February
        return None
    return seconds + float(found[2] or 0)


def _labels(facts: object) -> dict[str, str]:
    if not isinstance(facts, Mapping):
        return {}
    return {plain(str(name)): plain(str(value)) for name, value in facts.items()}


def _at(facts: Json, name: str) -> Json:
    value = facts.get(name)
    return value if isinstance(value, Mapping) else {}


def _sum(facts: Iterable[Json], name: str) -> int:
    return sum(max(0, int(each.get(name) or 0)) for each in facts)
