"""Find and load `config.toml`; whatever is wrong with it is said with file, line and key."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuhop_tui.config.errors import ConfigError, Finding
from gpuhop_tui.config.positions import KeyPath, key_lines, key_statements

if TYPE_CHECKING:
    from gpuhop_tui.config.references import Fault
    from gpuhop_tui.config.schema import Config

FILE_NAME = "config.toml"
APP_NAME = "gpuhop-tui"


def find_config(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """Path of the config, which need not exist: `--config`, GPUHOP_CONFIG, the user's config dir.

    XDG_CONFIG_HOME (XDG Base Directory Specification) counts on every system.
    """
    if explicit is not None:
        return _expanded(explicit)
    if named := environ.get("GPUHOP_CONFIG"):
        return _expanded(Path(named))
    xdg = environ.get("XDG_CONFIG_HOME", "")
    if Path(xdg).is_absolute():
        return Path(xdg) / APP_NAME / FILE_NAME
    import platformdirs

    return platformdirs.user_config_path(APP_NAME, appauthor=False) / FILE_NAME


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # the home of nobody: a file that does not exist
        return path


def load_config(path: Path) -> Config:
    """The config in a file. Raises ConfigError with every finding."""
    text = read_text(path)
    return parse_config(text, path)


def permission_warnings(path: Path) -> list[str]:
    """What is unsafe about who may write the file: such a person picks the servers that the agent
    is lent to. Never raises."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return []
    writers = [
        who for bit, who in ((stat.S_IWGRP, "its group"), (stat.S_IWOTH, "everyone")) if mode & bit
    ]
    if not writers:
        return []
    return [
        f"{path}: can be changed by {' and '.join(writers)}, "
        f"who could lead your logins elsewhere; run: chmod go-w {path}"
    ]


def read_text(path: Path) -> str:
    """The text of a config file. Raises ConfigError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([Finding(path, "is not UTF-8 text", line)]) from None
    except IsADirectoryError:
        raise ConfigError([Finding(path, "is a directory, not a file")]) from None
    except FileNotFoundError:
        raise ConfigError([Finding(path, "there is no such file")]) from None
    except OSError as error:
        raise ConfigError([Finding(path, f"cannot be read: {error.strerror}")]) from None


def parse_config(text: str, path: Path) -> Config:
    """The config in a text; `path` is for the findings. Raises ConfigError."""
    raw = parse_toml(text, path)
    try:
        return _validated(raw, text, path)
    except RecursionError:
        raise _too_deep(path) from None


def _validated(raw: dict[str, Any], text: str, path: Path) -> Config:
    from pydantic import ValidationError

    from gpuhop_tui.config.references import reference_faults
    from gpuhop_tui.config.schema import Config
    from gpuhop_tui.config.wording import schema_faults

    faults = list(reference_faults(raw))
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        faults += schema_faults(error)
    else:
        if not faults:
            return config
    raise ConfigError(_findings(faults, text, path))


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The raw tables of a text. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_finding(str(error), text, path)]) from None
    except ValueError:  # Python reads no integer of more than 4,300 digits
        digits = re.search(r"[0-9_]{4300}", text)
        line = text.count("\n", 0, digits.start()) + 1 if digits else None
        raise ConfigError([Finding(path, "holds a number that is too long", line)]) from None
    except RecursionError:
        raise _too_deep(path) from None


def _too_deep(path: Path) -> ConfigError:
    return ConfigError([Finding(path, "is nested too deeply")])


def _findings(faults: Iterable[Fault], text: str, path: Path) -> list[Finding]:
    lines = key_lines(text)

    def line_of(key: KeyPath) -> int | None:
        while key and key not in lines:
            key = key[:-1]
        return lines.get(key)

    findings = [
        Finding(
            path,
            fault.message + (f" at line {line_of(fault.other)}" if fault.other else ""),
            line_of(fault.path),
            key=key_text(fault.path),
            nearest=fault.nearest,
        )
        for fault in faults
    ]
    return sorted(findings, key=lambda finding: finding.line or 0)


def key_text(path: KeyPath) -> str:
    """`nodes[2].port`, with indexes from 0."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part if re.fullmatch(r"[\w-]+", part, re.ASCII) else f'"{part}"'
            text += f".{bare}" if text else bare
    return text


def _syntax_finding(message: str, text: str, path: Path) -> Finding:
    """tomllib says where at the end of its message: "(at line 3, column 7)"."""
    match = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    words = message[: match.start()] if match else message
    is_repeat = re.match("Cannot (overwrite|declare|mutate|redefine)", words)
    words = f"not TOML: {words[:1].lower()}{words[1:]}"
    last_line = text.rstrip("\n").count("\n") + 1
    line, column = (int(match[1]), int(match[2])) if match and match[1] else (last_line, None)
    if is_repeat and (repeated := _repeated(text, line)):
        key, first, second = repeated
        return Finding(path, f"is set a second time; first at line {first}", second, key=key)
    if column is None:
        words += " at the end of the file"
    return Finding(path, words, line, column)


def _repeated(text: str, last: int) -> tuple[str, int, int] | None:
    """(key, first line, second line) of what is set twice up to the line `last`."""
    statements = list(key_statements("\n".join(text.split("\n")[:last])))
    seen: dict[KeyPath, int] = {}
    for (line, path), (_, following) in pairwise([*statements, (0, ())]):
        if following[: len(path)] == path != following:
            continue  # a table on the way, such as `a` of `a.b = 1`, may be named again
        if path in seen:
            return key_text(path), seen[path], line
        seen[path] = line
    return None
