"""What is typed into the form for a container, and the container that it stands for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpuhop_tui.containers.spec import (
    ContainerSpec,
    Gpus,
    from_template,
    mistakes,
    parse_gpus,
    read_port,
    read_size,
)

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import BuildConfig, TemplateConfig

Values = dict[str, str]
"""The text of every field, by its id."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `lines` takes one thing a line; `hint` is shown while it is empty. A `tick` is YES
    or empty, and its hint says what of."""

    id: str
    label: str
    hint: str
    lines: bool = False
    choices: tuple[str, ...] = ()
    tick: bool = False


YES = "yes"

FIELDS: tuple[Field, ...] = (
    Field("image", "image", "such as pytorch/pytorch:2.8.0-cuda12.6-cudnn9-devel"),
    Field("name", "name", "the engine makes one up"),
    Field("gpus", "GPUs", "none; all, a count, 0,3 or UUIDs; space in the list below picks"),
    Field("shm_size", "shm size", "the engine's: 64m; data loaders want 2g or more"),
    Field("ports", "ports", "NODE_PORT:CONTAINER_PORT, such as 2222:22 8888:8888"),
    Field("volumes", "volumes", "SOURCE:/TARGET or SOURCE:/TARGET:ro, one a line", lines=True),
    Field("env", "environment", "NAME=value, one a line", lines=True),
    Field("command", "command", "the image's own"),
    Field("entrypoint", "entrypoint", "the image's own"),
    Field("user", "user", "the image's own; NAME or UID:GID"),
    Field("working_dir", "directory", "the image's own"),
    Field(
        "restart", "restart", "no; always, unless-stopped, on-failure",
        choices=("no", "always", "unless-stopped", "on-failure"),
    ),
    Field(
        "ipc", "IPC", "the engine's; host shares the node's memory with it",
        choices=("private", "shareable", "host"),
    ),
    Field("ulimits", "ulimits", "such as memlock=-1 stack=67108864"),
    Field("labels", "labels", "NAME=value, one a line", lines=True),
    Field("ssh_port", "SSH port", "of the node, where the container's own sshd answers"),
    Field("forward_agent", "agent", "lent inside too, while a hop is open", tick=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Origin:
    """What a form began with: the template, and how its image is built where it is absent."""

    template: str = ""
    image: str = ""
    build: BuildConfig | None = None

    def build_of(self, image: str) -> BuildConfig | None:
        """How to build this image: another one than the template's is pulled."""
        return self.build if image == self.image else None


@dataclass(frozen=True, slots=True)
class Read:
    """What the fields say. Where one has a mistake, `spec` has its default."""

    spec: ContainerSpec
    wrong: dict[str, str]  # by field, in their order


def origin_of(template: TemplateConfig | None) -> Origin:
    """None: an empty form."""
    if template is None:
        return Origin()
    return Origin(template.name, template.image, template.build)


def values_of(template: TemplateConfig | None) -> Values:
    """The text of the fields at the beginning."""
    if template is None:
        return {field.id: "" for field in FIELDS}
    spec = from_template(template)
    size = template.shm_size or ""
    return {
        "image": spec.image,
        "name": spec.name,
        "gpus": gpus_text(spec.gpus),
        "shm_size": size,
        "ports": " ".join(map(str, spec.ports)),
        "volumes": "\n".join(spec.volumes),
        "env": _lines(spec.env),
        "command": shlex.join(spec.command),
        "entrypoint": shlex.join(spec.entrypoint),
        "user": spec.user,
        "working_dir": spec.working_dir,
        "restart": spec.restart,
        "ipc": spec.ipc,
        "ulimits": " ".join(spec.ulimits),
        "labels": _lines(spec.labels),
        "ssh_port": "" if spec.ssh_port is None else str(spec.ssh_port),
        "forward_agent": YES if spec.forward_agent else "",
    }


def read(values: Mapping[str, str], template: str = "") -> Read:
    """The container that the fields describe; and by field what is wrong there."""
    spec = ContainerSpec(image=values.get("image", "").strip(), template=template)
    wrong: dict[str, str] = {}
    for field in FIELDS:
        text = values.get(field.id, "")
        try:
            read_value = _READERS[field.id](text)
            # Alone beside an image, so that the mistake is this field's.
            alone = replace(ContainerSpec("image"), **{field.id: read_value})
            if field.id == "gpus" and alone.gpus.pick:
                raise ValueError("pick them in the list below, with space")
            if found := mistakes(alone):
                raise ValueError(found[0])
            spec = replace(spec, **{field.id: read_value})
        except ValueError as error:
            wrong[field.id] = str(error)
    return Read(spec, wrong)


def gpus_text(gpus: Gpus) -> str:
    """How GPUs are written in the field, so that `parse_gpus` reads the same again."""
    if not gpus:
        return ""
    text = str(gpus)
    return f"{text}," if len(gpus.ids) == 1 and text.isdigit() else text


# Each field's text as its value of a ContainerSpec. They raise ValueError.


def _text(text: str) -> str:
    return text.strip()


def _size(text: str) -> int | None:
    return read_size(text) if text.strip() else None


def _items(text: str) -> list[str]:
    return re.split(r"[\s,]+", text.strip()) if text.strip() else []


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"as a shell reads it: {str(error).lower()}") from None


def _one_a_line(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not line.strip():
            continue
        if not equals or not name.strip():
            raise ValueError(f"line {number} is no NAME=value")
        found[name.strip()] = value
    return found


def _port_number(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is no port from 1 to 65535")
    return int(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "image": _text,
    "name": _text,
    "gpus": parse_gpus,
    "shm_size": _size,
    "ports": lambda text: tuple(map(read_port, _items(text))),
    "volumes": _one_a_line,
    "env": _pairs,
    "command": _words,
    "entrypoint": _words,
    "user": _text,
    "working_dir": _text,
    "restart": _text,
    "ipc": _text,
    "ulimits": lambda text: tuple(_items(text)),
    "labels": _pairs,
    "ssh_port": _port_number,
    "forward_agent": lambda text: text.strip() == YES,
}


def _lines(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in pairs.items())
