"""A container with an SSH server of its own, laid out as the preset `pytorch-ssh` has it."""

from __future__ import annotations

import shlex

from gpuhop_tui.containers.actions import HOST_KEY
from gpuhop_tui.containers.spec import SSH_PORT
from tests.lab.docker.dockerd import BASE, Dockerd
from tests.lab.waiting import wait_until

_SERVE = """
mkdir -p /etc/gpuhop /run/sshd /root/.ssh; chmod 700 /root/.ssh; chmod 755 /run/sshd
ssh-keygen -q -t ed25519 -N '' -C '' -f {key}
echo {authorized} >/root/.ssh/authorized_keys
exec /usr/sbin/sshd -D -e -f none -o HostKey={key} -o UsePAM=no -o PidFile=none
"""


def start_sshd(dockerd: Dockerd, name: str, authorized: str, *, port: int, at: str = "") -> str:
    """Starts it, published at `port` of the node's address `at` ("": all); returns its id."""
    key = HOST_KEY.removesuffix(".pub")
    script = _SERVE.format(key=key, authorized=shlex.quote(authorized))
    identity = dockerd.docker(
        "run", "-d", "--init", "--hostname", f"in-{name}", "--name", name,
        "-p", f"{at}:{port}:22" if at else f"{port}:22", "--label", f"{SSH_PORT}={port}",
        BASE, "sh", "-c", script,
    )  # fmt: skip
    wait_until(
        lambda: "listening" in dockerd.machine.run(["docker", "logs", name]).stderr,
        f"the sshd in {name}",
    )
    return identity
