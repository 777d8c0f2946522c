"""Where there is no config yet: what is offered, and the first config that is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gpuhop_tui.config.discover import ssh_config_hosts, starter_config
from gpuhop_tui.config.errors import ConfigError
from gpuhop_tui.config.save import write_new_config
from gpuhop_tui.tui.opening import FirstRun

EXAMPLE = """\
# gpuhop-tui: the bastions you go through, and the nodes behind them.
# Take away the "#" where a line applies. README.md has every key.

# [[bastions]]
# name = "jump-server"
# host = "jump.example.org"
# user = "developer"

# [[nodes]]
# name = "gpu-01"
# host = "10.0.0.50"
# user = "gpu-user"
# via = ["jump-server"]

# [[nodes]]
# name = "lab"
# ssh = "lab-alias"       # an alias of ~/.ssh/config, its ProxyJump included
"""


def first_run(path: Path) -> FirstRun:
    """The offer to write a config to `path` with hosts of ~/.ssh/config. Nothing is connected."""
    return FirstRun(path, tuple(ssh_config_hosts()), lambda hosts: write_starter(path, hosts))


def write_starter(path: Path, hosts: Sequence[str]) -> None:
    """Write the first config, 0600: the aliases as nodes, or a commented example where none is
    chosen. Raises OSError, also where there is a config already."""
    if hosts:
        try:
            write_new_config(path, starter_config(hosts))
        except ConfigError as error:
            raise OSError(str(error)) from None
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(EXAMPLE)
