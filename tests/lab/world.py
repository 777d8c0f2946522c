"""A world: a laptop, bastions and nodes, each a machine of its own, wired as a fleet is.

    laptop ── outer segment ── bastion ── its segment ── gpu-01, gpu-02, gpu-03

A node stands in its bastion's segment only, and nothing forwards packets: SSH through the bastion
is the one way. Any number of worlds can be up at once; each ends by its own reaper.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab.laptop import Laptop
from tests.lab.machine import Machine, Spec
from tests.lab.namespace import Namespace
from tests.lab.network import Interface, Switch, address
from tests.lab.reaper import Reaper
from tests.lab.relay import Relay

_LAPTOP, _BASTION_INSIDE, _FIRST = 2, 1, 10  # places in a segment


class World:
    """Built by its constructor, ended by `close` or the end of a `with` block.

    bastions, nodes: how many, or what they are to be. A node of a number stands behind the first
    bastion (directly beside the laptop where there is none), and has that many `gpus` (None: no
    driver at all).
    """

    def __init__(
        self,
        bastions: int | Sequence[Spec] = 1,
        nodes: int | Sequence[Spec] = 3,
        gpus: int | None = None,
    ) -> None:
        outer = _bastions(bastions)
        inner = _nodes(nodes, outer, gpus)
        # Short, because paths of sockets are.
        self.directory = Path(tempfile.mkdtemp(prefix="ghl-", dir="/tmp"))
        self._reaper = Reaper(self.directory)
        self._started: list[Namespace] = []
        self._relays: list[Relay] = []
        self._closed = False
        try:
            self._build(outer, inner)
        except BaseException:
            self.close()
            raise

    def _build(self, outer: list[Spec], inner: list[Spec]) -> None:
        self._switch = Switch()
        self._start(self._switch)
        card = Interface("eth0", 0, address(0, _LAPTOP))
        self.laptop = Laptop(card, self.directory / "laptop")
        self._start(self.laptop)
        self._segments = {spec.name: k for k, spec in enumerate(outer, start=1)}
        self._places = dict.fromkeys(range(len(outer) + 1), _FIRST)
        self.bastions = [self._machine(spec) for spec in outer]
        self.nodes = [self._machine(spec) for spec in inner]

        for namespace in self._started:
            namespace.ready()
            self._reaper.watch(namespace.pid)
        self._switch.plug([self.laptop, *self.machines])
        for machine in self.machines:
            machine.sshd.launch()
        self.laptop.agent.start()
        self.laptop.agent.add(self.laptop.key)
        self.laptop.write_ssh_config(self.ssh_config())
        self.laptop.trust(machine.sshd for machine in self.machines)
        self.laptop.write_config(self.config())
        for machine in self.machines:
            machine.sshd.ready()

    def _machine(self, spec: Spec) -> Machine:
        segment = self._segments[spec.via] if spec.via else 0
        cards = [Interface("eth0", segment, address(segment, self._places[segment]))]
        self._places[segment] += 1
        if spec.name in self._segments:
            own = self._segments[spec.name]
            cards.append(Interface("eth1", own, address(own, _BASTION_INSIDE)))
        machine = Machine(spec, cards, self.directory / spec.name)
        machine.authorize(self.laptop.key.public)
        self._start(machine)
        return machine

    def _start(self, namespace: Namespace) -> None:
        self._started.append(namespace)
        namespace.start()

    # Who is there

    @property
    def machines(self) -> list[Machine]:
        return [*self.bastions, *self.nodes]

    @property
    def bastion(self) -> Machine:
        """The first bastion."""
        return self.bastions[0]

    def __getitem__(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    # What can be done to it

    def boot(self, machine: Machine) -> None:
        """Start a machine again after its `power_off`, with all its sshds."""
        machine.start()
        machine.ready()
        self._reaper.watch(machine.pid)
        self._switch.plug([machine])
        for sshd in machine.sshds:
            sshd.start()

    def relay(self, machine: Machine, *, seed: int = 0) -> Relay:
        """A bad line from the laptop's loopback to this machine's sshd (a bastion's, mostly)."""
        relay = Relay(self.laptop, machine.address, machine.sshd.port, seed=seed)
        self._relays.append(relay)
        return relay

    # Configs

    def config(self, **extra: Any) -> dict[str, Any]:
        """gpuhop-tui's config for this world, as TOML's tables; `extra` replaces whole tables."""
        return {
            "ui": {"sample_interval": 1.0},
            "bastions": [_entry(machine) for machine in self.bastions],
            "nodes": [_entry(machine) for machine in self.nodes],
            **extra,
        }

    def ssh_config(self) -> str:
        """The same for OpenSSH: every machine is an alias by its name."""
        return "\n".join(_alias(machine) for machine in self.machines)

    # The end

    def close(self) -> None:
        """End all that runs and remove all files. Raises RuntimeError where something is left."""
        if self._closed:
            return
        self._closed = True
        for relay in self._relays:
            relay.close()
        try:
            self._reaper.end()
        finally:
            for namespace in self._started:
                namespace.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _bastions(wanted: int | Sequence[Spec]) -> list[Spec]:
    if not isinstance(wanted, int):
        return list(wanted)
    names = ["bastion"] if wanted == 1 else [f"bastion-{k}" for k in range(1, wanted + 1)]
    return [Spec(name) for name in names]


def _nodes(wanted: int | Sequence[Spec], bastions: list[Spec], gpus: int | None) -> list[Spec]:
    if not isinstance(wanted, int):
        return list(wanted)
    via = bastions[0].name if bastions else None
    return [Spec(f"gpu-{k:02}", via=via, gpus=gpus) for k in range(1, wanted + 1)]


def _entry(machine: Machine) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": machine.name,
        "host": machine.address,
        "port": machine.sshd.port,
        "user": machine.user,
    }
    if machine.spec.via:
        entry["via"] = [machine.spec.via]
    return entry


def _alias(machine: Machine) -> str:
    lines = [
        f"Host {machine.name}",
        f"    HostName {machine.address}",
        f"    Port {machine.sshd.port}",
        f"    User {machine.user}",
    ]
    if machine.spec.via:
        lines.append(f"    ProxyJump {machine.spec.via}")
    return "\n".join([*lines, ""])


def missing() -> str | None:
    """Why no world can be built here, in a sentence; None where it can."""
    if os.geteuid() != 0:
        return "the lab needs root, for network namespaces"
    programs = ("ip", "iptables", "nsenter", "unshare", "ssh", "ssh-agent", "ssh-keygen", "perl")
    absent = [name for name in programs if shutil.which(name) is None]
    if not Path("/usr/sbin/sshd").exists():
        absent.append("sshd")
    if absent:
        return f"the lab needs {', '.join(absent)}; tests/run installs them"
    return None
