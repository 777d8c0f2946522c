"""Images: those that a registry would have, those that an engine has, and how they come."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gpuhop_tui.demo.engine.http import Refused
from gpuhop_tui.demo.noise import between, identity

Json = dict[str, Any]

MIB = 1 << 20
GIB = 1 << 30
DAY = 86400
LABEL = "org.gpuhop.simulated"

_TICK_SECONDS = 0.1
_DOWNLOADS = 3  # layers at once, as dockerd has it
_EXTRACT_BYTES_A_SECOND = 3 << 30
_SHORTEST_EXTRACTION = 0.15  # seconds

# What the world's registries hold, as far as the demo's nodes can tell: compressed layers in MiB.
_BASE = (29, 5, 54)
_CUDA = (*_BASE, 812, 1204)
REGISTRY: dict[str, tuple[int, ...]] = {
    "ubuntu:24.04": (29,),
    "ubuntu:22.04": (28,),
    "debian:12": (47,),
    "python:3.12-slim": (28, 3, 12),
    "alpine:latest": (4,),
    "pytorch/pytorch:2.8.0-cuda12.6-cudnn9-devel": (*_CUDA, 3411, 96),
    "pytorch/pytorch:2.8.0-cuda12.6-cudnn9-runtime": (*_BASE, 1833, 71),
    "pytorch/pytorch:latest": (*_BASE, 1833, 71),
    "nvcr.io/nvidia/pytorch:25.08-py3": (*_CUDA, 2960, 1410, 288, 64),
    "nvidia/cuda:12.6.3-base-ubuntu24.04": (*_BASE, 72),
    "vllm/vllm-openai:v0.11.0": (*_CUDA, 2204, 340),
    "vllm/vllm-openai:latest": (*_CUDA, 2291, 347),
    "tensorflow/tensorflow:2.19.0-gpu": (*_BASE, 1420, 611),
    "jupyter/scipy-notebook:latest": (*_BASE, 402, 118, 9),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; `size` is its compressed bytes."""

    id: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """One image of an engine."""

    id: str
    tags: tuple[str, ...]
    layers: tuple[Layer, ...]
    created_at: float
    config: Json = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return int(sum(layer.size for layer in self.layers) * 2.1)


def of_registry(reference: str) -> Image:
    """What a registry has under this name. Raises Refused as an engine does where it has none."""
    sizes = REGISTRY.get(reference)
    repository, _, tag = reference.rpartition(":")
    if sizes is None and any(name.rpartition(":")[0] == repository for name in REGISTRY):
        raise Refused(404, f"manifest for {reference} not found: manifest unknown: {tag}")
    if sizes is None:
        raise Refused(
            404,
            f"pull access denied for {repository}, repository does not exist or may require "
            "'docker login': denied: requested access to the resource is denied",
        )
    layers = []
    for depth in range(len(sizes)):  # what begins alike is the same layer in every image
        key = identity("layer", sizes[: depth + 1])
        layers.append(Layer(key[:12], int(sizes[depth] * MIB * between(0.97, 1.03, key))))
    key = identity("image", reference)
    age = between(12, 210, key) * DAY
    return Image(
        f"sha256:{key}", (reference,), tuple(layers), time.time() - age, _config(reference)
    )


def _config(reference: str) -> Json:
    command = ["python3"] if "python" in reference else ["bash"]
    config: Json = {"Cmd": command, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}
    if "pytorch/pytorch" in reference:
        config.update(Cmd=["bash"], WorkingDir="/workspace")
    elif "vllm" in reference:
        config.update(Cmd=[], Entrypoint=["vllm", "serve"], WorkingDir="/vllm-workspace")
    elif "jupyter" in reference:
        config.update(Cmd=["start-notebook.py"], WorkingDir="/home/jovyan")
    return {**config, "Labels": {LABEL: "true"}}


