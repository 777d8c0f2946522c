"""`gpuhop-tui ssh-config`: the fleet as entries for OpenSSH, printed or installed."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import (
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    EXIT_TERMINATED,
    CommandError,
)
from gpuhop_tui.cli.open import find, is_named, load, no_config_lines, warnings
from gpuhop_tui.cli.signals import until_signal
from gpuhop_tui.cli.text import clean

if TYPE_CHECKING:
    from gpuhop_tui.config.plan import Plan
    from gpuhop_tui.config.schema import Config
    from gpuhop_tui.config.ssh_export import Door, Export


def run_ssh_config(options: argparse.Namespace) -> int:
    """Run the command and return its exit status. Raises `CommandError`."""
    if options.demo:
        raise CommandError("the demo's servers end with the demo: ssh-config is for your own fleet")
    path = find(options.config)
    if not path.exists() and not is_named(options.config):
        raise CommandError(no_config_lines(path))
    config = load(path)
    for warning in warnings(path):
        print(f"gpuhop-tui: warning: {warning}", file=sys.stderr)
    status = asyncio.run(until_signal(_run(config, path, options)))
    if isinstance(status, signal.Signals):
        return EXIT_INTERRUPTED if status is signal.SIGINT else EXIT_TERMINATED
    return status


async def _run(config: Config, path: Path, options: argparse.Namespace) -> int:
    from gpuhop_tui.config.discover import ssh_config_hosts
    from gpuhop_tui.config.resolve import plan_fleet
    from gpuhop_tui.config.ssh_export import export, render, template_doors
    from gpuhop_tui.config.ssh_install import InstallError, entries_file, install
    from gpuhop_tui.config.ssh_options import home_folder
    from gpuhop_tui.ssh.relay import relay_command

    ssh_directory = home_folder() / ".ssh"
    plan = await plan_fleet(config)
    doors = template_doors(plan, config.templates)
    asked = True
    if options.containers:
        running, asked = await _running_doors(config, plan, options.timeout)
        known = {(door.node, door.container) for door in running}
        doors = [door for door in doors if (door.node, door.container) not in known] + running
    own = ssh_config_hosts(ssh_directory / "config", without=[entries_file(ssh_directory)])
    made = await export(plan, config, doors=doors, taken=own, relay=relay_command)
    text = render(made, path)
    if not options.install:
        sys.stdout.write(text)
        return 0 if asked else EXIT_SOME_FAILED
    try:
        done = install(text, ssh_directory)
    except InstallError as error:
        raise CommandError(str(error), EXIT_SOME_FAILED) from None
    _tell(made, done.changes or (f"{done.file} is as it should be",))
    return 0 if asked else EXIT_SOME_FAILED


def _tell(made: Export, changes: tuple[str, ...]) -> None:
    for change in changes:
        print(change)
    print(f"{len(made.entries)} entries: {', '.join(entry.host for entry in made.entries)}")
    for name, why in made.left_out:
        print(f"no entry for {clean(name)}: {clean(why)}")


async def _running_doors(config: Config, plan: Plan, timeout: float) -> tuple[list[Door], bool]:
    """The sshds of containers that run now, and whether every engine answered."""
    from gpuhop_tui.cli.answers import wait_for_answers
    from gpuhop_tui.cli.containers import is_listed
    from gpuhop_tui.cli.progress import Progress
    from gpuhop_tui.cli.prompts import TerminalPrompter
    from gpuhop_tui.fleet.containers_report import containers_problem
    from gpuhop_tui.fleet.doors import container_doors
    from gpuhop_tui.fleet.fleet import Fleet
    from gpuhop_tui.fleet.state import FleetState
    from gpuhop_tui.ssh.prompts import NoPrompter

    prompter = TerminalPrompter() if sys.stdin.isatty() and sys.stderr.isatty() else None
    socket = config.agent.socket
    fleet = Fleet(
        plan,
        prompter=prompter or NoPrompter(),
        agent_socket=str(socket) if socket else os.environ.get("SSH_AUTH_SOCK"),
        key_lifetime=config.agent.key_lifetime,
        retry=False,
    )
    try:
        fleet.watch_containers(True)
        await fleet.start()
        with Progress(sys.stderr) as progress:

            def show(state: FleetState) -> None:
                if prompter is None or not prompter.asking:
                    progress.show(sum(map(is_listed, state.nodes)), len(state.nodes))

            human_seconds = prompter.human_seconds if prompter else lambda: 0.0
            await wait_for_answers(fleet, timeout, human_seconds, show, is_listed)
        state = fleet.state
    finally:
        await fleet.stop()
    asked = True
    for node in state.nodes:
        problem = containers_problem(node)
        if node.containers is None:
            asked = False
            why = problem.message if problem else f"no answer within {timeout:g} s"
            print(f"gpuhop-tui: containers of {node.name}: {clean(why)}", file=sys.stderr)
    return [door for node in state.nodes for door in container_doors(node)], asked
