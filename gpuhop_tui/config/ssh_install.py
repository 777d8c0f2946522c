"""Give OpenSSH the fleet's entries: one file of ours, and one Include line in the user's config."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from gpuhop_tui.config.atomic import write_atomically
from gpuhop_tui.config.discover import included_files, split_line
from gpuhop_tui.config.ssh_export import MARK

FILE_NAME = "gpuhop-tui.conf"
_BACKUP = "before-gpuhop-tui"
_NOTE = "# Hosts of gpuhop-tui; to take them away, remove this line and the next.\n"


class InstallError(Exception):
    """Nothing was changed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done. `changes` are sentences; none where all was as it should be."""

    file: Path
    changes: tuple[str, ...]


def entries_file(ssh_directory: Path) -> Path:
    """Where the entries are written to."""
    return ssh_directory / FILE_NAME


def install(text: str, ssh_directory: Path) -> Installed:
    """Write the entries `text` into `ssh_directory` (~/.ssh) and have its `config` include them.

    Nothing else of `config` is touched; it is kept as it was beside it, and stays where a symbolic
    link leads. Done a second time it changes nothing. Raises InstallError.
    """
    file, config = entries_file(ssh_directory), ssh_directory / "config"
    try:
        _refuse_other(file)
        before = _text(config)
        changes = [*_write_entries(file, text)]
        if not _includes(before, file):
            changes += _write_include(config, before, file)
        return Installed(file, tuple(changes))
    except (OSError, RuntimeError) as error:
        what = getattr(error, "strerror", None) or str(error)
        where = getattr(error, "filename", None) or ssh_directory
        raise InstallError(f"{where}: {what}; check who may write in {ssh_directory}") from None


def _refuse_other(file: Path) -> None:
    if file.exists() and not _text(file).startswith(MARK):
        raise InstallError(f"{file} is not ours: move it away, and try again")


def _text(path: Path) -> str:
    """What a file holds, byte by byte; a file that does not exist holds nothing."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _write_entries(file: Path, text: str) -> Iterator[str]:
    if _text(file) != text:
        write_atomically(file.resolve(), text.encode("utf-8", "surrogateescape"))
        yield f"wrote {file}"
    elif stat.S_IMODE(file.stat().st_mode) & 0o077:
        file.chmod(0o600)
        yield f"took {file} away from other users"


def _includes(config: str, file: Path) -> bool:
    """Whether an Include that holds for every host, above the first Host and Match, names it."""
    for line in config.split("\n"):
        keyword, words = split_line(line)
        if keyword in ("host", "match"):
            return False
        if keyword == "include" and any(
            included.resolve() == file.resolve()
            for word in words
            for included in included_files(word, file.parent)
        ):
            return True
    return False


def _write_include(config: Path, before: str, file: Path) -> Iterator[str]:
    target = config.resolve()
    exists = target.exists()
    mode = stat.S_IMODE(target.stat().st_mode) if exists else 0o600
    if exists:
        backup = _keep(target, before, mode)
        yield f"kept {config} as it was in {backup}"
    newline = "\r\n" if re.match(r"[^\n]*\r\n", before) else "\n"
    head = (_NOTE + f"Include {file.name}\n").replace("\n", newline)
    owner = target.stat() if exists else None
    text = head + (newline if before else "") + before
    write_atomically(target, text.encode("utf-8", "surrogateescape"), mode)
    if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(target, owner.st_uid, owner.st_gid)
    yield f"added one Include line at the top of {config}"


def _keep(target: Path, text: str, mode: int) -> Path:
    """A copy beside the file, by a name that nothing has."""
    names = (f"{target.name}.{_BACKUP}{'' if n == 1 else f'.{n}'}" for n in count(1))
    backup = next(path for name in names if not (path := target.with_name(name)).exists())
    write_atomically(backup, text.encode("utf-8", "surrogateescape"), mode)
    return backup
