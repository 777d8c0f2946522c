"""What opening the fleet can come to: the contract between the app and whoever starts it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import AlertsConfig, TemplateConfig
    from gpuhop_tui.fleet.state import FleetSource
    from gpuhop_tui.sessions.hop_memory import OpenHop
    from gpuhop_tui.ssh.prompts import Prompter


@dataclass(frozen=True, slots=True)
class FirstRun:
    """There is no config file yet. Nothing was connected.

    `write_starter(hosts)` writes a config with those aliases of ~/.ssh/config (none of them: a
    commented example) to `config_path`; it may raise OSError. The fleet is then opened again.
    """

    config_path: Path
    ssh_hosts: tuple[str, ...]
    write_starter: Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """A fleet, with what its config says about the screen. The app starts and stops the source."""

    source: FleetSource
    theme: str | None = None  # ui.theme
    keymap: Mapping[str, str] = field(default_factory=dict)  # ui.keymap
    open_hops: Sequence[OpenHop] = ()  # of programs that were killed, the latest first
    templates: Sequence[TemplateConfig] = ()  # [[templates]]
    alerts: AlertsConfig | None = None  # [alerts]; None: the defaults
    config_path: Path | None = None  # where a template can be saved; None: nowhere


OpenFleet: TypeAlias = "Callable[[Prompter], Awaitable[FleetSource | Opened | FirstRun]]"
"""Reads the config and builds the fleet, without starting it.

It is awaited after the first paint: slow imports belong inside. What it raises is shown in full as
`str(error)`, without a traceback, with the way out.
"""
