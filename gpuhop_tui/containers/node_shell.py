"""One short question to a node's `sh`, whatever the login shell and its start-up files say."""

from __future__ import annotations

import asyncio
import secrets

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.link import Link

ANSWER_SECONDS = 10.0
_LONGEST = 262_144  # bytes


async def ask_node(link: Link, script: str) -> str:
    """What `script` prints. It runs in a session of its own, which ends with it.

    Raises ProblemError where there is no link, no `sh`, or no answer within ANSWER_SECONDS.
    """
    word = f"gpuhop-{secrets.token_hex(8)}"
    try:
        async with asyncio.timeout(ANSWER_SECONDS), link.process("exec sh -s") as process:
            process.stdin.write(f"echo {word}\n{script}\necho {word}\n".encode())
            process.stdin.write_eof()
            said = bytearray()
            while (chunk := await process.stdout.read(65536)) and len(said) < _LONGEST:
                said += chunk
    except TimeoutError:
        raise ProblemError(
            Problem(
                link.name,
                ErrorKind.TIMEOUT,
                f"a shell on {link.name} did not answer within {ANSWER_SECONDS:.0f} s",
                "The node may be overloaded: try again.",
            )
        ) from None
    parts = said.decode(errors="replace").split(f"{word}\n")
    if len(parts) != 3:
        raise ProblemError(
            Problem(
                link.name,
                ErrorKind.LOST,
                f"a shell on {link.name} broke off",
                f"Try `ssh {link.name} sh -c true`.",
            )
        )
    return parts[1]
