"""The doctor and ssh-config on a node with a real engine."""

from __future__ import annotations

import json

from tests.lab.docker.dockerd import BASE
from tests.lab.docker.fixtures import DockerWorld


def test_what_containers_may_is_told_and_their_sshds_exported(docker_world: DockerWorld) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    socket = "/var/run/docker.sock:/var/run/docker.sock"
    for name, *options in (
        ("plain", "-p", "2222:22"),
        ("nosy", "-v", socket),
    ):
        dockerd.docker("run", "-d", "--name", name, *options, BASE, "sleep", "600")
    # This engine may not start it; what is read of it is there all the same.
    dockerd.docker("create", "--name", "mighty", "--privileged", BASE, "true")
    assert dockerd.inspect("mighty")["HostConfig"]["Privileged"] is True
    world.laptop.write_config(world.config())

    done = world.laptop.run(["gpuhop-tui", "doctor", "--json", "gpu-01"], check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["findings"]
    messages = {f["message"]: f for f in found if f["check"] == "containers"}
    assert set(messages) == {
        "the container nosy has the engine's socket (/var/run/docker.sock)",
    }
    assert all("docker stop" in each["command"] for each in messages.values())
    assert {f["severity"] for f in found if f["check"] == "docker"} == {"ok"}

    printed = world.laptop.run(["gpuhop-tui", "ssh-config", "--containers"], check=False)
    assert printed.returncode == 1  # gpu-02 has no engine
    assert "containers of gpu-02" in printed.stderr
    assert "Host gpu-01-plain\n" in printed.stdout
    assert "mighty" not in printed.stdout
