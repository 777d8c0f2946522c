"""The plan: every bastion and node of a config with its resolved route, or why it has none."""

from __future__ import annotations

from dataclasses import dataclass

from gpuhop_tui.config.hops import Route
from gpuhop_tui.problem import Problem


@dataclass(frozen=True, slots=True)
class PlannedBastion:
    """A bastion of the config, or one that an alias's ProxyJump brought in."""

    name: str
    route: Route | Problem  # a Problem where it could not be resolved


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node and the way to it."""

    name: str
    route: Route | Problem
    tags: tuple[str, ...] = ()
    docker_socket: str = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be connected, in the order of the config file."""

    bastions: tuple[PlannedBastion, ...] = ()
    nodes: tuple[PlannedNode, ...] = ()
