"""What an engine refuses, in words that a person can act on."""

from __future__ import annotations

import re

from gpuhop_tui.containers.text import plain


class ContainerError(Exception):
    """An action that was refused: what happened, and what to do. `status` is the engine's HTTP
    status, where the refusal was the engine's."""

    def __init__(self, message: str, advice: str, status: int | None = None) -> None:
        super().__init__(f"{message}. {advice}")
        self.message = message
        self.advice = advice
        self.status = status

    @property
    def is_gone(self) -> bool:
        """Whether what was aimed at is not there."""
        return self.status == 404


# Part of what engines say: what to do. The first that is found counts.
_ADVICE = (
    (
        "no space left on device",
        "The node's disk is full: free some, for example with `docker system prune` there.",
    ),
    (
        "could not select device driver",
        "The engine cannot give GPUs: install nvidia-container-toolkit on the node, run "
        "`nvidia-ctk runtime configure` and restart the engine.",
    ),
    (
        "nvidia-container-cli",
        "The NVIDIA driver on the node does not work for containers: try `nvidia-smi` there.",
    ),
    (
        "unresolvable cdi devices",
        "Make the CDI specification on the node: `nvidia-ctk cdi generate`.",
    ),
    ("rlimit", "The engine itself may not go that high: ask for less in `ulimits`."),
    ("port is already allocated", "Publish another port of the node, or end what holds this one."),
    ("address already in use", "Publish another port of the node, or end what holds this one."),
    ("is already in use by container", "Choose another name, or remove that container."),
    ("conflict: unable to", "Remove the containers that use it first."),
    ("requires buildkit", "It needs BuildKit: build it with `docker build` on the node itself."),
    ("the --mount option", "It needs BuildKit: build it with `docker build` on the node itself."),
    ("toomanyrequests", "The registry's limit is reached: log in to it, or wait."),
    ("pull access denied", "Check the image's name; a private one needs `docker login` here."),
    ("unauthorized", "Log in to the registry here, with `docker login`."),
    ("manifest unknown", "Check the tag: the registry has the repository, but not this tag."),
    ("manifest for", "Check the tag: the registry has the repository, but not this tag."),
    ("repository does not exist", "Check the image's name."),
    ("connection refused", "The registry does not answer: check its address and that it is up."),
    ("no such host", "The node cannot find the registry: check the image's name and its DNS."),
    ("i/o timeout", "The node cannot reach the registry: check its way to the internet."),
    ("no such image", "Pull it or build it first."),
    ("no such container", "It is gone already: there is nothing to do."),
    ("executable file not found", "The image has no such program: check `command`."),
    ("no such file or directory", "Check the path."),
    ("could not find the file", "Check the path in the container."),
    ("permission denied", "Check who may do this on the node."),
)
_OTHERWISE = "The engine's own log on the node tells more: `journalctl -u docker`."
_DAEMON_WORDS = re.compile(r"^error response from daemon: |^driver failed programming ", re.I)


def refusal(what: str, said: str, status: int | None = None) -> ContainerError:
    """What the engine answered to `what`, such as "gpu-01: starting train"."""
    said = _DAEMON_WORDS.sub("", plain(" ".join(said.split()))[:400])
    return ContainerError(
        f"{what} failed: {said or 'the engine gave no reason'}", advice(said), status
    )


def advice(said: str) -> str:
    """What to do about an engine's words."""
    return known_advice(said) or _OTHERWISE


def known_advice(said: str) -> str | None:
    """What to do, where the words are known."""
    words = said.lower()
    return next((text for part, text in _ADVICE if part in words), None)
