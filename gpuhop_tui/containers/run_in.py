"""A short program in a container, and all that it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuhop_tui.containers.log_lines import payloads


def run_in(
    client: Any, identity: str, words: Sequence[str], *, user: str = ""
) -> tuple[int | None, str]:
    """Its exit status and its output, for the SDK's thread. Raises as the SDK does.

    Not by the SDK's `exec_start`: that asks for a raw connection, and loses what the engine sends
    together with its headers.
    """
    made = client.exec_create(identity, list(words), user=user)["Id"]
    url = client._url("/exec/{0}/start", made)
    response = client._post_json(url, data={"Tty": False, "Detach": False}, stream=True)
    client._raise_for_status(response)
    said = b"".join(payloads(response.raw.read()))
    return client.exec_inspect(made).get("ExitCode"), said.decode(errors="replace")
