"""Containers that were given GPUs and no longer see them.

The best known cause is `systemctl daemon-reload` on the node: systemd writes the container's device
rules anew and forgets those that the NVIDIA runtime had added (nvidia-container-toolkit #48). The
container's own `nvidia-smi -L` tells.
"""

from __future__ import annotations

import re
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.model import Container, GpuGrant, LostGpus
from gpuhop_tui.containers.run_in import run_in
from gpuhop_tui.containers.text import plain
from gpuhop_tui.problem import ErrorKind, ProblemError

CHECK_SECONDS = 15.0
_COMMAND = ["nvidia-smi", "-L"]
_GPU = re.compile(r"^\s*GPU \d+:|^\s*MIG \S+ ", re.MULTILINE)
_RESTART = "Restart the container: the GPUs come back with it, what ran in it does not."
_HANGS = (
    f"`nvidia-smi` in it came to no answer within {CHECK_SECONDS:.0f} s: a GPU or the driver hangs"
)


async def look_inside(engine: Engine, container: Container) -> LostGpus | None:
    """Whether a running container lost GPUs; None where it sees them all, or where nothing inside
    can tell (it has no `nvidia-smi`). One that hangs tells as well: it waits for a driver or a GPU
    that does not answer. Raises as `Engine.call` does."""
    if container.gpus is None:
        return None

    def ask(client: Any) -> tuple[int | None, str]:
        return run_in(client, container.id, _COMMAND, user="root")

    try:
        status, said = await engine.call(
            f"asking {container.name} for its GPUs", ask, timeout=CHECK_SECONDS
        )
    except ContainerError:
        return None  # it ended meanwhile, or cannot run a program
    except ProblemError as error:
        if error.problem.kind is not ErrorKind.TIMEOUT:
            raise
        await engine.call("looking whether it answers", lambda client: client.ping())
        given = len(container.gpus.ids) or container.gpus.count
        return LostGpus(None, given, _HANGS, f"Look at `nvidia-smi` on the node. {_RESTART}")
    systemd = (await engine.facts()).cgroup_driver == "systemd"
    return judge(container.gpus, status, said, systemd=systemd)


def judge(grant: GpuGrant, status: int | None, said: str, *, systemd: bool) -> LostGpus | None:
    """From what `nvidia-smi -L` said in the container and how it ended. `systemd` is whether the
    engine leaves cgroups to systemd."""
    given = len(grant.ids) or grant.count
    words = said.lower()
    if status == 0:
        seen = len(_GPU.findall(said))
        if given is None or seen >= given:
            return None
        cause = (
            f"it sees {seen} of the {given} GPUs it was given: one fell off the bus, or was reset"
        )
        return LostGpus(seen, given, cause, f"Look at `nvidia-smi` on the node. {_RESTART}")
    if "version mismatch" in words:
        cause = "the node's NVIDIA driver was updated while it ran: its libraries are the old ones"
        return LostGpus(0, given, cause, _RESTART)
    if "unknown error" in words or "insufficient permissions" in words:
        cause = "its rights to the GPU devices were taken away"
        hint = "keep them by giving the devices with --device, or by CDI"
        if systemd:
            cause += ", as `systemctl daemon-reload` on the node does"
            hint = (
                'keep it from happening with "exec-opts": ["native.cgroupdriver=cgroupfs"] in '
                "/etc/docker/daemon.json, or with CDI"
            )
        return LostGpus(0, given, cause, f"{_RESTART} Then {hint}.")
    if "no devices were found" in words or "driver is not loaded" in words:
        cause = "the NVIDIA driver on the node was unloaded, or its GPUs are gone"
        return LostGpus(0, given, cause, f"Look at `nvidia-smi` on the node. {_RESTART}")
    if "nvml" in words or "nvidia-smi has failed" in words or "nvidia driver" in words:
        cause = plain(" ".join(said.split()))[:200]
        return LostGpus(0, given, cause, f"Look at `nvidia-smi` on the node. {_RESTART}")
    return None  # there is no nvidia-smi in it, or it says something that is no news of GPUs
