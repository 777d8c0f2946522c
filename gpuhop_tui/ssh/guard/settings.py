"""The guard's settings, from the config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.ssh.guard.guard import GuardSettings
from gpuhop_tui.ssh.guard.policy import Decision, Policy, Rule

if TYPE_CHECKING:
    from gpuhop_tui.config.plan import Plan
    from gpuhop_tui.config.schema import Config


def policy_of(config: Config) -> Policy:
    """Rules in the order of the file; then `guard` of a node or bastion; then the default."""
    guard = config.agent.guard
    rules = tuple(
        Rule(
            Decision(rule.decision),
            rule.destination,
            rule.user,
            rule.key,
            rule.purpose,
            rule.node,
        )
        for rule in guard.rules
    )
    servers = (*config.bastions, *config.nodes)
    nodes = tuple((each.name, Decision(each.guard)) for each in servers if each.guard is not None)
    return Policy(Decision(guard.default), rules, nodes)


def guard_settings(config: Config, plan: Plan) -> GuardSettings:
    """`plan`: of the same config, for the names of its servers."""
    routes = [node.route for node in plan.nodes] + [bastion.route for bastion in plan.bastions]
    hops: dict[Hop, None] = {}
    for route in routes:
        if isinstance(route, Route):
            hops |= dict.fromkeys(route.hops)
    return GuardSettings(
        policy_of(config),
        tuple(hops),
        frozenset(bastion.name for bastion in plan.bastions),
        config.agent.guard.signatures_per_minute,
    )
