"""A short program in a container, and what it says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from gpuhop_tui.containers.log_lines import payloads

MOST_BYTES = 1 << 20  # of output: whoever owns a container may have it say anything, for ever


def run_in(
    client: Any, identity: str, words: Sequence[str], *, user: str = ""
) -> tuple[int | None, str]:
    """Its exit status and its output, for the SDK's thread. What is more than MOST_BYTES, or comes
    later than the client waits for an answer, is not read: the status is None then. Raises as the
    SDK does.

    Not by the SDK's `exec_start`: that asks for a raw connection, and loses what the engine sends
    together with its headers.
    """
    made = client.exec_create(identity, list(words), user=user)["Id"]
    url = client._url("/exec/{0}/start", made)
    response = client._post_json(url, data={"Tty": False, "Detach": False}, stream=True)
    client._raise_for_status(response)
    until = time.monotonic() + client.timeout
    said = bytearray()
    with contextlib.closing(response):
        while chunk := response.raw.read1(MOST_BYTES):
            said += chunk
            if len(said) > MOST_BYTES or time.monotonic() > until:
                break
    text = b"".join(payloads(bytes(said[:MOST_BYTES]))).decode(errors="replace")
    return client.exec_inspect(made).get("ExitCode"), text
