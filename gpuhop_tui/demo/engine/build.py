"""Building an image: the steps of a Dockerfile, with the words of the classic builder. Nothing is
run; what a step would write is told in short."""

from __future__ import annotations

import asyncio
import io
import re
import shlex
import tarfile
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

from gpuhop_tui.demo.engine.http import Refused
from gpuhop_tui.demo.engine.images import MIB, Image, Images, Layer, with_tag
from gpuhop_tui.demo.noise import between, identity

Json = dict[str, Any]

_TEXT_LIMIT = 1 << 20
_LAYERS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class Context:
    """What was sent to build from."""

    dockerfile: str
    names: frozenset[str]


def read_context(data: bytes, dockerfile: str) -> Context:
    """Raises Refused where it is no archive or lacks the Dockerfile."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            names = frozenset(name.removeprefix("./") for name in tar.getnames())
            file = tar.extractfile(dockerfile) if dockerfile in names else None
            if file is None:
                raise Refused(500, f"Cannot locate specified Dockerfile: {dockerfile}")
            return Context(file.read(_TEXT_LIMIT).decode("utf-8", "replace"), names)
    except tarfile.TarError as error:
        raise Refused(500, f"the build context is no tar archive: {error}") from None


class _FailedError(Exception):
    """A step that fails; `str()` is what the engine says."""


async def build(
    images: Images, context: Context, tag: str, arguments: dict[str, str], built: set[str]
) -> AsyncGenerator[Json, None]:
    """The engine's lines of progress. `built` are the steps that an earlier build has finished:
    they come from the cache, and new ones are added."""
    steps = list(instructions(context.dockerfile))
    known: dict[str, str] = {}
    layers: list[Layer] = []
    config: Json = {}
    key = "scratch"
    try:
        for number, (word, rest) in enumerate(steps, start=1):
            yield _stream(f"Step {number}/{len(steps)} : {word} {rest}\n")
            if word == "ARG":
                name, _, value = rest.partition("=")
                known[name] = arguments.get(name, value.strip("\"'"))
            elif word == "FROM":
                base = _expanded(rest.partition(" ")[0], known)
                async for line in _base(images, base):
                    yield line
                image = images.find(base)
                layers, config = list(image.layers), dict(image.config)
            key = identity(key, word, _expanded(rest, known))
            if word in _LAYERS and key in built:
                yield _stream(" ---> Using cache\n")
            elif word in _LAYERS:
                async for text in _step(word, rest, context, key):
                    yield _stream(text)
                built.add(key)
            if word in _LAYERS:
                layers.append(Layer(key[:12], int(between(2, 190, key) * MIB)))
            _configure(config, word, rest)
            yield _stream(f" ---> {key[:12]}\n")
    except (_FailedError, Refused) as error:
        yield {"error": str(error), "errorDetail": {"message": str(error)}}
        return
    image = Image(f"sha256:{key}", (with_tag(tag),), tuple(layers), time.time(), config)
    images.add(image)
    yield {"aux": {"ID": image.id}}
    yield _stream(f"Successfully built {key[:12]}\n")
    yield _stream(f"Successfully tagged {with_tag(tag)}\n")


async def _base(images: Images, base: str) -> AsyncGenerator[Json, None]:
    if images.get(base) is None:
        async for line in images.pull(with_tag(base)):
            yield line


async def _step(word: str, rest: str, context: Context, key: str) -> AsyncGenerator[str, None]:
    if word in ("COPY", "ADD"):
        _look_for(rest, context)
        await asyncio.sleep(0.3)
        return
    yield f" ---> Running in {key[12:24]}\n"
    for text in _said(rest):
        await asyncio.sleep(between(0.4, 1.1, key, text))
        yield text + "\n"
    if re.search(r"(^|&&|;)\s*(false|exit [1-9]\d*)\s*($|&&|;)", rest):
        raise _FailedError(f"The command '/bin/sh -c {rest}' returned a non-zero code: 1")
    yield f" ---> Removed intermediate container {key[12:24]}\n"


def _said(line: str) -> Iterator[str]:
    """A little of what such a command writes."""
    yield "[simulated] nothing is run"
    if "apt-get" in line or "apt " in line:
        yield "Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]"
        yield "Fetched 31.4 MB in 2s (15.2 MB/s)"
        yield "Setting up openssh-server …" if "ssh" in line else "Setting up packages …"
    if "pip" in line or "uv " in line:
        yield "Collecting packages"
        yield "Successfully installed what was asked for"


def _look_for(rest: str, context: Context) -> None:
    words = [word for word in shlex.split(rest) if not word.startswith("--")]
    for source in words[:-1]:
        plain = source.removeprefix("./").rstrip("/")
        if plain in ("", ".") or "*" in plain or "://" in plain:
            continue
        if plain not in context.names and not any(
            name.startswith(f"{plain}/") for name in context.names
        ):
            raise _FailedError(
                f"COPY failed: file not found in build context or excluded by .dockerignore: "
                f"stat {plain}: file does not exist"
            )


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile, their continued lines as one. Here-documents need BuildKit,
    which this is not."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\s*\n", " ", "\n".join(lines))
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word.upper(), " ".join(rest.split())


def _configure(config: Json, word: str, rest: str) -> None:
    if word in ("CMD", "ENTRYPOINT"):
        words = re.findall(r'"((?:[^"\\]|\\.)*)"', rest) if rest.startswith("[") else None
        config[word.capitalize() if word == "CMD" else "Entrypoint"] = words or [
            "/bin/sh", "-c", rest,
        ]  # fmt: skip
        if word == "ENTRYPOINT":
            config["Cmd"] = []
    elif word == "WORKDIR":
        config["WorkingDir"] = rest
    elif word == "USER":
        config["User"] = rest
    elif word == "LABEL":
        pairs = (each.partition("=") for each in shlex.split(rest))
        config["Labels"] = {**config.get("Labels", {}), **{n: v for n, _, v in pairs}}


def _expanded(text: str, known: dict[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ""), text)


def _stream(text: str) -> Json:
    return {"stream": text}
