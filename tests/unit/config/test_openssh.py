"""Aliases resolved by the real OpenSSH client."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from gpuhop_tui.config.openssh import Chain, OpenSsh
from gpuhop_tui.config.ssh_options import Destination, LocalUser
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

from .conftest import SshConfig, executable

HOME = LocalUser.current().home


async def resolve(environ: dict[str, str], alias: str = "a", *options: str) -> Chain:
    return await OpenSsh(environ).resolve("me", Destination(alias), options)


async def problem(environ: dict[str, str], alias: str = "a") -> Problem:
    with pytest.raises(ProblemError) as caught:
        await resolve(environ, alias)
    assert caught.value.problem.kind is ErrorKind.UNRESOLVED
    return caught.value.problem


async def test_everything_of_an_alias(ssh_config: SshConfig, tmp_path: Path) -> None:
    for name in ("key", "second key", "cert.pub"):
        (tmp_path / name).touch()
    environ = ssh_config(
        f"""
        Host a
          HostName %h.example.com
          Port 2222
          User bob
          IdentityFile {tmp_path}/key
          IdentityFile "{tmp_path}/second key"
          IdentityFile {tmp_path}/missing
          IdentityFile none
          CertificateFile {tmp_path}/cert.pub
          IdentitiesOnly yes
          IdentityAgent "{tmp_path}/agent of %h.sock"
          HostKeyAlias known-as
          UserKnownHostsFile {tmp_path}/one "{tmp_path}/and two" /dev/null
          GlobalKnownHostsFile {tmp_path}/global
          ForwardAgent yes
          ConnectTimeout 1m
          StrictHostKeyChecking no
        """
    )
    chain = await resolve(environ)
    hop = chain.hop
    assert chain.jumps == ()
    assert (hop.name, hop.host, hop.port, hop.user) == ("me", "a.example.com", 2222, "bob")
    assert hop.identity_files == (tmp_path / "key", tmp_path / "second key")
    assert hop.certificate_files == (tmp_path / "cert.pub",)
    assert hop.identities_only
    assert hop.identity_agent == f"{tmp_path}/agent of a.example.com.sock"
    assert hop.host_key_alias == "known-as"
    assert hop.known_hosts_files == (
        tmp_path / "one",
        tmp_path / "and two",
        tmp_path / "global",
    )
    assert hop.forward_agent
    assert hop.connect_timeout == 60
    assert hop.proxy_command is None


async def test_an_alias_that_no_host_line_names(ssh_config: SshConfig) -> None:
    hop = (await resolve(ssh_config(""), "Plain.Host")).hop
    assert (hop.host, hop.port, hop.user) == ("plain.host", 22, LocalUser.current().name)
    assert hop.known_hosts_files[0] == HOME / ".ssh" / "known_hosts"
    assert not hop.forward_agent
    assert hop.connect_timeout is None


async def test_include_and_match(ssh_config: SshConfig, tmp_path: Path) -> None:
    (tmp_path / "included").write_text("Host a\n  User from-include\n")
    environ = ssh_config(
        f"Include {tmp_path}/incl*\n"
        'Match originalhost a exec "test -n ${MARK}"\n  Port 2200\n'
        "Match user special\n  HostName special.host\n"
    )
    hop = (await resolve(environ | {"MARK": "1"})).hop
    assert (hop.user, hop.port) == ("from-include", 2200)
    special = await OpenSsh(environ).resolve("me", Destination("x", "special", 7))
    assert (special.hop.host, special.hop.user, special.hop.port) == ("special.host", "special", 7)


@pytest.mark.parametrize("value", ["none", "/dev/null"])
async def test_host_keys_are_checked_all_the_same(ssh_config: SshConfig, value: str) -> None:
    environ = ssh_config(f"Host a\n UserKnownHostsFile {value}\n GlobalKnownHostsFile {value}\n")
    assert (await resolve(environ)).hop.known_hosts_files == (HOME / ".ssh" / "known_hosts",)


async def test_tokens_and_variables_as_ssh_expands_them(
    ssh_config: SshConfig, tmp_path: Path
) -> None:
    """The client itself says in its debug output which files it would read."""
    environ = ssh_config(
        f"Host a\n HostName 127.0.0.9\n Port 2200\n User bob\n HostKeyAlias kk\n"
        f" ProxyCommand false\n IdentityFile {tmp_path}/%h-%r-%n-%p-%l-%L-%k-%u-%i-%C-%%\n"
        f" IdentityFile {tmp_path}/${{MARK}}/%d/x\n IdentityFile rel/%h\n"
    ) | {"MARK": "with %h"}
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-v", "a"),
        env=environ,
        cwd=tmp_path,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    told = (await process.communicate())[1].decode()
    names = [
        line.removeprefix("debug1: identity file ").rpartition(" type ")[0]
        for line in told.splitlines()
        if line.startswith("debug1: identity file ")
    ]
    expected = [tmp_path / name for name in names if not name.endswith("-cert")]
    assert len(expected) == 3
    for path in expected:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert list((await resolve(environ)).hop.identity_files) == expected
    finally:
        os.chdir(before)


async def test_files_beside_a_key(ssh_config: SshConfig, tmp_path: Path) -> None:
    for name in ("both", "both-cert.pub", "public.pub", "public-cert.pub"):
        (tmp_path / name).touch()
    environ = ssh_config(f"IdentityFile {tmp_path}/both\nIdentityFile {tmp_path}/public\n")
    hop = (await resolve(environ)).hop
    assert hop.identity_files == (tmp_path / "both", tmp_path / "public.pub")
    assert hop.certificate_files == (tmp_path / "both-cert.pub", tmp_path / "public-cert.pub")


async def test_proxy_command(ssh_config: SshConfig) -> None:
    environ = ssh_config(
        "Host a\n HostName h\n User u\n Port 7\n ProxyCommand nc -x p %h %p # %n %r %%\n"
        "Host off\n ProxyCommand none\n"
    )
    assert (await resolve(environ)).hop.proxy_command == "nc -x p h 7 # a u %"
    assert (await resolve(environ, "off")).hop.proxy_command is None


async def test_jump_chain(ssh_config: SshConfig) -> None:
    """The first jump keeps its own ProxyJump; the others are reached through the one before."""
    environ = ssh_config(
        """
        Host a
          ProxyJump one,u2@two:99,ssh://u3@three:33,u4@[::1]:44
        Host one
          HostName one.example.com
          User bob
          ProxyJump zero
        Host zero
          ProxyCommand relay %h
        Host two
          User ignored
          ProxyJump ignored
        Host three
          ProxyCommand ignored
        """
    )
    chain = await resolve(environ)
    assert [(h.name, h.user, h.host, h.port) for h in chain.jumps[1:]] == [
        ("one", "bob", "one.example.com", 22),
        ("u2@two:99", "u2", "two", 99),
        ("ssh://u3@three:33", "u3", "three", 33),
        ("u4@[::1]:44", "u4", "::1", 44),
    ]
    assert [h.proxy_command for h in chain.jumps] == ["relay zero", None, None, None, None]
    assert chain.hop.proxy_command is None


async def test_jump_with_tokens(ssh_config: SshConfig) -> None:
    environ = ssh_config("Host a\n User bob\n ProxyJump %r@gate-%n:22\n")
    (jump,) = (await resolve(environ)).jumps
    assert (jump.user, jump.host) == ("bob", "gate-a")


async def test_proxy_jump_none(ssh_config: SshConfig) -> None:
    environ = ssh_config("Host a\n ProxyJump none\nHost *\n ProxyJump gate\n")
    assert (await resolve(environ)).jumps == ()


@pytest.mark.parametrize(
    "text",
    [
        "Host a\n ProxyJump a\n",
        "Host a\n ProxyJump b\nHost b\n ProxyJump a\n",
        "Host a\n ProxyJump b\nHost b\n ProxyJump c\nHost c\n ProxyJump b\n",
        "Host *\n ProxyJump x%n\n",
    ],
)
async def test_circles(ssh_config: SshConfig, text: str) -> None:
    found = await problem(ssh_config(text))
    assert "circle" in found.message or "loop" in found.message or "no end" in found.message


async def test_a_broken_ssh_config(ssh_config: SshConfig) -> None:
    found = await problem(ssh_config("Host other\n  Bogus yes\n"))
    assert found.hop == "me"
    assert "line 2: Bad configuration option: bogus" in found.message
    assert "ssh -G a" in found.advice


async def test_what_ssh_would_refuse_to_expand(ssh_config: SshConfig) -> None:
    assert "%X" in (await problem(ssh_config("IdentityFile %X\n"))).message
    assert "${UNSET_X}" in (await problem(ssh_config("IdentityFile ${UNSET_X}/k\n"))).message
    assert "%C" in (await problem(ssh_config("ProxyCommand echo %C\n"))).message


async def test_no_client(tmp_path: Path) -> None:
    found = await problem({"PATH": str(tmp_path)})
    assert found.hop == "me"
    assert "no ssh client" in found.message
    assert "openssh-client" in found.advice


async def test_a_client_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    executable(tmp_path / "bin" / "ssh", f"sleep 600 & echo $$ $! > {tmp_path}/pids; wait")
    environ = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    with pytest.raises(ProblemError, match="did not answer within 1 s"):
        await OpenSsh(environ, timeout_seconds=1).resolve("me", Destination("a"))
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(map(_runs, pids)):
        assert time.monotonic() < deadline


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_an_alias_is_no_option(ssh_config: SshConfig, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    found = await problem(ssh_config(""), f"-oProxyCommand=touch {mark}")
    assert found.message
    assert not mark.exists()
