"""VS Code on a node or in a container: the name that ssh has for it, and the program that opens it.

VS Code's Remote-SSH goes by ssh_config(5): the host has to be known there, as `gpuhop-tui
ssh-config --install` makes it known.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gpuhop_tui.config.discover import ssh_config_hosts
from gpuhop_tui.config.errors import ConfigError
from gpuhop_tui.config.load import load_config
from gpuhop_tui.config.resolve import plan_fleet
from gpuhop_tui.config.ssh_export import Door, Export, export, render, template_doors
from gpuhop_tui.config.ssh_install import Installed, InstallError, entries_file, install
from gpuhop_tui.config.ssh_options import home_folder
from gpuhop_tui.fleet.state_file import StateFile
from gpuhop_tui.ssh.relay import relay_command

EDITORS = ("code", "code-insiders", "cursor")  # they take the same words
FILE_NAME = "editor.json"  # the last path of each node and container

_SSH_SECONDS = 10.0  # `Match exec` may run anything
_EDITOR_SECONDS = 20.0
_SAID = 600  # characters of what a program says that are shown
_DECISIVE = ("hostname", "port", "user", "proxyjump", "proxycommand", "hostkeyalias")
_PLAIN = re.compile(r"[a-z0-9._-]+\Z")


class EditorError(Exception):
    """It was not opened: why, and what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.message, self.advice = message, advice


@dataclass(frozen=True, slots=True)
class WayIn:
    """What ssh calls a node or a container, and what has to be written for it to do so."""

    host: str
    known: bool  # whether it does so already
    text: str  # of the file of entries
    hosts: tuple[str, ...]  # whose entries it holds
    leaving: tuple[str, ...]  # whose entries the file holds now, and would not any more
    directory: Path  # ~/.ssh


async def way_in(
    config: Path, name: str, doors: Sequence[Door] = (), environ: Mapping[str, str] = os.environ
) -> WayIn:
    """The way into a node, or into "NODE/CONTAINER" by one of `doors`.

    Raises EditorError where ssh cannot be told the way.
    """
    directory = home_folder() / ".ssh"
    entries = entries_file(directory)
    try:
        loaded = await asyncio.to_thread(load_config, config)
    except ConfigError as error:
        raise EditorError(str(error.findings[0]), "Mend the config first.") from None
    plan = await plan_fleet(loaded)
    told = {(door.node, door.container) for door in doors}
    usual = template_doors(plan, loaded.templates)
    every = [door for door in usual if (door.node, door.container) not in told] + list(doors)
    taken = await asyncio.to_thread(ssh_config_hosts, directory / "config", [entries])
    made = await export(plan, loaded, doors=every, taken=taken, relay=relay_command)
    host = (made.hosts or {}).get(name)
    if host is None:
        raise EditorError(f"ssh cannot be told the way to {name}: {_why(made, name)}", _BY_HAND)
    text = render(made, config)
    hosts = tuple(entry.host for entry in made.entries)
    before = await asyncio.to_thread(ssh_config_hosts, entries)
    leaving = tuple(each for each in before if each not in hosts)
    known = host not in hosts or await _is_known(host, text, environ)
    return WayIn(host, known, text, hosts, leaving, directory)


_BY_HAND = "Give it an entry of its own in ~/.ssh/config."


def write(way: WayIn) -> Installed:
    """Makes the host known to ssh, as `gpuhop-tui ssh-config --install` does. Waits for the disk.

    Raises EditorError.
    """
    try:
        return install(way.text, way.directory)
    except InstallError as error:
        raise EditorError(str(error), "Nothing was changed.") from None


def _why(made: Export, name: str) -> str:
    return next((why for each, why in made.left_out if each == name), "it is not in the config")


async def _is_known(host: str, text: str, environ: Mapping[str, str]) -> bool:
    """Whether ssh goes by the user's own files as it would by ours."""
    file = await asyncio.to_thread(_kept, text)
    try:
        wanted, is_now = await asyncio.gather(
            _dump(host, ("-F", str(file)), environ), _dump(host, (), environ)
        )
    finally:
        await asyncio.to_thread(file.unlink)
    return wanted == is_now


def _kept(text: str) -> Path:
    """A file of its own, which is its owner's alone."""
    descriptor, name = tempfile.mkstemp(prefix="gpuhop-ssh-config-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    return Path(name)


async def _dump(host: str, options: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """The lines of `ssh -G` that say where it goes to."""
    said, _ = await _run(["ssh", "-G", "-T", *options, "--", host], _SSH_SECONDS, environ)
    return [line for line in said.splitlines() if line.partition(" ")[0] in _DECISIVE]


# The program


def find_editor(environ: Mapping[str, str] = os.environ) -> str | None:
    """The path of the first that is installed."""
    found = (shutil.which(name, path=environ.get("PATH")) for name in EDITORS)
    return next((path for path in found if path), None)


async def open_editor(
    editor: str, host: str, path: str, environ: Mapping[str, str] = os.environ
) -> None:
    """Has it open a folder of the host, or a window without one. It goes on by itself.

    Raises EditorError, with its own words, where it says that it failed.
    """
    words = [editor, "--remote", f"ssh-remote+{host}", *([path] if path else [])]
    said, status = await _run(words, _EDITOR_SECONDS, environ)
    if status:
        name = Path(editor).name
        last = " ".join(said.split())[-_SAID:] or f"exit status {status}"
        raise EditorError(
            f"{name} failed: {last}",
            "Its Remote-SSH extension may be missing; the link does without the program.",
        )


def link(host: str, path: str) -> str:
    """What VS Code opens when a browser or a desktop is given it.

    Hosts that a URL would spell otherwise go as VS Code itself writes them: JSON, in hexadecimal.
    """
    name = host
    if not _PLAIN.match(host):
        name = json.dumps({"hostName": host}, separators=(",", ":")).encode().hex()
    return f"vscode://vscode-remote/ssh-remote+{name}{quote(path or '/')}"


async def _run(
    words: Sequence[str], seconds: float, environ: Mapping[str, str]
) -> tuple[str, int | None]:
    """What a program says, and its exit status; None: it still runs. Raises EditorError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environ),
            start_new_session=True,  # not the terminal's
        )
    except OSError as error:
        raise EditorError(f"{words[0]} does not start: {error.strerror}", "Check it.") from None
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate()
    except TimeoutError:
        if words[0] == "ssh":
            process.kill()
            await process.wait()
        return "", None
    return said.decode("utf-8", "replace"), process.returncode


# What is remembered


def last_path(name: str, file: StateFile) -> str:
    """The path that was opened last on a node or "NODE/CONTAINER". Waits for the disk."""
    held = file.read().get(name)
    return held if isinstance(held, str) else ""


def remember_path(name: str, path: str, file: StateFile) -> None:
    """Waits for the disk."""
    file.change(lambda held: held.update({name: path}))
