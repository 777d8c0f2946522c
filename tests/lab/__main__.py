"""Builds a world to try things in by hand, and keeps it until Ctrl+C: `python -m tests.lab`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from contextlib import ExitStack, closing, suppress

from tests.lab.docker import dockerd
from tests.lab.world import World, missing

TEMPLATE = {
    "name": "pytorch-ssh",
    "image": "pytorch-ssh:2.8",
    "gpus": "pick",
    "shm_size": "2gb",
    "ports": ["2222:22"],
    "ssh_port": 2222,
    "build": {"preset": "pytorch-ssh", "base": dockerd.BASE},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--bastions", type=int, default=1, metavar="N")
    parser.add_argument("--nodes", type=int, default=3, metavar="N")
    parser.add_argument("--gpus", type=int, metavar="N", help="stand-in GPUs a node")
    parser.add_argument("--docker", action="store_true", help="an engine on the first node")
    options = parser.parse_args()
    if reason := missing() or (options.docker and dockerd.missing()):
        print(reason, file=sys.stderr)
        return 1
    with ExitStack() as stack:
        world = stack.enter_context(World(options.bastions, options.nodes, gpus=options.gpus))
        if options.docker:
            stack.enter_context(closing(dockerd.Dockerd(world.nodes[0])))
            world.laptop.write_config(world.config(templates=[TEMPLATE]))
        print(_how_to_use(world), flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def _how_to_use(world: World) -> str:
    laptop = world.laptop
    environment = [f"{name}={value}" for name, value in laptop.environ().items()]
    prefix = shlex.join(laptop.argv(["env", "-i", *environment]))
    script = laptop.home / "bin" / "on-laptop"
    script.write_text(f'#!/bin/sh\nexec {prefix} TERM="$TERM" COLORTERM="$COLORTERM" "$@"\n')
    script.chmod(0o755)
    return "\n".join(
        [
            "The lab is up:",
            *(f"  {m.name:<12} {m.address:<14} via {m.spec.via or '-'}" for m in world.machines),
            "",
            f"config     {laptop.config_path}",
            f"files      {world.directory}",
            f"on-laptop  {script}",
            "",
            "Run anything on the laptop:",
            f"  {script} ssh {world.machines[-1].name}",
            f"  {script} gpuhop-tui",
            "",
            "Ctrl+C ends it, and leaves nothing behind.",
        ]
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