class Images:
    """Those of one engine."""

    def __init__(self, references: tuple[str, ...], bytes_a_second: float) -> None:
        """`references` are of the registry; `bytes_a_second` is the node's way to it."""
        self._images = {image.id: image for image in map(of_registry, references)}
        self.bytes_a_second = bytes_a_second
        self._layers = {layer.id for image in self.all() for layer in image.layers}

    def all(self) -> list[Image]:
        return list(self._images.values())

    def find(self, name: str) -> Image:
        """By tag, id, or the beginning of one. Raises Refused."""
        found = self.get(name)
        if found is None:
            raise Refused(404, f"No such image: {with_tag(name)}")
        return found

    def get(self, name: str) -> Image | None:
        digits = name.removeprefix("sha256:")
        for image in self.all():
            if with_tag(name) in image.tags or image.id == name:
                return image
            if re.fullmatch(r"[0-9a-f]{6,64}", digits) and image.id[7:].startswith(digits):
                return image
        return None

    def add(self, image: Image) -> None:
        """An image takes its tags from whichever has them."""
        for other in self.all():
            kept = tuple(tag for tag in other.tags if tag not in image.tags)
            self._images[other.id] = replace(other, tags=kept)
        before = self._images.get(image.id)
        tags = dict.fromkeys((*(before.tags if before else ()), *image.tags))
        self._images[image.id] = replace(image, tags=tuple(tags))
        self._layers.update(layer.id for layer in image.layers)

    def remove(self, name: str, used_by: str | None, *, force: bool) -> list[Json]:
        """`used_by` is a container that needs it. Raises Refused."""
        image = self.find(name)
        tag = with_tag(name)
        if tag in image.tags and len(image.tags) > 1:
            self._images[image.id] = replace(
                image, tags=tuple(each for each in image.tags if each != tag)
            )
            return [{"Untagged": tag}]
        if used_by is not None and not force:
            raise Refused(
                409,
                f"conflict: unable to remove repository reference {name!r} (must force) - "
                f"container {used_by} is using its referenced image {image.id[7:19]}",
            )
        del self._images[image.id]
        self._layers = {layer.id for each in self.all() for layer in each.layers}
        return [*({"Untagged": each} for each in image.tags), {"Deleted": image.id}]

    async def pull(self, reference: str) -> AsyncGenerator[Json, None]:
        """The engine's lines of progress; the image is there after the last. What is finished when
        it is broken off is kept. Raises Refused."""
        image = of_registry(reference)
        repository, _, tag = reference.rpartition(":")
        yield {"status": f"Pulling from {repository}", "id": tag}
        is_news = self.get(image.id) is None
        async for line in self._layer_lines(image):
            yield line
        self.add(image)
        yield {"status": f"Digest: {image.id}"}
        word = "Downloaded newer image" if is_news else "Image is up to date"
        yield {"status": f"Status: {word} for {reference}"}

    async def _layer_lines(self, image: Image) -> AsyncGenerator[Json, None]:
        wanted = [layer for layer in image.layers if layer.id not in self._layers]
        for layer in image.layers:
            status = "Pulling fs layer" if layer in wanted else "Already exists"
            yield _line(layer, status)
        for layer in wanted[_DOWNLOADS:]:
            yield _line(layer, "Waiting")
        loading = _Loading(wanted, self.bytes_a_second)
        while not loading.done:
            await asyncio.sleep(_TICK_SECONDS)
            for layer, status, current in loading.advance(_TICK_SECONDS):
                if status == "Pull complete":
                    self._layers.add(layer.id)
                yield _line(layer, status, current)


class _Loading:
    """Layers on their way: a few are loaded at once, and unpacked in order, one at a time."""

    def __init__(self, layers: list[Layer], bytes_a_second: float) -> None:
        self._waiting = list(layers)
        self._speed = bytes_a_second
        self._under_way: dict[Layer, float] = {}  # bytes so far
        self._loaded: set[Layer] = set()
        self._order = list(layers)
        self._extracted = 0.0  # bytes of the first one of `_order`

    @property
    def done(self) -> bool:
        return not self._order

    def advance(self, seconds: float) -> Iterator[tuple[Layer, str, int | None]]:
        """What there is to tell after so much time."""
        while self._waiting and len(self._under_way) < _DOWNLOADS:
            self._under_way[self._waiting.pop(0)] = 0.0
        share = self._speed * seconds / max(1, len(self._under_way))
        for layer in list(self._under_way):
            self._under_way[layer] += share
            if self._under_way[layer] < layer.size:
                yield layer, "Downloading", int(self._under_way[layer])
                continue
            del self._under_way[layer]
            self._loaded.add(layer)
            yield layer, "Verifying Checksum", None
            yield layer, "Download complete", None
        if self._order and self._order[0] in self._loaded:
            layer = self._order[0]
            fastest = layer.size / _SHORTEST_EXTRACTION
            self._extracted += min(_EXTRACT_BYTES_A_SECOND, fastest) * seconds
            if self._extracted < layer.size:
                yield layer, "Extracting", int(self._extracted)
                return
            self._order.pop(0)
            self._extracted = 0.0
            yield layer, "Pull complete", None


def _line(layer: Layer, status: str, current: int | None = None) -> Json:
    detail = {} if current is None else {"current": current, "total": layer.size}
    return {"status": status, "progressDetail": detail, "id": layer.id}


def with_tag(name: str) -> str:
    """`name` as an engine keeps it: with a tag, and without what goes without saying."""
    name = name.removeprefix("docker.io/").removeprefix("library/")
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


def listed(image: Image, containers: int) -> Json:
    """As in GET /images/json and in GET /system/df."""
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": list(image.tags),
        "RepoDigests": [],
        "Created": int(image.created_at),
        "Size": image.size,
        "SharedSize": -1,
        "Labels": image.config.get("Labels"),
        "Containers": containers,
    }


def inspected(image: Image, created: str) -> Json:
    """As in GET /images/NAME/json."""
    return {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": [],
        "Created": created,
        "Architecture": "amd64",
        "Os": "linux",
        "Size": image.size,
        "Config": image.config,
        "RootFS": {"Type": "layers", "Layers": [f"sha256:{layer.id}" for layer in image.layers]},
    }
