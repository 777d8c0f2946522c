"""The keys in the dashboard: from no agent at all to a node that is up."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab import keys
from tests.lab.dashboard import dashboard
from tests.lab.world import World


def test_from_no_agent_to_a_node_that_is_up(make_world: Callable[..., World]) -> None:
    world = make_world(1, 1)
    laptop = world.laptop
    laptop.agent.stop()
    laptop.agent.socket.unlink(missing_ok=True)
    for path in (laptop.key.path, laptop.key.public_path):
        path.unlink()
    locked = keys.generate(laptop.key.path, passphrase="open sesame", comment="mira")
    for machine in world.machines:
        machine.authorize(locked.public)
    with dashboard(world, 120, 40) as terminal:
        terminal.shows("Passphrase", "id_ed25519", "not added to the agent")
        terminal.press("Escape")
        terminal.shows("bastion", "denied|not given")
        terminal.press("K")
        terminal.shows("AGENT", "does not answer", "s starts one", "~/.ssh/id_ed25519")
        terminal.press("s")
        terminal.shows("While gpuhop runs", "Keep it")
        terminal.press("Enter")
        terminal.shows("started by gpuhop: it ends with gpuhop", "It holds no keys")
        terminal.press("a")
        terminal.shows("Add id_ed25519 to the agent", "passphrase", "8h")
        terminal.press("-l", "open sesame")
        terminal.press("C-s")
        terminal.shows("in the agent, with a passphrase", "for another (8 h|7 h 59 min)")
        terminal.press("Escape")
        terminal.shows("agent: 1 key", "gpu-01", "1/1 nodes|1 node")
