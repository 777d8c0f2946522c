"""Secrets in command lines, masked before anything shows, stores or prints them.

`ps` shows them to every user of the node already; a screenshot, a log or a script's JSON must not
carry them further. What merely may be a secret is masked too: nobody misses it.
"""

from __future__ import annotations

import re

MASK = "•••"

_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|auth[_-]?key|credentials?)"
)
# --token X, --token=X, -password X: an option whose name says that its value is secret.
_OPTION = re.compile(
    rf"(?<!\S)(--?{_NAME})(=|\s+)(\"[^\"]*\"|'[^']*'|(?!-)\S+)",
    re.IGNORECASE,
)
# HF_TOKEN=X, trainer.api_key=X, {"token": "X"}: an assignment to such a name.
_ASSIGNED = re.compile(
    rf"(?<![\w.-])({_NAME}[\"']?)(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s\"',;&}}]+)",
    re.IGNORECASE,
)
# https://user:X@host
_USERINFO = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
# Authorization: Bearer X
_BEARER = re.compile(r"\b(Bearer|Basic)\s+([\w.~+/=-]{8,})", re.IGNORECASE)
# What providers' keys look like wherever they stand.
_KNOWN = re.compile(
    r"\b(?:hf_\w{16,}|gh[opsur]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|sk-[\w-]{16,}"
    r"|xox[abprs]-[\w-]{10,}|A[KS]IA[0-9A-Z]{12,}|AIza[\w-]{20,}|nvapi-[\w-]{16,}"
    r"|eyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]+)?)"
)
# Words that follow such an option without being its secret: a number counts tokens, it is none.
_HARMLESS = re.compile(r"\d{1,9}|true|false|none|null|yes|no|auto", re.IGNORECASE)


def mask_secrets(command: str) -> str:
    """`command` with what is or may be a password, token or key replaced by `MASK`."""
    command = _USERINFO.sub(lambda found: f"{found[1]}:{MASK}@", command)
    command = _OPTION.sub(_masked, command)
    command = _ASSIGNED.sub(_masked, command)
    command = _BEARER.sub(lambda found: f"{found[1]} {MASK}", command)
    return _KNOWN.sub(MASK, command)


def _masked(found: re.Match[str]) -> str:
    value = found[3].strip("\"'")
    return found[0] if _HARMLESS.fullmatch(value) else f"{found[1]}{found[2]}{MASK}"
