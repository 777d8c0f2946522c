"""Write `config.toml`: all of the new text or none of it, and never a text that would not load."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from gpuhop_tui.config.errors import ConfigError, Finding
from gpuhop_tui.config.load import parse_config, parse_toml, read_text


def update_config(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Changes a config: `edit` gets the raw tables, so that keys it does not know stay as they are.

    The old text is kept beside it as `config.toml.bak`, with its comments, which the new one has
    not. A file that does not exist begins as an empty one. Raises ConfigError, with the old file
    untouched, where the old text cannot be read, the new one would not load, or it cannot be written.
    """
    target = _target(path)
    exists = target.exists()
    raw = parse_toml(read_text(target), path) if exists else {}
    edit(raw)
    text = _dump(raw, path)
    parse_config(text, path)
    if exists:
        _write(target.with_name(target.name + ".bak"), path, lambda file: _copy(target, file))
    _write(target, path, lambda file: file.write_bytes(text.encode()))


def write_new_config(path: Path, raw: Mapping[str, Any]) -> None:
    """Writes the first config. Raises ConfigError, also where there is one already."""
    if path.exists():
        raise ConfigError([Finding(path, "there is a config already; it is left as it is")])
    update_config(path, lambda new: new.update(raw))


def _dump(raw: dict[str, Any], path: Path) -> str:
    try:
        return tomli_w.dumps(raw)
    except (TypeError, ValueError) as error:
        raise ConfigError([Finding(path, f"cannot be written as TOML: {error}")]) from None


def _target(path: Path) -> Path:
    """What a symlink leads to, so that a dotfiles repository keeps its file and the link stays."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise ConfigError([Finding(path, "is a link that leads in a circle")]) from None


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _write(target: Path, shown: Path, fill: Callable[[Path], object]) -> None:
    """Fills a private file beside the target and moves it there once it is safely on the disk."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
    except OSError as error:
        raise _unwritable(shown, error) from None
    temporary = Path(name)
    try:
        fill(temporary)
        os.fsync(number)
        temporary.replace(target)
    except OSError as error:
        raise _unwritable(shown, error) from None
    finally:
        os.close(number)
        temporary.unlink(missing_ok=True)
    _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    """So that the new name survives a crash too; not every file system can."""
    with contextlib.suppress(OSError):
        number = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError([Finding(path, f"cannot be written, and is unchanged: {error.strerror}")])
