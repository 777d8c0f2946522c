"""Entries for OpenSSH: the real client resolves each to the route that it was made from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuhop_tui.config.hops import Route
from gpuhop_tui.config.openssh import OpenSsh
from gpuhop_tui.config.plan import Plan, PlannedBastion, PlannedNode
from gpuhop_tui.config.resolve import plan_fleet
from gpuhop_tui.config.same_login import same_way
from gpuhop_tui.config.schema import Config
from gpuhop_tui.config.ssh_export import Door, Export, export, render, template_doors
from gpuhop_tui.config.ssh_options import Destination

from .conftest import SshConfig

Raw = dict[str, Any]


def relay(host: str, port: int) -> str:
    return f"exec nc '{host}' {port} # 100 %"


async def exported(
    raw: Raw, environ: dict[str, str], *, taken: tuple[str, ...] = (), doors: tuple[Door, ...] = ()
) -> tuple[Plan, Export]:
    config = Config.model_validate(raw)
    plan = await plan_fleet(config, environ)
    found = (*template_doors(plan, config.templates), *doors)
    made = await export(plan, config, doors=found, taken=taken, relay=relay, environ=environ)
    return plan, made


async def disagreements(plan: Plan, made: Export, environ: dict[str, str]) -> list[str]:
    """The bastions and nodes of which ssh -G says another way than the plan."""
    ssh, wrong = OpenSsh(environ), []
    assert made.hosts is not None
    places: list[PlannedBastion | PlannedNode] = [*plan.bastions, *plan.nodes]
    for place in places:
        if not isinstance(place.route, Route) or place.name not in made.hosts:
            continue
        host = made.hosts[place.name]
        chain = await ssh.resolve(host, Destination(host))
        if not same_way((*chain.jumps, chain.hop), place.route.hops):
            wrong.append(f"{place.name}: {(*chain.jumps, chain.hop)} is not {place.route.hops}")
    return wrong


HOSTS = st.sampled_from(["10.0.0.50", "gpu.example.org", "fe80::1", "2001:db8::7", "a%b.example"])
USERS = st.sampled_from(["ada", "team nlp", "x.y"])
SERVER: dict[str, st.SearchStrategy[Any]] = {
    "host": HOSTS,
    "port": st.integers(1, 65535),
    "user": USERS,
    "forward_agent": st.booleans(),
    "identity_file": st.sampled_from(["id a", "id%h", "#id", 'i"d', "id\\"]),
}


@st.composite
def fleets(draw: st.DrawFn) -> Raw:
    def server(name: str, before: list[str]) -> Raw:
        keys = draw(st.sets(st.sampled_from([*SERVER, "via"])))
        entry: Raw = {"name": name, "host": draw(HOSTS)}
        for key in sorted(keys - {"via"}):
            entry[key] = draw(SERVER[key])
        if "via" in keys and before:
            entry["via"] = draw(
                st.lists(st.sampled_from(before), unique=True, min_size=1, max_size=2)
            )
        return entry

    names = [f"bastion {n}" for n in range(draw(st.integers(0, 3)))]
    bastions = [server(name, names[:index]) for index, name in enumerate(names)]
    nodes = [server(f"gpu-{n}", names) for n in range(draw(st.integers(1, 3)))]
    return {"bastions": bastions, "nodes": nodes}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=fleets())
def test_ssh_resolves_each_entry_to_its_route(
    ssh_config: SshConfig, tmp_path: Path, raw: Raw
) -> None:
    for entry in (*raw["bastions"], *raw["nodes"]):
        if "identity_file" in entry:
            key = tmp_path / "keys" / entry["identity_file"]
            key.parent.mkdir(exist_ok=True)
            key.touch()
            entry["identity_file"] = str(key)

    async def check() -> None:
        environ = ssh_config("")
        plan, made = await exported(raw, environ)
        # What the user says of all hosts stands behind, and changes nothing.
        after = "Host *\n  Port 9\n  User nobody\n  ProxyJump elsewhere\n  ForwardAgent yes\n"
        environ = ssh_config(render(made, tmp_path / "config.toml") + after)
        assert await disagreements(plan, made, environ) == []
        assert made.left_out == ()
        assert len(made.entries) == len(plan.bastions) + len(plan.nodes)

    asyncio.run(check())


async def test_a_bastion_that_forbids_forwarding_relays_by_a_command(
    ssh_config: SshConfig, tmp_path: Path
) -> None:
    raw = {
        "bastions": [
            {"name": "outer", "host": "10.0.0.1"},
            {"name": "strict", "host": "10.1.0.1", "via": "outer", "transport": "exec"},
            {"name": "inner", "host": "10.2.0.1", "via": "strict"},
        ],
        "nodes": [{"name": "gpu-01", "host": "10.3.0.1", "port": 2222, "via": "inner"}],
    }
    _, made = await exported(raw, ssh_config(""))
    environ = ssh_config(render(made, tmp_path / "c"))
    inner = (await OpenSsh(environ).resolve("inner", Destination("inner"))).hop
    assert inner.proxy_command is not None
    command = """ssh -T -e none -- strict 'exec nc '"'"'10.2.0.1'"'"' 22 # 100 %'"""
    assert inner.proxy_command == command
    chain = await OpenSsh(environ).resolve("gpu-01", Destination("gpu-01"))
    assert [hop.host for hop in chain.jumps] == ["10.2.0.1"]
    assert (await OpenSsh(environ).resolve("s", Destination("strict"))).jumps[0].host == "10.0.0.1"


async def test_a_relay_in_a_chain_of_one_node_is_said_and_left_out(ssh_config: SshConfig) -> None:
    raw = {
        "bastions": [
            {"name": "strict", "host": "10.1.0.1", "transport": "exec"},
            {"name": "inner", "host": "10.2.0.1"},
        ],
        "nodes": [{"name": "gpu-01", "host": "10.3.0.1", "via": ["strict", "inner"]}],
    }
    _, made = await exported(raw, ssh_config(""))
    assert [entry.name for entry in made.entries] == ["strict", "inner"]
    assert made.left_out[0][0] == "gpu-01"
    assert "give it `via`" in made.left_out[0][1]


OWN = """
Host lab
  HostName 10.9.0.1
  User ada
  ProxyJump jumper@gate:2200
