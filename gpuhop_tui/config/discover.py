"""The hosts of `~/.ssh/config`, to offer where there is no config yet."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from gpuhop_tui.config.ssh_options import home_folder

_NO_ALIAS = re.compile(
    r"[*?/\s'`$\\;&<>|(){}\x00-\x1f\x7f-\x9f]"
)  # patterns, and what `ssh` itself refuses
_WORD = re.compile(r'"([^"]*)"|([^\s"]+)')


def ssh_config_hosts(path: Path | None = None, without: Collection[Path] = ()) -> list[str]:
    """Concrete aliases of `Host` lines, Include followed but for files in `without`, in order,
    each once; wildcards and negations left out. Never raises: what cannot be read has no hosts."""
    path = path or home_folder() / ".ssh" / "config"
    return list(dict.fromkeys(_hosts(path, path.parent, set(without))))


def starter_config(hosts: Iterable[str]) -> dict[str, Any]:
    """A first config, raw: each host a node, resolved by OpenSSH."""
    return {"nodes": [{"name": host, "ssh": host} for host in hosts]}


def _hosts(path: Path, base: Path, seen: set[Path]) -> Iterator[str]:
    if path in seen:
        return
    seen.add(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return
    for line in text.split("\n"):
        keyword, words = split_line(line)
        if keyword == "host":
            yield from (word for word in words if _is_alias(word))
        elif keyword == "include":
            for word in words:
                for included in included_files(word, base):
                    yield from _hosts(included, base, seen)


def split_line(line: str) -> tuple[str, list[str]]:
    """`Keyword words`, `Keyword=words` or `Keyword = words`; quotes group, `#` ends the line."""
    match = re.match(r"\s*(\w+)(?:\s*=\s*|\s+)(.*)", line)
    if not match:
        return "", []
    words: list[str] = []
    for word in _WORD.finditer(match[2]):
        if word[0].startswith("#"):
            break
        words.append(word[1] if word[2] is None else word[2])
    return match[1].lower(), words


def _is_alias(word: str) -> bool:
    return bool(word) and not word.startswith(("!", "-")) and not _NO_ALIAS.search(word)


def included_files(pattern: str, base: Path) -> Iterator[Path]:
    """Files of an Include, which is relative to ~/.ssh, in the order of ssh's glob(3)."""
    try:
        names = sorted(glob.glob(str(base / Path(pattern).expanduser())))  # noqa: PTH207
    except (OSError, ValueError, RuntimeError):
        return
    yield from map(Path, names)
