"""This machine: the config, and who else may read or change what logins depend on.

Everything here waits for the disk: it is to be run in a thread.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpuhop_tui.config.errors import ConfigError
from gpuhop_tui.config.hops import Hop
from gpuhop_tui.config.load import load_config
from gpuhop_tui.config.ssh_options import LocalUser, home_folder
from gpuhop_tui.fleet.doctor.finding import (
    LAPTOP,
    Finding,
    counted,
    ok,
    problem,
    unchecked,
    warning,
)

_READ = stat.S_IRGRP | stat.S_IROTH
_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check_laptop(config: Path | None, hops: Iterable[Hop]) -> list[Finding]:
    """The config and the permissions of `config`, of ~/.ssh and of every file that a login to one
    of `hops` uses."""
    if config is None:
        reason = "the demo uses no file of yours"
        return [unchecked(check, LAPTOP, reason) for check in ("config", "permissions")]
    return [*_config(config), *_permissions(config, hops), *_home()]


def _config(path: Path) -> Iterator[Finding]:
    try:
        loaded = load_config(path)
    except ConfigError as error:
        for fault in error.findings:
            yield problem("config", LAPTOP, str(fault), "", f"$EDITOR {shlex.quote(str(path))}")
        return
    yield ok(
        "config",
        LAPTOP,
        f"{path}: {counted(len(loaded.nodes), 'node')}, {counted(len(loaded.bastions), 'bastion')}",
    )


def _home() -> Iterator[Finding]:
    home, real = home_folder(), LocalUser.current().home
    if home != real:
        yield warning(
            "config",
            LAPTOP,
            f"$HOME is {home}, but ssh reads {real}/.ssh",
            "ssh takes the home from the user database, so that the two may see other hosts",
            f"export HOME={shlex.quote(str(real))}",
        )


def _permissions(config: Path, hops: Iterable[Hop]) -> Iterator[Finding]:
    ssh = home_folder() / ".ssh"
    hops = list(hops)
    keys = {file for hop in hops for file in hop.identity_files if file.suffix != ".pub"}
    known = {hop.known_hosts_files[0] for hop in hops if hop.known_hosts_files}
    checked = [
        *_judged(config, _WRITE, "who may write it picks the servers that your logins go to"),
        *_judged(ssh, _WRITE, "who may write there picks your keys and the hosts you trust"),
        *_judged(ssh / "config", _WRITE, "who may write it has commands run as you"),
    ]
    for file in sorted(known):
        checked += _judged(file, _WRITE, "who may write it can pass off a server as another")
    for key in sorted(keys):
        checked += _judged(key, _READ | _WRITE, "who reads it can log in as you; ssh refuses it")
    if any(checked):
        yield from (finding for finding in checked if finding)
    else:
        yield ok("permissions", LAPTOP, "config, ~/.ssh, keys and known_hosts are yours alone")


def _judged(path: Path, forbidden: int, why: str) -> list[Finding]:
    """A finding where others have a right to `path` that they must not have; a file that is not
    there harms nobody."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return []
    except OSError as error:
        return [unchecked("permissions", LAPTOP, f"{path}: {error.strerror}")]
    found = []
    if bad := stat.S_IMODE(facts.st_mode) & forbidden:
        can = " and ".join(
            word for word, bits in (("read", bad & _READ), ("changed", bad & _WRITE)) if bits
        )
        who = "every user" if bad & 0o007 else "its group"
        take = f"go-{'r' if bad & _READ else ''}{'w' if bad & _WRITE else ''}"
        if path.is_file() and forbidden & _READ:
            take = "600"
        judge = problem if forbidden & _READ else warning
        mend = f"chmod {take} {shlex.quote(str(path))}"
        found.append(judge("permissions", LAPTOP, f"{path} can be {can} by {who}", why, mend))
    if facts.st_uid not in (os.getuid(), 0):
        found.append(
            warning(
                "permissions",
                LAPTOP,
                f"{path} belongs to another user (uid {facts.st_uid})",
                why,
                f'sudo chown "$USER" {shlex.quote(str(path))}',
            )
        )
    return found
