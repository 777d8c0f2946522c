"""What is wrong with a config file: each finding with its file, line, key and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    file: Path
    message: str
    line: int | None = None  # counted from 1; None where the whole file is meant
    column: int | None = None  # counted from 1; only for TOML syntax
    key: str = ""  # path of the key, such as "nodes[2].port"
    nearest: str | None = None  # the valid word that was probably meant

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        key = f"{self.key}: " if self.key else ""
        hint = f'; did you mean "{self.nearest}"?' if self.nearest else ""
        return f"{place}: {key}{self.message}{hint}"


class ConfigError(Exception):
    """A config that cannot be read, understood or written. `str()` of it is for the user's eyes."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))
