"""Images come to a node: pulled with progress, or built there, from a Dockerfile or the preset."""

from __future__ import annotations

import asyncio
import contextlib
import io
import tarfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from gpuhop_tui.config.schema import BuildConfig
from gpuhop_tui.containers.actions import ssh_host_key
from gpuhop_tui.containers.build import BuildProgress, build
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.pull import pull
from tests.lab.docker.dockerd import BASE, SLOW_PORT, Dockerd
from tests.lab.docker.driving import container, engine_of
from tests.lab.docker.fixtures import DockerWorld
from tests.lab.driving import up
from tests.lab.waiting import await_until

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB5NuQG7bK7oMPsRJM9uY4Um1U50rtsZjvVylGIBfycz mira"

Step = TypeVar("Step")


async def last_of(steps: AsyncGenerator[Step, None]) -> list[Step]:
    async with contextlib.aclosing(steps) as each:
        return [step async for step in each]


async def until(steps: AsyncGenerator[Step, None], condition: Callable[[Step], bool]) -> Step:
    """The first step for which the condition holds; the rest goes on being there."""
    async for step in steps:
        if condition(step):
            return step
    raise AssertionError("it never came to that")


def publish(dockerd: Dockerd, registry: str, name: str, megabytes: int) -> str:
    """Puts an image of random bytes into the registry, and away from the node."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar, Path("/dev/urandom").open("rb") as random:
        entry = tarfile.TarInfo("data")
        entry.size = megabytes << 20
        tar.addfile(entry, random)
    path = dockerd.machine.directory / "layer.tar"
    path.write_bytes(archive.getvalue())
    image = f"{registry}/{name}:1"
    dockerd.docker("import", "/opt/lab/layer.tar", image)
    dockerd.docker("push", image)
    dockerd.docker("rmi", image)
    path.unlink()
    return image.replace(registry, f"127.0.0.1:{SLOW_PORT}")


# Pulling


async def test_a_pull_tells_its_progress(docker_world: DockerWorld) -> None:
    image = publish(docker_world.dockerd, docker_world.registry, "some", 2)
    async with engine_of(docker_world.world) as engine:
        steps = await last_of(pull(engine, image))
    assert steps[-1].done
    downloading = [step for step in steps if 0 < step.downloaded_bytes < step.total_bytes]
    assert downloading, "there is progress on the way"
    fractions = [step.downloaded_bytes for step in steps]
    assert fractions == sorted(fractions)
    assert any(step.bytes_per_second and step.eta_seconds is not None for step in downloading)
    assert steps[-1].downloaded_bytes == steps[-1].total_bytes > 2_000_000
    assert all(layer.done for layer in steps[-1].layers)
    assert steps[-1].digest is not None
    assert image in docker_world.dockerd.docker("images", "--format", "{{.Repository}}:{{.Tag}}")


async def test_leaving_a_pull_cancels_it(docker_world: DockerWorld) -> None:
    image = publish(docker_world.dockerd, docker_world.registry, "cancelled", 12)
    async with engine_of(docker_world.world) as engine:
        steps = pull(engine, image)
        await until(steps, lambda step: step.downloaded_bytes > 1_000_000)
        await steps.aclose()
        assert await engine.call("listing", lambda client: client.ping())
        assert engine._open_streams == 0
    assert "cancelled" not in docker_world.dockerd.docker("images")


async def test_a_pull_goes_on_after_a_lost_link(docker_world: DockerWorld) -> None:
    image = publish(docker_world.dockerd, docker_world.registry, "resumed", 4)
    async with engine_of(docker_world.world) as engine:
        steps = pull(engine, image)
        await until(steps, lambda step: step.downloaded_bytes > 500_000)
        connection = await engine.link.connection()
        connection.abort()
        waiting = await until(steps, lambda step: step.waiting is not None)
        assert waiting.waiting is not None
        assert "connection lost" in waiting.waiting
        rest = await last_of(steps)
        await up(engine.link)
    assert rest[-1].done
    assert rest[-1].attempt == 2
    assert "resumed" in docker_world.dockerd.docker("images")


async def test_what_a_registry_refuses(docker_world: DockerWorld) -> None:
    async with engine_of(docker_world.world) as engine:
        with pytest.raises(ContainerError, match="not found") as raised:
            await last_of(pull(engine, f"{docker_world.registry}/nothing:1"))
        assert "Check the tag" in raised.value.advice
        with pytest.raises(ContainerError, match="connection refused") as raised:
            await last_of(pull(engine, "127.0.0.1:1/nothing"))
        assert "registry does not answer" in raised.value.advice


# Building


def write(folder: Path, files: dict[str, str]) -> BuildConfig:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return BuildConfig(dockerfile=folder / "Dockerfile")


async def test_a_build_from_the_laptop(docker_world: DockerWorld, tmp_path: Path) -> None:
    config = write(
        tmp_path,
        {
            "Dockerfile": f"FROM {BASE}\nCOPY . /in\nRUN echo a step says\nCMD find /in -type f\n",
            ".dockerignore": "# not these\n*.bin\nsecret/*\n!secret/public\n",
            "train.py": "print()",
            "data.bin": "x",
            "secret/token": "x",
            "secret/public": "x",
            "id_ed25519": "not really",
        },
    )
    async with engine_of(docker_world.world) as engine:
        steps = await last_of(build(engine, "mine:1", config, [KEY]))
    last = steps[-1]
    assert last.done
    assert (last.step, last.steps, last.image_id is not None) == (4, 4, True)
    assert "a step says" in last.lines
    assert last.sent_bytes == last.context_bytes > 0
    assert last.secrets == ("id_ed25519",)
    found = docker_world.dockerd.docker("run", "--rm", "mine:1").split()
    assert sorted(found) == [
        "/in/.dockerignore", "/in/Dockerfile", "/in/authorized_keys", "/in/id_ed25519",
        "/in/secret/public", "/in/train.py",
    ]  # fmt: skip
    inside = docker_world.dockerd.docker("run", "--rm", "mine:1", "cat", "/in/authorized_keys")
    assert inside == KEY


async def test_a_step_that_fails_is_named_with_its_words(
    docker_world: DockerWorld, tmp_path: Path
) -> None:
    text = f"FROM {BASE}\nRUN echo no such package >&2; exit 9\n"
    config = write(tmp_path, {"Dockerfile": text})
    seen: list[BuildProgress] = []

    async def built() -> None:
        async with engine_of(docker_world.world) as engine:
            async for step in build(engine, "mine:1", config, []):
                seen.append(step)

    with pytest.raises(ContainerError, match=r"step 2 of 2: .*returned a non-zero") as raised:
        await built()
    assert "(no such package)" in raised.value.message
    assert "no such package" in seen[-1].lines


async def test_leaving_a_build_cancels_it(docker_world: DockerWorld, tmp_path: Path) -> None:
    config = write(tmp_path, {"Dockerfile": f"FROM {BASE}\nRUN echo begun; sleep 600\n"})
    dockerd = docker_world.dockerd
    async with engine_of(docker_world.world) as engine:
        steps = build(engine, "mine:1", config, [])
        await until(steps, lambda step: "begun" in step.lines)
        assert await asyncio.to_thread(dockerd.docker, "ps", "-q")
        await steps.aclose()
        await await_until(
            lambda: not dockerd.docker("ps", "-q"), "the end of the step's container", 20
        )


async def test_a_build_is_begun_again_after_a_lost_link(
    docker_world: DockerWorld, tmp_path: Path
) -> None:
    text = f"FROM {BASE}\nRUN echo first\nRUN sleep 1; echo second\n"
    config = write(tmp_path, {"Dockerfile": text})
    async with engine_of(docker_world.world) as engine:
        steps = build(engine, "mine:1", config, [])
        await until(steps, lambda step: step.step == 3)
        (await engine.link.connection()).abort()
        rest = await last_of(steps)
    assert any(step.waiting for step in rest)
    assert (rest[-1].done, rest[-1].attempt) == (True, 2)
    assert " ---> Using cache" in rest[-1].lines, "what was finished is not done again"
    assert docker_world.dockerd.docker("images", "-q", "mine:1")


# The preset


async def test_the_preset_from_the_config_to_a_login_through_the_bastion(
    docker_world: DockerWorld,
) -> None:
    world, dockerd = docker_world.world, docker_world.dockerd
    laptop = world.laptop
    template = {
        "name": "torch",
        "image": "pytorch-ssh:2.8",
        "gpus": 2,
        "shm_size": "2gb",
        "ports": ["2222:22"],
        "volumes": ["/home:/mnt/home:ro"],
        "env": {"TOKEN": "it's $s3cr3t"},
        "ssh_port": 2222,
        "build": {"preset": "pytorch-ssh", "base": BASE},
    }
    laptop.write_config(world.config(templates=[template]))
    done = await laptop.arun(["gpuhop-tui", "run", "torch", "gpu-01"], check=False)
    assert done.returncode == 0, done.stderr
    assert "step 9/9" in done.stderr
    facts = dockerd.inspect("torch")
    assert facts["HostConfig"]["ShmSize"] == 2 << 30
    assert facts["HostConfig"]["PortBindings"] == {"22/tcp": [{"HostIp": "", "HostPort": "2222"}]}
    assert len(facts["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]) == 2
    assert facts["HostConfig"]["Binds"] == ["/home:/mnt/home:ro"]

    def ssh(*words: str) -> list[str]:
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        return ["ssh", "-q", *options, "-J", "gpu-01", "-p", "2222", *words]

    # By the agent's key, with the container's own environment; a password is not even asked for.
    said = (await laptop.arun(ssh("root@127.0.0.1", 'printf "%s|" "$TOKEN"; tmux -V'))).stdout
    assert said.startswith("it's $s3cr3t|tmux")
    no_key = ["-o", "PubkeyAuthentication=no", "-v", "root@127.0.0.1", "true"]
    refused = await laptop.arun(["ssh", *ssh(*no_key)[2:]], check=False)
    assert refused.returncode == 255
    assert "Authentications that can continue: publickey\n" in refused.stderr.replace("\r", "")

    # Neither host keys nor secrets are in the image, and each container has a key of its own.
    keys = "ls /etc/gpuhop /etc/ssh 2>/dev/null | grep -c host_key"
    in_image = ["run", "--rm", "--entrypoint", "sh", "pytorch-ssh:2.8", "-c"]
    assert dockerd.docker(*in_image, keys, check=False) == "0"
    assert "s3cr3t" not in dockerd.docker("history", "--no-trunc", "pytorch-ssh:2.8")
    own = dockerd.docker("exec", "torch", "cat", "/etc/gpuhop/host_key.pub")
    async with engine_of(world) as engine:
        assert own.startswith(str(await ssh_host_key(engine, await container(engine, "torch"))))
    dockerd.docker("restart", "-t", "0", "torch")
    assert dockerd.docker("exec", "torch", "cat", "/etc/gpuhop/host_key.pub") == own
    dockerd.docker("commit", "torch", "torch:copy")
    dockerd.docker("run", "-d", "--name", "copy", "torch:copy")
    await await_until(
        lambda: (
            dockerd.docker("exec", "copy", "cat", "/etc/gpuhop/host_key.pub", check=False)
            not in ("", own)
        ),
        "a host key of its own",
    )
    written = dockerd.docker("exec", "torch", "grep", "-rl", "s3cr3t", "/etc", "/run", check=False)
    assert written == ""
