"""From the config to the plan: every entry becomes a route of fully resolved hops."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gpuhop_tui.config.plan import Plan
from gpuhop_tui.config.schema import Config


async def plan_fleet(config: Config, environ: Mapping[str, str] = os.environ) -> Plan:
    """The route of every bastion and node; one that has none holds a Problem instead."""
    return Plan()
