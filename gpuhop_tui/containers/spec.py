"""A container that is to be: every choice of a form, the engine's arguments for it, and the
`docker run` line that does the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.ssh import container_agent

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import TemplateConfig

LABEL = "gpuhop.template"  # on what gpuhop starts: the template's name
STARTED_BY = "gpuhop.user"  # the login name on the node
SSH_PORT = "gpuhop.ssh-port"  # the node's port of the container's own sshd
AGENT_DIRECTORY = "/run/gpuhop-agent"  # in the container; it holds agent.sock

Json = dict[str, Any]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?\Z", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_PORTS = re.compile(
    r"(?:(?P<ip>\[[0-9a-f:]+\]|\d+(?:\.\d+){3}):(?:(?P<bound>\d*):)?|(?P<anywhere>\d+):)?"
    r"(?P<port>\d+)(?:/(?P<protocol>tcp|udp|sctp))?\Z",
    re.IGNORECASE,
)
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_RESTART = re.compile(r"(no|always|unless-stopped|on-failure(:\d+)?)\Z")


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs that are wanted: `all`, a number of the freest, or named ones."""

    all: bool = False
    count: int = 0  # of the freest; 0 and no ids: none
    ids: tuple[str, ...] = ()  # indexes, UUIDs of GPUs or of MIG instances
    pick: bool = False  # a person has still to choose

    def __bool__(self) -> bool:
        return self.all or self.count > 0 or bool(self.ids) or self.pick

    def __str__(self) -> str:
        if self.all:
            return "all"
        if self.pick:
            return "pick"
        return ",".join(self.ids) if self.ids else str(self.count)


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """`-p`: a port of the node that leads into the container."""

    container_port: int
    host_port: int | None = None  # None: the engine takes a free one
    host_ip: str = ""
    protocol: str = "tcp"

    def __str__(self) -> str:
        ip = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        host = "" if self.host_port is None else str(self.host_port)
        front = f"{ip}:{host}:" if ip else (f"{host}:" if host else "")
        suffix = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return f"{front}{self.container_port}{suffix}"


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that `docker run -d` needs. Text is as a person writes it on docker's command line."""

    image: str
    name: str = ""  # "": the engine makes one up
    gpus: Gpus = Gpus()
    shm_size: int | None = None  # bytes; None: the engine's
    ports: tuple[PublishedPort, ...] = ()
    volumes: tuple[str, ...] = ()  # "SOURCE:/TARGET[:ro]"; a source may begin with "~/"
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()  # (): the image's own
    user: str = ""
    working_dir: str = ""
    restart: str = ""  # "no", "always", "unless-stopped", "on-failure[:N]"
    ipc: str = ""  # such as "host"
    ulimits: tuple[str, ...] = ()  # "memlock=-1", "nofile=1024:4096"
    labels: Mapping[str, str] = field(default_factory=dict)
    ssh_port: int | None = None  # the node's
    forward_agent: bool = False  # mounts the directory of the agent's socket at AGENT_DIRECTORY
    agent_directory: str = ""  # that directory of the node; known once it is settled
    template: str = ""  # what it was made from


def from_template(template: TemplateConfig) -> ContainerSpec:
    """What a template of the config says, all of it editable by `dataclasses.replace`."""
    return ContainerSpec(
        image=template.image,
        name=template.name,
        gpus=read_gpus(template.gpus),
        shm_size=read_size(template.shm_size) if template.shm_size else None,
        ports=tuple(map(read_port, template.ports)),
        volumes=tuple(template.volumes),
        env=dict(template.env),
        command=tuple(template.command),
        entrypoint=tuple(template.entrypoint),
        user=template.user or "",
        working_dir=template.working_dir or "",
        restart=template.restart or "",
        ipc=template.ipc or "",
        ulimits=tuple(template.ulimits),
        labels=dict(template.labels),
        ssh_port=template.ssh_port,
        forward_agent=template.forward_agent,
        template=template.name,
    )


def to_template(spec: ContainerSpec, name: str) -> Json:
    """A table of `[[templates]]` that gives `spec` again; what is as by default is left out."""
    gpus = spec.gpus
    chosen: Any = "all" if gpus.all else "pick" if gpus.pick else list(gpus.ids) or gpus.count
    table: Json = {
        "name": name,
        "image": spec.image,
        "gpus": chosen,
        "shm_size": None if spec.shm_size is None else _size(spec.shm_size),
        "ports": [str(port) for port in spec.ports],
        "volumes": list(spec.volumes),
        "env": dict(spec.env),
        "command": list(spec.command),
        "entrypoint": list(spec.entrypoint),
        "user": spec.user,
        "working_dir": spec.working_dir,
        "restart": spec.restart,
        "ipc": spec.ipc,
        "ulimits": list(spec.ulimits),
        "labels": dict(spec.labels),
        "ssh_port": spec.ssh_port,
        "forward_agent": spec.forward_agent or None,
    }
    optional = {key: value for key, value in table.items() if value not in (None, "", [], {})}
    return {**optional, "gpus": chosen}


