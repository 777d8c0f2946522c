"""Ways to tell an alert beyond the screen: a program of the user's, and a webhook.

Both have bounded time, and neither ever holds anything up. What fails is said in words that hold no
secret: of a webhook's address only the host, since the rest often is a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gpuhop_tui.fleet.alerts.model import Alert, to_facts

COMMAND_SECONDS = 10.0
WEBHOOK_SECONDS = 8.0


class DeliveryError(Exception):
    """Why an alert could not be handed on."""


def environment(alert: Alert) -> dict[str, str]:
    """GPUHOP_* for a program: one for each fact, empty where there is none."""
    facts = to_facts(alert)
    facts["gpus"] = ",".join(map(str, alert.gpus))
    return {f"GPUHOP_{name.upper()}": _plain(value) for name, value in facts.items()}


def arguments(command: Sequence[str], alert: Alert) -> list[str]:
    """`command` with "{title}" and "{words}" filled in; all else stays as it is. What is filled in
    comes from nodes, and is never taken for an option."""
    title, words = _plain(alert.title), _plain(alert.words)
    made = [command[0]]
    for each in command[1:]:
        filled = each.replace("{title}", title).replace("{words}", words)
        became_option = filled.startswith("-") and not each.startswith("-")
        made.append(f" {filled}" if became_option else filled)
    return made


async def run_command(
    command: Sequence[str], alert: Alert, environ: Mapping[str, str] = os.environ
) -> None:
    """Runs the user's program, without a shell and away from the terminal. Raises
    DeliveryError."""
    program = command[0]
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments(command, alert),
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            env={**environ, **environment(alert)},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise DeliveryError(f"cannot run {program}: {error}") from None
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            status = await process.wait()
    except TimeoutError:
        raise DeliveryError(f"{program} took more than {COMMAND_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if status:
        raise DeliveryError(f"{program} failed with exit status {status}")


async def post(address: str, alert: Alert) -> None:
    """Sends an alert to a webhook. Raises DeliveryError."""
    host = urlsplit(address).hostname or "the webhook"
    try:
        async with asyncio.timeout(WEBHOOK_SECONDS * 2):
            await asyncio.to_thread(_post, address, alert)
    except TimeoutError:
        raise DeliveryError(f"{host} did not answer") from None
    except urllib.error.HTTPError as error:
        raise DeliveryError(f"{host} answered with HTTP status {error.code}") from None
    except urllib.error.URLError as error:
        raise DeliveryError(f"{host}: {error.reason}") from None
    except (OSError, ValueError) as error:
        raise DeliveryError(f"{host}: {type(error).__name__}") from None


def _post(address: str, alert: Alert) -> None:
    body = json.dumps({"schema": 1, **to_facts(alert)}).encode("utf-8")
    headers = {"Content-Type": "application/json", "User-Agent": "gpuhop-tui"}
    request = urllib.request.Request(address, body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS) as answer:
        answer.read(1)


def _plain(value: object) -> str:
    """As one line without control characters: what came from a node may hold anything."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else " " for char in text)