Host gate
  HostName gate.example.org
  IdentityAgent none
Host gpu-01
  HostName elsewhere
"""


async def test_the_users_own_entries_are_never_shadowed(
    ssh_config: SshConfig, tmp_path: Path
) -> None:
    raw = {
        "nodes": [
            {"name": "lab", "ssh": "lab"},
            {"name": "lab as bob", "ssh": "lab", "user": "bob"},
            {"name": "gpu-01", "host": "10.0.0.50"},
            {"name": "same", "host": "10.9.0.1", "user": "ada", "port": 7},
        ]
    }
    plan, made = await exported(raw, ssh_config(OWN), taken=("lab", "gate", "gpu-01"))
    text = render(made, tmp_path / "c")
    assert made.hosts is not None
    assert made.hosts["lab"] == "lab"
    assert made.hosts["gpu-01"] == "gpu-01.gpuhop"
    assert "No entry for lab: your own entry of that name leads there" in text
    named = {
        word for line in text.splitlines() if line.startswith("Host ") for word in line.split()
    }
    assert not named & {"lab", "gate", "gpu-01"}
    environ = ssh_config(text + OWN)
    assert await disagreements(plan, made, environ) == []
    assert (await OpenSsh(environ).resolve("x", Destination("gpu-01"))).hop.host == "elsewhere"


async def test_an_alias_by_another_name_says_all_that_the_alias_says(
    ssh_config: SshConfig, tmp_path: Path
) -> None:
    (tmp_path / "key").touch()
    own = f"""
    Host a
      HostName 2001:db8::1
      IdentityFile "{tmp_path}/key"
      IdentitiesOnly yes
      IdentityAgent "{tmp_path}/my agent"
      HostKeyAlias shown-as
      UserKnownHostsFile {tmp_path}/known
      StrictHostKeyChecking yes
      ConnectTimeout 7
      BindAddress 127.0.0.1
      AddressFamily inet6
      PreferredAuthentications publickey
      NumberOfPasswordPrompts 1
      Ciphers aes256-gcm@openssh.com
      ForwardAgent {tmp_path}/lent
      ProxyCommand nc -x proxy %h %p
    """
    plan, made = await exported(
        {"nodes": [{"name": "b", "ssh": "a"}]}, ssh_config(own), taken=("a",)
    )
    environ = ssh_config(render(made, tmp_path / "c"))
    assert await disagreements(plan, made, environ) == []


async def test_the_agent_of_this_shell_is_not_written_down(ssh_config: SshConfig) -> None:
    environ = ssh_config("Host a\n IdentityAgent SSH_AUTH_SOCK\n") | {"SSH_AUTH_SOCK": "/run/x"}
    _, made = await exported({"nodes": [{"name": "b", "ssh": "a"}]}, environ)
    assert "IdentityAgent" not in dict(made.entries[0].settings)


async def test_containers_with_an_sshd(ssh_config: SshConfig, tmp_path: Path) -> None:
    raw = {
        "agent": {"socket": "/run/agent 1"},
        "nodes": [{"name": "gpu-01", "host": "10.0.0.50", "forward_agent": True}],
        "templates": [
            {"name": "pytorch ssh", "image": "i", "ssh_port": 2222, "ports": ["2222:22"]},
            {"name": "bound", "image": "i", "ssh_port": 2223, "ports": ["10.0.0.50:2223:22"]},
            {"name": "none", "image": "i"},
        ],
    }
    _, made = await exported(raw, ssh_config(""), doors=(Door("gpu-01", "mine", 2224, user="ada"),))
    environ = ssh_config(render(made, tmp_path / "c"))
    assert made.hosts is not None
    assert "gpu-01/none" not in made.hosts
    for name, port, address, user in (
        ("gpu-01-pytorch-ssh", 2222, "127.0.0.1", "root"),
        ("gpu-01-bound", 2223, "10.0.0.50", "root"),
        ("gpu-01-mine", 2224, "127.0.0.1", "ada"),
    ):
        chain = await OpenSsh(environ).resolve(name, Destination(name))
        assert (chain.hop.host, chain.hop.port, chain.hop.user) == (address, port, user)
        assert chain.hop.host_key_alias == name
        assert chain.hop.forward_agent
        assert chain.hop.identity_agent == "/run/agent 1"
        assert [jump.host for jump in chain.jumps] == ["10.0.0.50"]


async def test_what_has_no_entry_is_said(ssh_config: SshConfig, tmp_path: Path) -> None:
    key = tmp_path / "${HOME}"
    key.touch()
    raw = {
        "nodes": [
            {"name": "odd", "host": "h", "identity_file": str(key)},
            {"name": "per%cent", "host": "h", "user": "a%b"},
            {"name": "gone", "host": "h", "identity_file": "/no/such/key"},
        ],
        "templates": [{"name": "t", "image": "i", "ssh_port": 2222}],
    }
    _, made = await exported(raw, ssh_config(""))
    assert made.entries == ()
    reasons = dict(made.left_out)
    assert "variable" in reasons["odd"]
    assert "does not exist" in reasons["gone"]
    assert "different ways" in reasons["per%cent"]
    assert reasons["odd/t"] == "odd has none"
    assert all(line.startswith("#") or not line for line in render(made, key).splitlines())


async def test_names_that_become_one(ssh_config: SshConfig) -> None:
    raw = {"nodes": [{"name": n, "host": "h", "port": p} for p, n in enumerate(("a b", "a-b"), 1)]}
    _, made = await exported(raw, ssh_config(""))
    assert [entry.host for entry in made.entries] == ["a-b", "a-b-2"]
