"""The agent on this machine, and to whom it is lent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gpuhop_tui.config.hops import Route
from gpuhop_tui.fleet.doctor.finding import LAPTOP, Finding, counted, ok, problem, warning
from gpuhop_tui.ssh.agent import AgentStatus


def check_agent(status: AgentStatus, routes: Iterable[Route]) -> Iterator[Finding]:
    """Whether the agent answers and holds keys, where a login needs it."""
    has_files = all(route.target.identity_files for route in routes)
    judge = warning if has_files else problem
    without = "key files alone are used: each asks for its passphrase" if has_files else ""
    if status.socket is None:
        yield judge(
            "agent",
            LAPTOP,
            "there is no agent",
            without or _NEEDED,
            'eval "$(ssh-agent)" && ssh-add',
        )
    elif status.problem:
        yield judge(
            "agent",
            LAPTOP,
            f"the agent at {status.socket} does not answer",
            without or _NEEDED,
            f"SSH_AUTH_SOCK={status.socket} ssh-add -l",
        )
    elif not status.keys:
        yield judge("agent", LAPTOP, "the agent holds no keys", without or _NEEDED, "ssh-add")
    else:
        yield ok("agent", LAPTOP, f"{status.line} at {status.socket}")


_NEEDED = "the agent signs your logins, and nothing else may"


def check_lending(route: Route, others_logged_in: int | None) -> Iterator[Finding]:
    """A bastion that is lent the agent, which no way through it needs."""
    hop = route.target
    if not hop.forward_agent:
        return
    crowd = ""
    if others_logged_in:
        crowd = f"; logged in there beside you: {counted(others_logged_in, 'other user')}"
    yield warning(
        "agent-forwarding",
        hop.name,
        f"the agent is lent to the bastion {hop.name}{crowd}",
        "whoever is root there can use your keys meanwhile; nodes behind it are reached without",
        f'forward_agent = false  # for "{hop.name}" in the config (ForwardAgent no in ssh_config)',
    )
