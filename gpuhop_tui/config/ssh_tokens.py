"""What OpenSSH expands in a configured value: `~`, `%` tokens and `${VARIABLES}`.

`ssh -G` prints IdentityFile, CertificateFile, ProxyCommand and ProxyJump as they were written; ssh
expands them when it connects (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Mapping
from pathlib import Path

_SPECIAL = re.compile(r"%(?P<token>.?)|\$\{(?P<variable>[^}]*)(?P<end>\}?)", re.DOTALL)


class ExpansionError(ValueError):
    """A token or variable that ssh would refuse too."""


def expand(text: str, tokens: Mapping[str, str], environ: Mapping[str, str] | None = None) -> str:
    """`%x` by `tokens`, `%%` and, where `environ` is given, `${NAME}`; in one pass, so that what
    was put in is not expanded again. Raises ExpansionError."""

    def replacement(match: re.Match[str]) -> str:
        if match["variable"] is None:
            token = match["token"]
            if token == "%":
                return "%"
            if token not in tokens:
                raise ExpansionError(f"unknown token %{token} in {text}")
            return tokens[token]
        if environ is None:
            return match[0]
        if not match["end"] or match["variable"] not in environ:
            raise ExpansionError(f"no environment variable for {match[0]} in {text}")
        return environ[match["variable"]]

    return _SPECIAL.sub(replacement, text)


def expand_tilde(text: str, home: Path) -> str:
    """`~` and `~user` at the beginning. `home` is the passwd entry's: ssh ignores $HOME here.
    Raises ExpansionError."""
    if not text.startswith("~"):
        return text
    user, _, rest = text[1:].partition("/")
    if not user:
        return str(home / rest)
    try:
        return str(Path(pwd.getpwnam(user).pw_dir) / rest)
    except KeyError:
        raise ExpansionError(f"no such user: {user} in {text}") from None
