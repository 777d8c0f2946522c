"""What a template says, what the engine is sent, and the line that does the same by hand."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.config.schema import TemplateConfig
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.spec import (
    ContainerSpec,
    Gpus,
    create_arguments,
    docker_run_line,
    from_template,
    mistakes,
    parse_gpus,
    read_port,
    read_size,
    to_template,
)

SPEC = ContainerSpec("image:1", "train")


def test_a_template_becomes_what_the_engine_is_sent() -> None:
    template = TemplateConfig(
        name="torch",
        image="pytorch:2.8",
        gpus=[0, "GPU-abc"],  # type: ignore[arg-type]
        shm_size="2gb",
        ports=("2222:22", "127.0.0.1:53:53/udp"),
        volumes=("/data:/mnt/data:ro",),
        env={"HF_HOME": "/mnt/data/hf"},
        command=("python", "train.py"),
        ssh_port=2222,
        user="1000",
        working_dir="/w",
        restart="on-failure",
        ipc="host",
        ulimits=("memlock=-1", "nofile=1:2"),
        labels={"team": "nlp"},
    )
    assert create_arguments(from_template(template)) == {
        "Image": "pytorch:2.8",
        "Cmd": ["python", "train.py"],
        "Env": ["HF_HOME=/mnt/data/hf"],
        "User": "1000",
        "WorkingDir": "/w",
        "Labels": {"team": "nlp", "gpuhop.template": "torch", "gpuhop.ssh-port": "2222"},
        "ExposedPorts": {"22/tcp": {}, "53/udp": {}},
        "HostConfig": {
            "Binds": ["/data:/mnt/data:ro"],
            "NetworkMode": "default",
            "ShmSize": 2 << 30,
            "IpcMode": "host",
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 0},
            "Ulimits": [
                {"Name": "memlock", "Soft": -1, "Hard": -1},
                {"Name": "nofile", "Soft": 1, "Hard": 2},
            ],
            "DeviceRequests": [
                {
                    "Driver": "",
                    "Capabilities": [["gpu"]],
                    "Options": {},
                    "DeviceIDs": ["0", "GPU-abc"],
                }
            ],
            "PortBindings": {
                "22/tcp": [{"HostIp": "", "HostPort": "2222"}],
                "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
            },
        },
    }


@pytest.mark.parametrize(
    "spec",
    [
        ContainerSpec("a:1", "x", Gpus(all=True), template="x"),
        ContainerSpec("a:1", "x", Gpus(), template="x"),
        ContainerSpec("a:1", "x", Gpus(pick=True), template="x"),
        ContainerSpec(
            "a:1", "x", Gpus(ids=("0", "GPU-a")), 3 << 20, (read_port("2222:22"),), ("/a:/b:ro",),
            {"A": "b"}, ("c",), ("d",), "root", "/w", "on-failure:3", "host", ("nofile=1",),
            {"l": "m"}, 2222, template="x",
        ),
    ],
)  # fmt: skip
def test_a_spec_is_saved_as_a_template_that_gives_it_again(spec: ContainerSpec) -> None:
    assert from_template(TemplateConfig(**to_template(spec, "x"))) == spec


@pytest.mark.parametrize(
    ("gpus", "words", "request_"),
    [
        (Gpus(all=True), ["--gpus", "all"], {"Count": -1}),
        (Gpus(count=2), ["--gpus", "2"], {"Count": 2}),
        (Gpus(ids=("0", "3")), ["--gpus", '"device=0,3"'], {"DeviceIDs": ["0", "3"]}),
        (Gpus(), [], None),
    ],
)
def test_gpus(gpus: Gpus, words: list[str], request_: dict[str, object] | None) -> None:
    spec = replace(SPEC, gpus=gpus)
    line = shlex.split(docker_run_line(spec))
    assert line == ["docker", "run", "-d", "--name", "train", *words, "image:1"]
    requests = create_arguments(spec)["HostConfig"].get("DeviceRequests")
    if request_ is None:
        assert requests is None
    else:
        assert request_.items() <= requests[0].items()


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("all", Gpus(all=True)),
        ("none", Gpus()),
        ("0", Gpus()),
        ("2", Gpus(count=2)),
        ("0,", Gpus(ids=("0",))),
        ("0, 3", Gpus(ids=("0", "3"))),
        ("GPU-ab12,MIG-1", Gpus(ids=("GPU-ab12", "MIG-1"))),
    ],
)
def test_what_a_person_writes_for_gpus(text: str, gpus: Gpus) -> None:
    assert parse_gpus(text) == gpus


@pytest.mark.parametrize("text", ["-1", "first", "0,x", "1.5"])
def test_what_is_no_choice_of_gpus(text: str) -> None:
    with pytest.raises(ValueError, match="count"):
        parse_gpus(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("2gb", 2 << 30), ("512m", 512 << 20), ("1.5g", 3 << 29), ("64", 64), ("1 KiB", 1024)],
)
def test_sizes(text: str, number: int) -> None:
    assert read_size(text) == number


@given(st.integers(0, 1 << 50))
def test_a_size_survives_the_line(number: int) -> None:
    words = shlex.split(docker_run_line(replace(SPEC, shm_size=number)))
    assert read_size(words[words.index("--shm-size") + 1]) == number


@pytest.mark.parametrize(
    "text", ["22", "2222:22", "127.0.0.1:2222:22", "[::1]:2222:22", "127.0.0.1::22", "53:53/udp"]
)
def test_a_port_is_written_as_it_was_read(text: str) -> None:
    port = read_port(text)
    assert str(port) == text
    assert port.container_port in (22, 53)


@pytest.mark.parametrize("text", ["", "a:b", ":22", "0:22", "1:70000", "2222:", "localhost:80:80"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="NODE_PORT"):
        read_port(text)


@given(
    st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text(), max_size=3),
    st.lists(st.text(min_size=1), max_size=3),
)
def test_the_line_means_what_was_meant_whatever_is_in_it(
    env: dict[str, str], command: list[str]
) -> None:
    """A shell that reads the line gives docker the very words."""
    spec = replace(SPEC, env=env, command=tuple(command))
    words = shlex.split(docker_run_line(spec))
    given_env = [words[k + 1] for k, word in enumerate(words[: len(words) - len(command)])
                 if word == "-e"]  # fmt: skip
    body = create_arguments(spec)
    assert given_env == body.get("Env", [])
    assert words[words.index("image:1") + 1 :] == body.get("Cmd", [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image": ""}, "needs an image"),
        ({"image": "-v"}, "needs an image"),
        ({"name": "a"}, "'a' is no name"),
        ({"name": "a b"}, "'a b' is no name"),
        ({"volumes": ("/x",)}, "'/x' is not"),
        ({"volumes": ("/x:relative",)}, "'/x:relative' is not"),
        ({"restart": "sometimes"}, "no restart policy"),
        ({"working_dir": "here"}, "begin with /"),
        ({"ulimits": ("nofile",)}, "'nofile' is no limit"),
        ({"env": {"A=B": "1"}}, "'A=B' is no name of a variable"),
        ({"gpus": Gpus(pick=True)}, "picked"),
    ],
)
def test_mistakes_are_said_before_anything_is_sent(change: dict[str, object], reason: str) -> None:
    spec = replace(SPEC, **change)  # type: ignore[arg-type]
    assert any(reason in wrong for wrong in mistakes(spec))
    with pytest.raises(ContainerError):
        create_arguments(spec)


def test_the_agents_socket_is_mounted_where_it_is_wanted() -> None:
    body = create_arguments(
        replace(SPEC, forward_agent=True, agent_directory="/run/user/1000/gpuhop")
    )
    assert body["HostConfig"]["Binds"] == ["/run/user/1000/gpuhop:/run/gpuhop-agent"]
    assert body["Env"] == ["SSH_AUTH_SOCK=/run/gpuhop-agent/agent.sock"]


def test_the_agent_s_mount_shows_in_the_docker_line_and_comes_back_as_a_template() -> None:
    spec = replace(SPEC, forward_agent=True)
    line = docker_run_line(spec)
    assert "~/.cache/gpuhop-tui/NODE/containers:/run/gpuhop-agent" in line
    assert "SSH_AUTH_SOCK=/run/gpuhop-agent/agent.sock" in line
    assert to_template(spec, "t")["forward_agent"] is True
    assert "forward_agent" not in to_template(SPEC, "t")
