"""Who may log in to a container: public keys, as lines of authorized_keys (sshd(8))."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.ssh.agent import Agent

_LINE = re.compile(
    r"(?:[^\s#].*\s)?(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-\S+|sk-(?:ssh|ecdsa)-\S+)"
    r" [A-Za-z0-9+/=]+"
)


async def keys_of_agent(agent: Agent) -> list[str]:
    """Those that the agent holds; certificates are left out. Raises ContainerError for none."""
    status = await agent.status()
    lines = [line for blob in status.keys if (line := _line(blob))]
    if not lines:
        raise ContainerError(
            f"the image needs your public keys, but the agent holds none ({status.line})",
            "Add a key with `ssh-add`, or name a file of public keys as `authorized_keys`.",
        )
    return lines


def keys_of_file(path: Path) -> list[str]:
    """Those of a file. Raises ContainerError where there are none, or where it is a private key."""
    try:
        text = path.expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ContainerError(f"{path} cannot be read: {error}", "Check the path.") from None
    if "PRIVATE KEY" in text:
        raise ContainerError(
            f"{path} is a private key, which has no place in an image",
            f"Name the public one: {path}.pub",
        )
    lines = [line.strip() for line in text.splitlines() if _LINE.match(line.strip())]
    if not lines:
        raise ContainerError(f"{path} holds no public key", "Check the path.")
    return lines


def _line(blob: bytes) -> str | None:
    """The blob's first string names its type (RFC 4253, section 6.6)."""
    length = int.from_bytes(blob[:4], "big")
    kind = blob[4 : 4 + length].decode("ascii", "replace")
    if not 0 < length <= 64 or "-cert-" in kind or not kind.isprintable():
        return None
    return f"{kind} {base64.b64encode(blob).decode()}"
