"""The schema: what is accepted, and that nothing is silently converted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from gpuhop_tui.config.schema import AgentConfig, Config, NodeConfig, TemplateConfig


def config(text: str) -> Config:
    return Config.model_validate(tomllib.loads(text))


def test_an_empty_file_is_all_defaults() -> None:
    empty = config("")
    assert empty.ui.sample_interval == 2.0
    assert empty.agent.key_lifetime == 8 * 3600
    assert empty.agent.guard.default == "ask"
    assert empty.nodes == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28800), ("30m", 1800), ("2d", 172800), ("1h30m", 5400), ("90", 90), ("1W", 604800)],
)
def test_durations_as_openssh_writes_them(text: str, seconds: int) -> None:
    assert AgentConfig(key_lifetime=text).key_lifetime == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "h",
        "8x",
        "-1h",
        "1.5h",
        "0",
        0,
        -5,
        True,
        1.5,
        "9" * 40 + "x",
        "9" * 5000,
        "99999w",
        1 << 32,
    ],
)
def test_bad_durations(value: object) -> None:
    with pytest.raises(ValidationError):
        AgentConfig.model_validate({"key_lifetime": value})


def test_via_is_a_name_or_a_list() -> None:
    assert NodeConfig(name="a", host="h", via="b").via == ("b",)  # type: ignore[arg-type]
    assert NodeConfig.model_validate({"name": "a", "host": "h", "via": ["b", "c"]}).via == (
        "b",
        "c",
    )
    assert NodeConfig(name="a", host="h").via is None


def test_tilde_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    node = NodeConfig.model_validate({"name": "a", "host": "h", "identity_file": "~/k"})
    assert node.identity_file == tmp_path / "k"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "-oProxyCommand=evil"),
        ("host", "a b"),
        ("host", "h\nHost *"),
        ("host", "h;reboot"),
        ("host", ""),
        ("host", "me@h"),
        ("host", "h:22"),
        ("user", "-l"),
        ("user", "u\x00"),
        ("user", "$(id)"),
        ("ssh", "-oProxyCommand=evil"),
        ("ssh", "a\x1b[2J"),
        ("name", "-n"),
        ("name", "node/container"),
        ("name", ""),
        ("identity_file", "relative/key"),
        ("port", 0),
        ("port", 65536),
        ("port", "22"),
        ("port", True),
        ("forward_agent", 1),
        ("via", 1),
        ("transport", "tcp"),
    ],
)
def test_a_node_refuses(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        NodeConfig.model_validate({"name": "n", "host": "h"} | {key: value})


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "gpu.example.com", "fe80::1%eth0", "::1", "gpu_01", "münchen.example"]
)
def test_hosts(host: str) -> None:
    assert NodeConfig(name="n", host=host).host == host


def test_brackets_of_ipv6_are_taken_off() -> None:
    assert NodeConfig(name="n", host="[::1]").host == "::1"


@pytest.mark.parametrize("gpus", ["all", "pick", 0, 2, [0, 1], ["GPU-1a"]])
def test_gpus(gpus: object) -> None:
    template = TemplateConfig.model_validate({"name": "t", "image": "i:1", "gpus": gpus})
    assert template.gpus == (tuple(gpus) if isinstance(gpus, list) else gpus)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gpus", "some"),
        ("gpus", True),
        ("gpus", -1),
        ("gpus", []),
        ("gpus", [1.5]),
        ("shm_size", "big"),
        ("ports", ["99999:22"]),
        ("ports", ["a:b"]),
        ("ports", "22:22"),
        ("volumes", ["/data"]),
        ("volumes", ["/data:relative"]),
        ("env", {"A": 1}),
        ("build", {}),
        ("build", {"preset": "p", "dockerfile": "/f"}),
    ],
)
def test_a_template_refuses(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        TemplateConfig.model_validate({"name": "t", "image": "i"} | {key: value})


def test_a_config_does_not_change() -> None:
    with pytest.raises(ValidationError):
        config("").ui.theme = "x"  # type: ignore[misc]
