"""Segments of network, the switch that holds them, and what can go wrong on a host's link."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from tests.lab.namespace import Namespace

_BITS = 24  # the length of every segment's prefix


@dataclass
class Interface:
    """One network card of a host."""

    device: str
    segment: int  # 0: the laptop's side; k: behind the k-th bastion
    address: str

    def __post_init__(self) -> None:
        # A card keeps its MAC when its host boots again or changes its address.
        self.mac = "02:00:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))


class Host(Namespace):
    """A namespace with cards in segments. No host forwards packets: SSH is the only way on."""

    def __init__(self, name: str, interfaces: Iterable[Interface]) -> None:
        super().__init__(name)
        self.interfaces = list(interfaces)

    @property
    def address(self) -> str:
        """The address of the first card: the one that others reach this host at."""
        return self.interfaces[0].address

    def _setup(self) -> str:
        return "ip link set lo up\necho 0 > /proc/sys/net/ipv4/ip_forward"

    def cut(self, peer: Host | None = None) -> None:
        """Lose every packet from and to `peer`, or everyone, as a dead cable far away does."""
        source, target = (f"-s {peer.address}", f"-d {peer.address}") if peer else ("", "")
        rules = [f"INPUT ! -i lo {source} -j DROP", f"OUTPUT ! -o lo {target} -j DROP"]
        self._outside(["sh", "-ec", "\n".join(f"iptables -w -A {rule}" for rule in rules)])

    def heal(self) -> None:
        """Undo every `cut` of this host."""
        self._outside(["iptables", "-w", "-F"])

    def link_down(self) -> None:
        """Take the first card down, as when Wi-Fi goes: the host itself knows at once."""
        self._ip(f"link set {self.interfaces[0].device} down")

    def link_up(self) -> None:
        """Bring the first card up again, with its address."""
        self._ip(f"link set {self.interfaces[0].device} up")

    def readdress(self, address: str) -> None:
        """Change the first card's address within its segment: old connections go dead."""
        card = self.interfaces[0]
        self._ip(
            f"addr del {card.address}/{_BITS} dev {card.device}",
            f"addr add {address}/{_BITS} dev {card.device}",
        )
        card.address = address

    def unplug(self) -> None:
        """Take every card out: nobody is told."""
        self._ip(*(f"link del {card.device}" for card in self.interfaces))

    def configure(self) -> None:
        """Give the plugged cards their addresses and bring them up."""
        lines = []
        for card in self.interfaces:
            lines.append(f"addr add {card.address}/{_BITS} dev {card.device}")
            lines.append(f"link set {card.device} up")
        self._ip(*lines)

    def _ip(self, *lines: str) -> None:
        self._outside(["ip", "-batch", "-"], "\n".join(lines))

    def _outside(self, command: list[str], text: str = "") -> None:
        """Run a tool of this machine on the host's network: its own files do not matter."""
        _run(["nsenter", "-t", str(self.pid), "-n", "--", *command], text)


class Switch(Namespace):
    """Holds one bridge a segment, without addresses: segments never see one another."""

    def __init__(self) -> None:
        super().__init__("switch")
        self._ports = 0
        self._segments: set[int] = set()

    def plug(self, hosts: Iterable[Host]) -> None:
        """Connect the cards of these hosts to their segments and configure them."""
        hosts = list(hosts)
        cables, ports = [], []
        for host in hosts:
            for card in host.interfaces:
                self._ports += 1
                port, bridge = f"port{self._ports}", f"segment{card.segment}"
                cables.append(
                    f"link add {port} netns {self.pid} type veth "
                    f"peer name {card.device} address {card.mac} netns {host.pid}"
                )
                if card.segment not in self._segments:
                    self._segments.add(card.segment)
                    ports += [f"link add {bridge} type bridge", f"link set {bridge} up"]
                ports += [f"link set {port} master {bridge}", f"link set {port} up"]
        _run(["ip", "-batch", "-"], "\n".join(cables))
        _run(self.argv(["ip", "-batch", "-"]), "\n".join(ports))
        for host in hosts:
            host.configure()


def address(segment: int, number: int) -> str:
    """The address of the number-th place in a segment."""
    return f"10.90.{segment}.{number}"


def _run(command: list[str], text: str) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{text}\n{done.stdout}{done.stderr}")
