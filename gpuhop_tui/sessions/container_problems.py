"""Why a hop into a container is not to be had, or is over: what happened, and what to do."""

from __future__ import annotations

from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.sessions.hop_script import Finish, Header
from gpuhop_tui.sessions.in_container import LOOK_SECONDS, InContainer

_STATES = {
    "created": "was never started",
    "exited": "has stopped",
    "dead": "is dead",
    "paused": "is paused",
    "restarting": "is restarting",
    "removing": "is being removed",
}


def refused(node: str, place: InContainer, header: Header) -> Problem:
    """Of a header whose mode is "refused"."""
    name, said = place.name, header.why
    match header.state:
        case "other":
            return Problem(
                node,
                ErrorKind.REFUSED,
                f"a tmux session of that name on {node} is not one of the container {name}",
                "Choose another name for the session.",
            )
        case "no-shell":
            return Problem(
                node,
                ErrorKind.REFUSED,
                f"no shell starts in the container {name} on {node}: {said or 'without a word'}",
                "Check the user and the directory; an image without `sh` has no shell to enter.",
            )
        case state:
            return not_running(node, place, state, said)


def not_running(node: str, place: InContainer, state: str, said: str = "") -> Problem:
    """Of a state that is not "running"."""
    name = place.name
    if state == "missing":
        return Problem(
            node,
            ErrorKind.REFUSED,
            f"there is no container {name} ({place.id[:12]}) on {node} any more",
            "One of that name that was made later is another: choose it anew.",
        )
    if state == "no-client":
        return Problem(
            node,
            ErrorKind.NO_DOCKER,
            f"neither docker nor podman is installed as a command on {node}",
            "Install Docker's command line there (docker-ce-cli, docker.io or podman), or enter "
            "the container by SSH where it has a server of its own.",
        )
    if state == "denied":
        return Problem(
            node,
            ErrorKind.NO_PERMISSION,
            f"you may not use the engine at {place.socket} on {node}",
            "Join the group that may (mostly docker) on the node, then log in anew.",
        )
    if state in _STATES:
        cure = "Unpause it" if state == "paused" else "Start it"
        verb = "unpause" if state == "paused" else "start"
        return Problem(
            node,
            ErrorKind.REFUSED,
            f"the container {name} on {node} {_STATES[state]}",
            f"{cure}, then hop again: `docker {verb} {name}` on the node.",
        )
    return Problem(
        node,
        ErrorKind.TIMEOUT if not said else ErrorKind.NO_DOCKER,
        f"the engine on {node} does not tell of the container {name}: "
        + (said or f"no answer within {LOOK_SECONDS} s"),
        "Look at `docker ps` and `systemctl status docker` on the node.",
    )


def ended(node: str, place: InContainer, finish: Finish, since: str) -> Problem | None:
    """Why a shell in a container has ended that the user did not end; `since` is when the container
    was started, as it was told before. None: the shell ended by itself."""
    if finish.state not in ("", "running"):
        return not_running(node, place, finish.state)
    if since and finish.since and finish.since != since:
        return Problem(
            node,
            ErrorKind.LOST,
            f"the container {place.name} on {node} was restarted, and what ran in it has ended",
            "Hop again for a new shell.",
        )
    return None
