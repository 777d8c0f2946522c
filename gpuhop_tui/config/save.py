"""Write `config.toml`: all of the new text or none of it, and never a text that would not load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from gpuhop_tui.config.atomic import write_atomically
from gpuhop_tui.config.errors import ConfigError, Finding
from gpuhop_tui.config.load import parse_config, parse_toml, read_text


def update_config(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Changes a config: `edit` gets the raw tables, so that keys it does not know stay as they are.

    TOML is written without comments, so the last text written by hand is kept beside it as
    `config.toml.bak`. A file that does not exist begins as an empty one. Raises ConfigError, with
    the old file untouched, where the old text or the new one does not load, or where the file
    cannot be written.
    """
    target = _target(path)
    old = _old_text(target, path)
    raw: dict[str, Any] = {}
    if old is not None:
        parse_config(old, path)
        raw = parse_toml(old, path)
        written_by_hand = old != _dump(raw, path)
    edit(raw)
    new = _dump(raw, path)
    _check(new, path)
    if old is not None:
        backup = target.with_name(target.name + ".bak")
        if written_by_hand or not backup.exists():
            _write(backup, old, path)
    _write(target, new, path)


def write_new_config(path: Path, raw: Mapping[str, Any]) -> None:
    """Writes the first config. Raises ConfigError, also where there is one already."""
    if path.exists():
        raise ConfigError([Finding(path, "there is a config already; it is left as it is")])
    update_config(path, lambda new: new.update(raw))


def _dump(raw: dict[str, Any], path: Path) -> str:
    try:
        text = tomli_w.dumps(raw)
        text.encode()
        return text
    except (TypeError, ValueError) as error:
        raise ConfigError([Finding(path, f"cannot be written as TOML: {error}")]) from None


def _target(path: Path) -> Path:
    """What a symlink leads to, so that a dotfiles repository keeps its file and the link stays."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise ConfigError([Finding(path, "is a link that leads in a circle")]) from None


def _old_text(target: Path, path: Path) -> str | None:
    try:
        exists = target.exists()
    except OSError as error:
        raise _unwritable(path, error) from None
    return read_text(target) if exists else None


def _check(new: str, path: Path) -> None:
    """Lines of the new text are of no use: nobody has seen it."""
    try:
        parse_config(new, path)
    except ConfigError as error:
        raise ConfigError([replace(finding, line=None) for finding in error.findings]) from None


def _write(target: Path, text: str, path: Path) -> None:
    try:
        write_atomically(target, text.encode())
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError([Finding(path, f"cannot be written, and is unchanged: {error.strerror}")])
