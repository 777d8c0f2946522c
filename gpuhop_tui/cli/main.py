"""`gpuhop-tui`: the command line, and the one place where its exit statuses are decided."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gpuhop_tui import __version__
from gpuhop_tui.cli.failure import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_PIPE,
    EXIT_USAGE,
    CommandError,
    discard_stdout,
)
from gpuhop_tui.cli.log import LEVELS, start_log

PROGRAM = "gpuhop-tui"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. No exception and no traceback comes out."""
    log_file: Path | None = None
    try:
        options = command_line().parse_args(argv)
        log_file = options.log_file
        start_log(log_file, options.log_level)
        status = _run(options)
        sys.stdout.flush()
        return status
    except SystemExit as stop:  # argparse has said why
        return _flushed(stop.code if isinstance(stop.code, int) else EXIT_USAGE)
    except CommandError as error:
        _complain(*error.lines)
        return error.status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        discard_stdout()
        return EXIT_PIPE
    except Exception as error:
        logging.getLogger(__name__).exception("unexpected")
        _complain(_unexpected(error, log_file))
        return EXIT_INTERNAL


def command_line() -> argparse.ArgumentParser:
    """The parser. The common options may stand before the command or after it."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The GPUs of servers behind SSH bastions, on one screen.",
        epilog="Without a command, the dashboard opens.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    _add_common(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    status = commands.add_parser(
        "status",
        help="one sample of every node, as a table or as JSON",
        description="One sample of every node. Exits 0 when all answered, 1 when some did not, "
        "2 when the command line or the config is wrong.",
    )
    _add_common(status, again=True)
    status.add_argument("nodes", nargs="*", metavar="NODE", help="only these (default: all)")
    status.add_argument("--json", action="store_true", help="print JSON instead of a table")
    status.add_argument(
        "--follow", action="store_true", help="print one line of JSON a sample, until stopped"
    )
    _add_timeout(status)

    sessions = commands.add_parser(
        "sessions",
        help="the tmux sessions of every node, as a table or as JSON",
        description="The tmux sessions of every node, on whatever socket. Exits as status does.",
    )
    _add_common(sessions, again=True)
    sessions.add_argument("nodes", nargs="*", metavar="NODE", help="only these (default: all)")
    sessions.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _add_timeout(sessions)

    containers = commands.add_parser(
        "containers",
        help="the containers of every node, as a table or as JSON",
        description="The containers of every node's Docker engine. Exits as status does.",
    )
    _add_common(containers, again=True)
    containers.add_argument("nodes", nargs="*", metavar="NODE", help="only these (default: all)")
    containers.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _add_timeout(containers)

    run = commands.add_parser(
        "run",
        help="start a container from a template of the config",
        description="Starts a container from a template of the config; its image is built or "
        "pulled where the node lacks it. Exits 0 when it runs, 1 when it does not, 2 when the "
        "command line or the config is wrong.",
    )
    _add_common(run, again=True)
    run.add_argument("template", metavar="TEMPLATE")
    run.add_argument("node", metavar="NODE")
    run.add_argument("--name", metavar="N", help="the container's name (default: the template's)")
    run.add_argument(
        "--gpus",
        metavar="G",
        help="all, none, a count, or indexes or UUIDs with commas (a single index: 0,)",
    )
    _add_timeout(run)

    keys = commands.add_parser(
        "keys",
        help="the agent's keys and your key files; start an agent, add a key",
        description="What the SSH agent holds, the key files of ~/.ssh, and what is not well "
        "with them. Exits 1 where no agent answers, or what was asked for was not done.",
    )
    _add_common(keys, again=True)
    keys.add_argument("--json", action="store_true", help="print JSON instead of text")
    keys.add_argument(
        "--start-agent",
        action="store_true",
        help="start an agent that is kept, and print what makes a shell use it: "
        'eval "$(gpuhop-tui keys --start-agent)"',
    )
    keys.add_argument(
        "--add",
        nargs="?",
        const="",
        metavar="FILE",
        help="add a key file to the agent (default: the first of ~/.ssh that it lacks)",
    )
    keys.add_argument(
        "--lifetime", metavar="T", help="how long it is held: 8h (default: agent.key_lifetime)"
    )
    keys.add_argument(
        "--confirm", action="store_true", help="have the agent ask before each use, by ssh-askpass"
    )

    hop = commands.add_parser(
        "hop",
        help="a shell on a node that is still there after a disconnect",
        usage=f"{PROGRAM} hop [options] [NODE[/CONTAINER]] [--session NAME] [-- CMD ...]",
        description="A shell on a node, or in a container of it, in a tmux session that outlives "
        "the link; ctrl+] opens its menu. With a command, exits as the command did; 255 without a "
        "connection. Without a node, goes back to what was open when the program was killed.",
    )
    _add_common(hop, again=True)
    hop.add_argument(
        "node", nargs="?", metavar="NODE[/CONTAINER]", help="a container by its name, or its id"
    )
    hop.add_argument(
        "--session",
        metavar="NAME",
        help="the node's tmux session (default: gpuhop, or one named for the container)",
    )
    hop.add_argument("--user", metavar="U", help="the user in the container (default: its own)")
    hop.add_argument("--directory", metavar="D", help="where in the container to begin")
    hop.add_argument("--ssh", action="store_true", help="enter the container by its own SSH server")
    hop.add_argument("command_words", nargs="*", metavar="CMD", help="run this and not a shell")

    doctor = commands.add_parser(
        "doctor",
        help="what is not well between here and the GPUs, and how to mend it",
        description="Checks config, permissions, agent, keys and terminal here, and on each hop "
        "the login, forwarding, Python, driver, Docker, tmux, clock and disk. Exits 0 when all is "
        "well, 1 when something is to be mended, 2 when the command line or the config is wrong.",
    )
    _add_common(doctor, again=True)
    doctor.add_argument("nodes", nargs="*", metavar="NODE", help="only these (default: all)")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of a report")
    _add_timeout(doctor)

    ssh_config = commands.add_parser(
        "ssh-config",
        help="the fleet as entries for OpenSSH",
        description="Prints entries of ssh_config for bastions, nodes and the containers of "
        "templates with an `ssh_port`, so that ssh, scp, rsync, git and editors reach them too. "
        "Connects to nothing, but for --containers.",
    )
    _add_common(ssh_config, again=True)
    ssh_config.add_argument(
        "--install",
        action="store_true",
        help="write them to ~/.ssh/gpuhop-tui.conf and include that in ~/.ssh/config",
    )
    ssh_config.add_argument(
        "--containers",
        action="store_true",
        help="ask the nodes for the containers with an sshd that run now, too",
    )
    _add_timeout(ssh_config)

    imports = commands.add_parser(
        "import",
        help="hosts of ~/.ssh/config as a config",
        description="Prints the hosts of ~/.ssh/config as bastions and nodes of a config, without "
        "those that the config has. Connects to nothing.",
    )
    _add_common(imports, again=True)
    imports.add_argument("hosts", nargs="*", metavar="HOST", help="only these (default: all)")
    imports.add_argument("--write", action="store_true", help="add them to the config")
    history = commands.add_parser(
        "history",
        help="what the dashboard has kept of the GPUs, as a table, CSV or JSON",
        description="Utilization, memory, power and temperature of the last 7 days, as far as the "
        "dashboard ran: mean and peak, in steps of 10 s for 2 hours, 60 s for a day, then 10 min. "
        "Connects to nothing. Exits 1 where nothing was kept.",
    )
    _add_common(history, again=True)
    history.add_argument("nodes", nargs="*", metavar="NODE", help="only these (default: all)")
    history.add_argument(
        "--gpu", type=int, action="append", metavar="N", help="only this one; may be repeated"
    )
    history.add_argument(
        "--since",
        default="24h",
        metavar="TIME",
        help="from when on: 30m, 2h, 7d ago, or a date and time (default: 24h)",
    )
    history.add_argument("--until", metavar="TIME", help="until when, likewise (default: now)")
    form = history.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV, a line a GPU and step")
    form.add_argument("--json", action="store_true", help="print JSON, gaps included")

    audit = commands.add_parser(
        "audit",
        help="what a lent agent was asked for, and what became of it",
        description="The log of signatures that hosts have asked a lent agent for, oldest first.",
    )
    _add_common(audit, again=True)
    audit.add_argument("--json", action="store_true", help="print one line of JSON a decision")
    audit.add_argument("--follow", action="store_true", help="go on with what comes, until stopped")
    audit.add_argument(
        "--since", metavar="TIME", help="only what came after: 30m, 2h, 7d, or a date and time"
    )
    return parser


def _add_common(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Options of every command; where they are offered `again` they override only if given."""

    def default(value: object) -> object:
        return argparse.SUPPRESS if again else value

    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        default=default(None),
        help="the config file (default: $GPUHOP_CONFIG, else the user's config directory)",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        default=default(False),
        help="an embedded fleet with simulated GPUs; touches nothing of yours",
    )
    parser.add_argument(
        "--demo-shells",
        action="store_true",
        default=default(False),
        help="the same, but a hop into a node is a real shell of yours on this machine, in a tmux "
        "that ends with the demo",
    )
    parser.add_argument(
        "--log-file", type=Path, metavar="PATH", default=default(None), help="log to this file"
    )
    parser.add_argument(
        "--log-level", choices=LEVELS, default=default("info"), help="how much (default: info)"
    )


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=15.0,
        metavar="S",
        help="seconds after which a silent node is given up (default: 15)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _run(options: argparse.Namespace) -> int:
    options.demo = options.demo or options.demo_shells
    if options.demo and options.config is not None:
        raise CommandError("--demo has a fleet of its own: leave --config out")
    if options.command == "status":
        from gpuhop_tui.cli.status import run_status

        return run_status(options)
    if options.command == "sessions":
        from gpuhop_tui.cli.sessions import run_sessions

        return run_sessions(options)
    if options.command == "containers":
        from gpuhop_tui.cli.containers import run_containers

        return run_containers(options)
    if options.command == "run":
        from gpuhop_tui.cli.run import run_run

        return run_run(options)
    if options.command == "keys":
        from gpuhop_tui.cli.keys import run_keys

        return run_keys(options)
    if options.command == "hop":
        from gpuhop_tui.cli.hop import run_hop_command

        return run_hop_command(options)
    if options.command == "doctor":
        from gpuhop_tui.cli.doctor import run_doctor

        return run_doctor(options)
    if options.command == "ssh-config":
        from gpuhop_tui.cli.ssh_config import run_ssh_config

        return run_ssh_config(options)
    if options.command == "import":
        from gpuhop_tui.cli.import_hosts import run_import

        return run_import(options)
    if options.command == "history":
        from gpuhop_tui.cli.history import run_history

        return run_history(options)
    if options.command == "audit":
        from gpuhop_tui.cli.audit import run_audit

        return run_audit(options)
    from gpuhop_tui.cli.dashboard import run_dashboard

    return run_dashboard(options)


def _flushed(status: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
    return status


def _unexpected(error: Exception, log_file: Path | None) -> str:
    what = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
    where = (
        f"details are in {log_file}" if log_file else "run again with --log-file PATH for details"
    )
    return f"{what} ({where})"


def _complain(*lines: str) -> None:
    try:
        for line in lines:
            print(f"{PROGRAM}: {line}", file=sys.stderr)
    except OSError:
        pass  # nobody reads stderr: the exit status has to do
