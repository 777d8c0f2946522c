"""`gpuhop-tui ARGUMENTS` with a scripted fleet, as a process of its own: for pipes and signals."""

from __future__ import annotations

import sys
from typing import Any

from gpuhop_tui.cli import open as opening
from gpuhop_tui.cli.main import main
from gpuhop_tui.fleet.state import FleetState
from tests.unit.cli.doubles import ScriptedFleet
from tests.unit.cli.states import connecting, refused, up

FIRST = up()


def open_scripted(*_: object, **__: object) -> Any:
    async def open_fleet(prompter: object) -> ScriptedFleet:
        return ScriptedFleet(
            FleetState(nodes=(connecting(), connecting("gpu-02"))),
            FleetState(nodes=(FIRST, connecting("gpu-02"))),
            FleetState(nodes=(FIRST, refused("gpu-02"))),
            *(FleetState(nodes=(up(at=2e9 + n), refused("gpu-02"))) for n in range(300)),
        )

    return open_fleet


if __name__ == "__main__":
    opening.fleet_opener = open_scripted
    sys.exit(main(sys.argv[1:]))
