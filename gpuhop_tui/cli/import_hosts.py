"""`gpuhop-tui import`: hosts of `~/.ssh/config` as a config, printed or added to it."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import (
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    EXIT_TERMINATED,
    CommandError,
)
from gpuhop_tui.cli.open import find, load
from gpuhop_tui.cli.signals import until_signal
from gpuhop_tui.cli.text import clean

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import Config
    from gpuhop_tui.config.ssh_import import Imported


def run_import(options: argparse.Namespace) -> int:
    """Run the command and return its exit status. Raises `CommandError`."""
    if options.demo:
        raise CommandError("the demo has a fleet of its own: import is for your own config")
    from gpuhop_tui.config.schema import Config

    path = find(options.config)
    existing = load(path) if path.exists() else Config()
    status = asyncio.run(until_signal(_run(path, existing, options)))
    if isinstance(status, signal.Signals):
        return EXIT_INTERRUPTED if status is signal.SIGINT else EXIT_TERMINATED
    return status


async def _run(path: Path, existing: Config, options: argparse.Namespace) -> int:
    from gpuhop_tui.config.discover import ssh_config_hosts
    from gpuhop_tui.config.ssh_import import import_hosts
    from gpuhop_tui.config.ssh_install import entries_file
    from gpuhop_tui.config.ssh_options import home_folder

    ssh_directory = home_folder() / ".ssh"
    found = ssh_config_hosts(ssh_directory / "config", without=[entries_file(ssh_directory)])
    imported = await import_hosts(_chosen(options.hosts, found), existing)
    for name, why in imported.left_out:
        print(f"gpuhop-tui: left out {clean(name)}: {clean(why)}", file=sys.stderr)
    if options.write:
        _write(path, imported)
    else:
        import tomli_w

        sys.stdout.write(tomli_w.dumps(imported.tables()))
        if not imported.names:
            print("gpuhop-tui: ~/.ssh/config has no host to add", file=sys.stderr)
    return 0


def _chosen(wanted: Sequence[str], found: Sequence[str]) -> list[str]:
    """All hosts, or those that were named. Raises `CommandError` for one that is not there."""
    unknown = [name for name in wanted if name not in found]
    if not unknown:
        return [name for name in found if name in wanted] if wanted else list(found)
    near = (difflib.get_close_matches(name, found, n=1, cutoff=0.5) for name in unknown)
    raise CommandError(
        [
            f"~/.ssh/config has no host {name!r}" + (f": did you mean {hit[0]!r}?" if hit else "")
            for name, hit in zip(unknown, near, strict=True)
        ]
    )


def _write(path: Path, imported: Imported) -> None:
    from gpuhop_tui.config.errors import ConfigError
    from gpuhop_tui.config.save import update_config

    if not imported.names:
        print(f"nothing to add: {path} is as it was")
        return
    try:
        update_config(path, imported.add_to)
    except ConfigError as error:
        lines = [str(finding) for finding in error.findings]
        raise CommandError(lines, EXIT_SOME_FAILED) from None
    for table in imported.bastions:
        print(f"added the bastion {clean(table['name'])}")
    for table in imported.nodes:
        print(f"added the node {clean(table['name'])}")
    print(f"to {path}")
