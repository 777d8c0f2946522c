"""Hosts of an ssh_config as a config: what comes out leads where ssh leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpuhop_tui.config.hops import Route
from gpuhop_tui.config.openssh import OpenSsh
from gpuhop_tui.config.plan import PlannedBastion, PlannedNode
from gpuhop_tui.config.resolve import plan_fleet
from gpuhop_tui.config.same_login import same_way
from gpuhop_tui.config.schema import Config
from gpuhop_tui.config.ssh_import import Imported, import_hosts
from gpuhop_tui.config.ssh_options import Destination

from .conftest import SshConfig

Raw = dict[str, Any]


async def imported(
    ssh_config: SshConfig, text: str, *aliases: str, existing: Raw | None = None
) -> Imported:
    """The import of `aliases`, each entry proved to lead where ssh leads."""
    environ = ssh_config(text)
    config = Config.model_validate(existing or {})
    found = await import_hosts(aliases, config, environ)
    raw = dict(existing or {})
    found.add_to(raw)
    plan = await plan_fleet(Config.model_validate(raw), environ)
    ssh = OpenSsh(environ)
    places: list[PlannedBastion | PlannedNode] = [*plan.bastions, *plan.nodes]
    for place in places:
        if place.name in aliases and place.name in found.names:
            chain = await ssh.resolve(place.name, Destination(place.name))
            assert isinstance(place.route, Route)
            assert same_way(place.route.hops, (*chain.jumps, chain.hop)), place.name
    return found


FLEET = """
Host outer
  HostName outer.example.org
  User ada
Host inner
  HostName 10.0.0.2
  ProxyJump outer
Host gpu-* lab
  ProxyJump inner
  User nlp
  ForwardAgent yes
Host gpu-01
  HostName 10.1.0.1
  Port 2222
Host gpu-02
  HostName fe80::2
Match host lab
  Port 7
"""


async def test_bastions_and_nodes(ssh_config: SshConfig) -> None:
    found = await imported(ssh_config, FLEET, "outer", "inner", "gpu-01", "gpu-02", "lab")
    assert found.bastions == (
        {"name": "outer", "host": "outer.example.org", "user": "ada"},
        {"name": "inner", "host": "10.0.0.2", "via": ["outer"]},
    )
    common = {"user": "nlp", "forward_agent": True, "via": ["inner"]}
    assert found.nodes == (
        {"name": "gpu-01", "host": "10.1.0.1", "port": 2222, **common},
        {"name": "gpu-02", "host": "fe80::2", **common},
        {"name": "lab", "host": "lab", "port": 7, **common},
    )
    assert found.left_out == ()


async def test_jump_hosts_that_are_no_alias(ssh_config: SshConfig) -> None:
    text = "Host a\n ProxyJump ada@one:2200,two\nHost b\n ProxyJump ada@one:2200\n"
    found = await imported(ssh_config, text, "a", "b")
    assert found.bastions == (
        {"name": "one", "host": "one", "port": 2200, "user": "ada"},
        {"name": "two", "host": "two", "via": ["one"]},
    )
    assert [node["via"] for node in found.nodes] == [["two"], ["one"]]


async def test_what_a_config_cannot_say_stays_an_alias(
    ssh_config: SshConfig, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).touch()
    text = f"""
    Host keys
      IdentityFile {tmp_path}/one
      IdentityFile {tmp_path}/two
    Host key
      IdentityFile {tmp_path}/one
    Host proxy
      ProxyCommand nc %h %p
    Host agent
      IdentityAgent none
    Host environment
      SetEnv A=b
    Host behind
      ProxyJump agent
    """
    names = ("keys", "key", "proxy", "agent", "environment", "behind")
    found = await imported(ssh_config, text, *names)
    tables = {table["name"]: table for table in (*found.bastions, *found.nodes)}
    for name in ("keys", "proxy", "agent", "environment"):
        assert tables[name] == {"name": name, "ssh": name}
    assert tables["key"]["identity_file"] == str(tmp_path / "one")
    assert tables["behind"] == {"name": "behind", "host": "behind", "via": ["agent"]}
    assert [table["name"] for table in found.bastions] == ["agent"]


async def test_a_second_jump_with_a_way_of_its_own(ssh_config: SshConfig) -> None:
    """ssh reaches it through the first, whatever its own entry says."""
    text = "Host x y\nHost c\n ProxyJump x\nHost node\n ProxyJump y,c\nHost other\n ProxyJump c\n"
    await imported(ssh_config, text, "x", "y", "c", "node", "other")


async def test_forges_and_broken_hosts_are_left_out(ssh_config: SshConfig) -> None:
    text = "Host github.com\n User git\nHost broken\n ProxyJump broken\nHost fine\n"
    found = await imported(ssh_config, text, "github.com", "broken", "fine")
    assert found.names == ("fine",)
    reasons = dict(found.left_out)
    assert "no shell" in reasons["github.com"]
    assert "loop" in reasons["broken"]


async def test_a_second_import_adds_nothing(ssh_config: SshConfig) -> None:
    names = ("outer", "inner", "gpu-01", "gpu-02", "lab")
    first = await imported(ssh_config, FLEET, *names)
    again = await imported(ssh_config, FLEET, *names, existing=first.tables())
    assert again.names == ()
    assert {name for name, _ in again.left_out} == set(names)


async def test_what_the_config_has_by_another_name(ssh_config: SshConfig) -> None:
    existing: Raw = {
        "bastions": [
            {"name": "gate", "host": "outer.example.org", "user": "ada"},
        ],
        "nodes": [
            {"name": "mine", "ssh": "gpu-01"},
            {"name": "gpu-02", "host": "somewhere.else"},
        ],
    }
    names = ("outer", "inner", "gpu-01", "gpu-02", "lab")
    found = await imported(ssh_config, FLEET, *names, existing=existing)
    assert found.names == ("inner", "lab")
    assert found.bastions[0]["via"] == ["gate"]
    reasons = dict(found.left_out)
    assert reasons["outer"] == 'it is the bastion "gate"'
    assert reasons["gpu-01"] == "the config has it"
    assert reasons["gpu-02"] == "the config has another entry of that name"


async def test_a_bastion_of_a_taken_name_comes_only_where_it_is_needed(
    ssh_config: SshConfig,
) -> None:
    taken = [{"name": name, "host": f"other-{name}.example.org"} for name in ("outer", "inner")]
    existing: Raw = {
        "bastions": taken,
        "nodes": [{"name": name, "host": "somewhere.else"} for name in ("gpu-01", "gpu-02", "lab")],
    }
    names = ("outer", "inner", "gpu-01", "gpu-02", "lab")
    found = await imported(ssh_config, FLEET, *names, existing=existing)
    assert found.names == ()
    assert dict(found.left_out)["outer"] == "the config has another entry of that name"
    existing["nodes"] = existing["nodes"][1:]
    found = await imported(ssh_config, FLEET, *names, existing=existing)
    assert "gpu-01" in found.names
    assert set(found.nodes[0]["via"]) <= set(found.names)


async def test_unknown_keys_of_a_config_stay(ssh_config: SshConfig) -> None:
    found = await imported(ssh_config, "Host a\n", "a")
    raw: Raw = {"ui": {"theme": "nord"}, "nodes": [{"name": "b", "host": "b"}]}
    found.add_to(raw)
    assert raw["ui"] == {"theme": "nord"}
    assert [node["name"] for node in raw["nodes"]] == ["b", "a"]
