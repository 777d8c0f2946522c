"""Machines of the demo, by name, for tests."""

from __future__ import annotations

from pathlib import Path

from gpuhop_tui.demo.machine import Machine
from gpuhop_tui.demo.scenario import BASTIONS

NODES = {node.name: node for bastion in BASTIONS for node in bastion.nodes}


def machine(name: str, home: Path) -> Machine:
    """A new one; `home` is a directory of its own."""
    home.mkdir(exist_ok=True)
    return Machine(NODES[name], home)