# Reading what a person writes


def read_gpus(value: str | int | tuple[str | int, ...]) -> Gpus:
    """`gpus` of a template."""
    if isinstance(value, tuple):
        return Gpus(ids=tuple(str(each) for each in value))
    if isinstance(value, int):
        return Gpus(count=value)
    return Gpus(pick=True) if value == "pick" else Gpus(all=True)


def parse_gpus(text: str) -> Gpus:
    """`--gpus` and a form's field: "all", "none", "2" (that many), "0,3", "0," (one index), UUIDs
    with commas. Raises ValueError."""
    text = text.strip()
    if text in ("all", "pick"):
        return Gpus(all=text == "all", pick=text == "pick")
    if text in ("", "none", "0"):
        return Gpus()
    if text.isdigit():
        return Gpus(count=int(text))
    ids = tuple(each.strip() for each in text.split(",") if each.strip())
    if not ids or not all(re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", each) for each in ids):
        raise ValueError(
            f'{text!r} is not "all", "none", a count, nor indexes or UUIDs with commas'
        )
    return Gpus(ids=ids)


def read_size(text: str) -> int:
    """Bytes of "2gb", "512m", "1.5g", as docker reads them. Raises ValueError."""
    found = _SIZE.match(text.strip())
    if found is None:
        raise ValueError(f'{text!r} is no size such as "2gb" or "512m"')
    return int(float(found[1]) * _UNITS[found[2].lower()])


def read_port(text: str) -> PublishedPort:
    """ "[[IP:]NODE_PORT:]CONTAINER_PORT[/udp]". Raises ValueError."""
    found = _PORTS.match(text.strip())
    host = (found["bound"] or found["anywhere"]) if found else None
    ports = [int(each) for each in (host, found["port"]) if each] if found else []
    if found is None or not all(1 <= port <= 65535 for port in ports):
        raise ValueError(f'{text!r} is not "NODE_PORT:CONTAINER_PORT"')
    return PublishedPort(
        container_port=int(found["port"]),
        host_port=int(host) if host else None,
        host_ip=(found["ip"] or "").strip("[]"),
        protocol=(found["protocol"] or "tcp").lower(),
    )


def mistakes(spec: ContainerSpec) -> list[str]:
    """What no engine would take, each in a sentence; the rest is for the checks on the node."""
    found = []
    if not spec.image or spec.image.startswith("-") or not spec.image.isprintable():
        found.append("it needs an image")
    if spec.name and not _NAME.match(spec.name):
        found.append(f"{spec.name!r} is no name: two or more of letters, digits and _ . -")
    for volume in spec.volumes:
        source, _, target = volume.partition(":")
        if not source or not target.startswith("/"):
            found.append(f'{volume!r} is not "SOURCE:/TARGET" or "SOURCE:/TARGET:ro"')
    if spec.restart and not _RESTART.match(spec.restart):
        found.append(
            f"{spec.restart!r} is no restart policy: no, always, unless-stopped, on-failure"
        )
    if spec.working_dir and not spec.working_dir.startswith("/"):
        found.append("the working directory has to begin with /")
    for limit in spec.ulimits:
        if not re.fullmatch(r"[a-z]+=-?\d+(:-?\d+)?", limit):
            found.append(f'{limit!r} is no limit such as "memlock=-1" or "nofile=1024:4096"')
    found += [f"{name!r} is no name of a variable" for name in spec.env if not _is_variable(name)]
    if spec.gpus.pick:
        found.append("its GPUs have still to be picked")
    return found


def with_gpu_ids(spec: ContainerSpec, ids: tuple[str, ...]) -> ContainerSpec:
    """`spec` with these GPUs and no others."""
    return replace(spec, gpus=Gpus(ids=ids))


# What the engine gets


def create_arguments(spec: ContainerSpec) -> Json:
    """The body of POST /containers/create (Docker Engine API 1.40), as docker(1) would send it.

    Raises ContainerError for what no engine would take.
    """
    if wrong := mistakes(spec):
        raise ContainerError(f"{spec.name or spec.image} cannot be: {wrong[0]}", "Change it.")
    host: Json = {"Binds": list(_binds(spec)) or None, "NetworkMode": "default"}
    if spec.shm_size is not None:
        host["ShmSize"] = spec.shm_size
    if spec.ipc:
        host["IpcMode"] = spec.ipc
    policy, _, retries = (spec.restart or "no").partition(":")
    host["RestartPolicy"] = {"Name": policy, "MaximumRetryCount": int(retries or 0)}
    if spec.ulimits:
        host["Ulimits"] = [_ulimit(each) for each in spec.ulimits]
    if spec.gpus:
        host["DeviceRequests"] = [_device_request(spec.gpus)]
    bindings: dict[str, list[Json]] = {}
    for port in spec.ports:
        binding = {"HostIp": port.host_ip, "HostPort": str(port.host_port or "")}
        bindings.setdefault(f"{port.container_port}/{port.protocol}", []).append(binding)
    if bindings:
        host["PortBindings"] = bindings
    body: Json = {"Image": spec.image, "HostConfig": host, "Labels": all_labels(spec)}
    if bindings:
        body["ExposedPorts"] = {name: {} for name in bindings}
    # docker's --entrypoint takes one word: its arguments come before the command.
    if command := [*spec.entrypoint[1:], *spec.command]:
        body["Cmd"] = command
    if spec.entrypoint:
        body["Entrypoint"] = [spec.entrypoint[0]]
    if environment := _environment(spec):
        body["Env"] = [f"{name}={value}" for name, value in environment.items()]
    if spec.user:
        body["User"] = spec.user
    if spec.working_dir:
        body["WorkingDir"] = spec.working_dir
    return body


def all_labels(spec: ContainerSpec) -> dict[str, str]:
    """Those that a person chose, and those by which gpuhop knows its own."""
    labels = dict(spec.labels)
    if spec.template:
        labels.setdefault(LABEL, spec.template)
    if spec.ssh_port is not None:
        labels.setdefault(SSH_PORT, str(spec.ssh_port))
    return labels


def docker_run_line(spec: ContainerSpec) -> str:
    """The line for a shell on the node that starts the same container."""
    return shlex.join(["docker", "run", "-d", *_options(spec)])


def _options(spec: ContainerSpec) -> Iterator[str]:
    if spec.name:
        yield from ("--name", spec.name)
    if spec.gpus:
        yield from ("--gpus", f'"device={spec.gpus}"' if spec.gpus.ids else str(spec.gpus))
    if spec.shm_size is not None:
        yield from ("--shm-size", _size(spec.shm_size))
    for port in spec.ports:
        yield from ("-p", str(port))
    for bind in _binds(spec):
        yield from ("-v", bind)
    for name, value in _environment(spec).items():
        yield from ("-e", f"{name}={value}")
    if spec.user:
        yield from ("--user", spec.user)
    if spec.working_dir:
        yield from ("--workdir", spec.working_dir)
    if spec.restart:
        yield from ("--restart", spec.restart)
    if spec.ipc:
        yield from ("--ipc", spec.ipc)
    for limit in spec.ulimits:
        yield from ("--ulimit", limit)
    for name, value in all_labels(spec).items():
        yield from ("--label", f"{name}={value}")
    if spec.entrypoint:
        yield from ("--entrypoint", spec.entrypoint[0])
    yield spec.image
    yield from (*spec.entrypoint[1:], *spec.command)


def _binds(spec: ContainerSpec) -> Iterator[str]:
    yield from spec.volumes
    if spec.forward_agent:
        yield f"{spec.agent_directory or container_agent.SHOWN}:{AGENT_DIRECTORY}"


def _environment(spec: ContainerSpec) -> dict[str, str]:
    environment = dict(spec.env)
    if spec.forward_agent:
        environment.setdefault("SSH_AUTH_SOCK", f"{AGENT_DIRECTORY}/agent.sock")
    return environment


def _device_request(gpus: Gpus) -> Json:
    wanted: Json = {"Count": -1} if gpus.all else {"Count": gpus.count}
    if gpus.ids:
        wanted = {"DeviceIDs": list(gpus.ids)}
    return {"Driver": "", "Capabilities": [["gpu"]], "Options": {}, **wanted}


def _ulimit(text: str) -> Json:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}


def _size(number: int) -> str:
    for unit, size in (("g", 2**30), ("m", 2**20), ("k", 2**10)):
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)


def _is_variable(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name and name.isprintable()
