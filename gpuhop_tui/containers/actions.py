"""What is done to a container, and what would be lost by it.

All raise ContainerError where the engine refuses, and ProblemError where it is not to be had.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import Any

from gpuhop_tui.containers.engine import CALL_SECONDS, Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.text import plain

STOP_SECONDS = 10  # between SIGTERM and SIGKILL, docker's own default
HOST_KEY = "/etc/gpuhop/host_key.pub"  # in containers of the preset pytorch-ssh
_NAME_MISTAKE = "two or more of letters, digits and _ . -"


@dataclass(frozen=True, slots=True)
class Client:
    """A program that somebody runs in the container by `docker exec`."""

    command: str
    user: str
    terminal: bool  # somebody sits at it
    pid: int | None  # the host's


@dataclass(frozen=True, slots=True)
class Losses:
    """What ending or removing a container takes with it; for the question before it. Running GPU
    processes are known to the fleet's sample, by the container's id."""

    running: bool
    clients: tuple[Client, ...] = ()
    anonymous_volumes: tuple[str, ...] = ()  # where they are mounted; gone with a removal
    changed_paths: int | None = None  # in its own layer, gone with a removal; None: not known
    layer_bytes: int | None = None  # size of that layer


async def start(engine: Engine, container: Container) -> None:
    """Starts one that has ended. See `start.start_container` for a new one."""
    await _do(engine, f"starting {container.name}", lambda c: c.start(container.id))


async def stop(engine: Engine, container: Container, seconds: int = STOP_SECONDS) -> None:
    """Ends it by its stop signal, and by SIGKILL after `seconds`."""
    await _do(
        engine,
        f"stopping {container.name}",
        lambda c: c.stop(container.id, timeout=seconds),
        CALL_SECONDS + seconds,
    )


async def kill(engine: Engine, container: Container) -> None:
    """Ends it by SIGKILL, at once."""
    await _do(engine, f"killing {container.name}", lambda c: c.kill(container.id))


async def restart(engine: Engine, container: Container, seconds: int = STOP_SECONDS) -> None:
    """Stops it as `stop` does, and starts it."""
    await _do(
        engine,
        f"restarting {container.name}",
        lambda c: c.restart(container.id, timeout=seconds),
        CALL_SECONDS + seconds,
    )


async def resume(engine: Engine, container: Container) -> None:
    """Lets one go on that was paused."""
    await _do(engine, f"resuming {container.name}", lambda c: c.unpause(container.id))


async def rename(engine: Engine, container: Container, name: str) -> None:
    """Gives it another name."""
    if not name.isprintable() or len(name) < 2:
        raise ContainerError(f"{name!r} is no name", f"Names are {_NAME_MISTAKE}.")
    await _do(engine, f"renaming {container.name}", lambda c: c.rename(container.id, name))


async def remove(
    engine: Engine, container: Container, *, force: bool = False, volumes: bool = True
) -> None:
    """Removes it; with `force` though it runs. `volumes`: its anonymous volumes, too."""
    await _do(
        engine,
        f"removing {container.name}",
        lambda c: c.remove_container(container.id, v=volumes, force=force),
        60.0,
    )


async def commit(engine: Engine, container: Container, image: str) -> str:
    """Makes an image of it as it is now, mounts left out; returns the image's id."""
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = image, "latest"
    made = await engine.call(
        f"making an image of {container.name}",
        lambda c: c.commit(container.id, repository=repository, tag=tag),
        timeout=600.0,
    )
    return plain(made.get("Id"))


async def ssh_host_key(engine: Engine, container: Container) -> str | None:
    """The public host key ("ssh-ed25519 AAAA…") of a container of our preset, read through the
    engine: what its SSH server has to show. None where it has made none (yet)."""

    def read(client: Any) -> str | None:
        chunks, _ = client.get_archive(container.id, HOST_KEY)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            file = tar.extractfile(tar.next() or "")
            return file.read(4096).decode(errors="replace") if file else None

    try:
        said = await engine.call(f"reading {container.name}'s host key", read)
    except ContainerError as error:
        if error.is_gone:
            return None
        raise
    words = plain((said or "").strip()).split()
    return " ".join(words[:2]) if len(words) >= 2 else None


async def remove_image(engine: Engine, image: str, *, force: bool = False) -> None:
    """Removes an image, by its tag or id."""
    await _do(engine, f"removing {image}", lambda c: c.remove_image(image, force=force), 60.0)


async def losses(engine: Engine, container: Container) -> Losses:
    """What would be lost, as it is now."""

    def ask(client: Any) -> Losses:
        facts = client.inspect_container(container.id)
        now = read_container(engine.node, facts)
        sizes = client.containers(all=True, size=True, filters={"id": container.id})
        changes = client.diff(container.id)
        return Losses(
            running=now.running,
            clients=tuple(_clients(client, facts.get("ExecIDs") or ())),
            anonymous_volumes=tuple(mount.target for mount in now.mounts if mount.anonymous),
            changed_paths=len(changes) if changes is not None else 0,
            layer_bytes=next((int(each.get("SizeRw") or 0) for each in sizes), None),
        )

    return await engine.call(f"looking at {container.name}", ask, timeout=60.0)


def _clients(client: Any, identities: Any) -> list[Client]:
    from docker.errors import APIError

    found = []
    for identity in identities:
        try:
            facts = client.exec_inspect(identity)
        except APIError:
            continue  # it has just ended
        if facts.get("Running"):
            process = facts.get("ProcessConfig") or {}
            words = [process.get("entrypoint"), *(process.get("arguments") or ())]
            command = plain(" ".join(str(word) for word in words if word))
            terminal = bool(process.get("tty"))
            found.append(
                Client(command, plain(process.get("user")), terminal, facts.get("Pid") or None)
            )
    return found


async def _do(engine: Engine, what: str, request: Any, timeout: float = CALL_SECONDS) -> None:
    await engine.call(what, request, timeout=timeout)
