"""Forty nodes behind one bastion, beside `xargs -P 8 ssh` with ControlMaster through the same.

All machines run on this one, so both sides pay for the nodes' work too: logins and interpreters.
"""

from __future__ import annotations

import asyncio
import shlex
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.rows import Row
from tests.lab.driving import (
    all_live,
    fleet_of,
    fleet_reached,
    gpu_nodes,
    logins,
    network_of,
    plan_of,
    simulate,
    status,
    up,
)
from tests.lab.world import World

NODES = 40
ROUNDS = 3
LIMIT = 0.25
ONE_DEAD_LIMIT = 1.2

# One sample by hand, for the peer: a Python that reads as much as a probe must.
SAMPLE = "python3 -I -c \"import ctypes, json; print(open('/opt/lab/gpus.json').read())\""


def measure() -> Iterator[Row]:
    with World(nodes=gpu_nodes(NODES)) as world:
        simulate(*world.nodes)
        config = _peer_config(world)
        connect, connect_peer, live, sample, sample_peer = [], [], [], [], []
        for _ in range(ROUNDS):
            connect.append(asyncio.run(_connect(world)))
            connect_peer.append(_xargs(world, config, "true"))
            live.append(asyncio.run(_live(world)))
            sample.append(_status(world, 0))
            sample_peer.append(_xargs(world, config, SAMPLE))
        refused = _refusals(world)
        world.nodes[NODES // 2].sshd.stop()
        one_dead = [_status(world, 1) for _ in range(ROUNDS)]
    yield _row(f"{NODES} nodes connected, in a running program", connect, connect_peer, LIMIT)
    yield _row(
        f"{NODES} nodes connected and sampled, in a running program", live, sample_peer, LIMIT
    )
    yield _row(f"{NODES} nodes connected and sampled, `status --json`", sample, sample_peer, LIMIT)
    yield Row("logins refused meanwhile", str(refused), "", refused, 0, "logins")
    yield _row(f"one dead node among {NODES}, `status --json`", one_dead, sample, ONE_DEAD_LIMIT)


def _row(what: str, ours: list[float], peer: list[float], limit: float) -> Row:
    mine, other = statistics.median(ours), statistics.median(peer)
    return Row(what, f"{mine:.2f} s", f"{other:.2f} s", mine / other, limit)


async def _connect(world: World) -> float:
    async with network_of(world.laptop) as network:
        plan = await plan_of(world.laptop)
        started = time.perf_counter()
        links = [network.link(node.route) for node in plan.nodes]  # type: ignore[arg-type]
        await asyncio.gather(*(up(link, seconds=60) for link in links))
        return time.perf_counter() - started


async def _live(world: World) -> float:
    started = time.perf_counter()
    async with fleet_of(world.laptop) as fleet:
        await fleet_reached(fleet, all_live, "live", seconds=60)
        return time.perf_counter() - started


def _status(world: World, expected: int) -> float:
    started = time.perf_counter()
    code, _ = status(world.laptop)
    seconds = time.perf_counter() - started
    assert code == expected, code
    return seconds


def _peer_config(world: World) -> Path:
    """What a careful user would write, in a file of its own."""
    laptop = world.laptop
    path = laptop.home / "peer_config"
    path.write_text(
        f"{world.ssh_config()}\n"
        f"Host {world.bastion.name}\n"
        f"  ControlMaster auto\n  ControlPath {laptop.home}/m-%C\n  ControlPersist 60\n"
        f"Host *\n"
        f"  BatchMode yes\n"
        f"  IdentityFile {laptop.key.path}\n"
        f"  UserKnownHostsFile {laptop.known_hosts}\n"
    )
    return path


def _xargs(world: World, config: Path, command: str) -> float:
    ssh = ["/usr/bin/ssh", "-F", str(config)]
    names = " ".join(node.name for node in world.nodes)
    each = shlex.join([*ssh, "{}", command])
    started = time.perf_counter()
    world.laptop.run(
        ["sh", "-c", f"printf '%s\\n' {names} | xargs -P 8 -I{{}} {each} >/dev/null"], timeout=120
    )
    seconds = time.perf_counter() - started
    world.laptop.run([*ssh, "-O", "exit", world.bastion.name], check=False)
    return seconds


def _refusals(world: World) -> int:
    log = world.bastion.sshd.log()
    assert logins(world.bastion.sshd) > 0
    return log.count("MaxStartups") + log.count("no more sessions")
