"""Settings that restrict a login, read from the real client; those not followed are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuhop_tui.config.hops import AUTH_METHODS, Hop
from gpuhop_tui.config.openssh import OpenSsh
from gpuhop_tui.config.ssh_options import Destination, LocalUser, parse_dump
from gpuhop_tui.config.ssh_settings import HONOURED, NEUTRAL, not_followed, same

from .conftest import SshConfig, executable

HOME = LocalUser.current().home


async def hop(environ: dict[str, str], alias: str = "a") -> Hop:
    return (await OpenSsh(environ).resolve("me", Destination(alias))).hop


async def test_a_plain_alias_restricts_nothing(ssh_config: SshConfig) -> None:
    plain = await hop(ssh_config("Host a\n HostName h\n"))
    assert plain == Hop(
        "me",
        "h",
        22,
        LocalUser.current().name,
        identity_files=plain.identity_files,
        certificate_files=plain.certificate_files,
        known_hosts_files=plain.known_hosts_files,
    )
    assert plain.not_followed == ()
    assert plain.auth_methods == AUTH_METHODS


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("HostKeyAlgorithms rsa-sha2-256", "host_key_algorithms", ("rsa-sha2-256",)),
        ("KexAlgorithms curve25519-sha256", "kex_algorithms", ("curve25519-sha256",)),
        ("Ciphers aes256-ctr,aes128-ctr", "ciphers", ("aes256-ctr", "aes128-ctr")),
        ("MACs hmac-sha2-512", "macs", ("hmac-sha2-512",)),
        ("PubkeyAcceptedAlgorithms ssh-ed25519", "pubkey_algorithms", ("ssh-ed25519",)),
        ("BindAddress 10.1.2.3", "bind_address", "10.1.2.3"),
        ("AddressFamily inet6", "address_family", "inet6"),
        ("NumberOfPasswordPrompts 1", "password_prompts", 1),
        ("StrictHostKeyChecking yes", "strict_host_keys", True),
        ("HashKnownHosts yes", "hash_known_hosts", True),
        ("PubkeyAuthentication no", "auth_methods", ("keyboard-interactive", "password")),
        ("PasswordAuthentication no", "auth_methods", ("publickey", "keyboard-interactive")),
        ("KbdInteractiveAuthentication no", "auth_methods", ("publickey", "password")),
        ("PubkeyAuthentication unbound", "auth_methods", AUTH_METHODS),
        (
            "PreferredAuthentications gssapi-with-mic,password,publickey",
            "auth_methods",
            ("password", "publickey"),
        ),
        ("PreferredAuthentications hostbased", "auth_methods", ()),
        ("RevokedHostKeys ~/revoked", "revoked_host_keys", HOME / "revoked"),
        ("RevokedHostKeys none", "revoked_host_keys", None),
        ("KnownHostsCommand none", "known_hosts_command", ()),
        (
            'KnownHostsCommand /bin/known "%H x" %I %n %p %%f',
            "known_hosts_command",
            ("/bin/known", "[h]:2200 x", "HOSTNAME", "a", "2200", "%f"),
        ),
    ],
)
async def test_what_is_honoured(
    ssh_config: SshConfig, setting: str, field: str, value: object
) -> None:
    found = await hop(ssh_config(f"Host a\n HostName h\n Port 2200\n {setting}\n"))
    assert getattr(found, field) == value
    assert found.not_followed == ()


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("SecurityKeyProvider /x", ("SecurityKeyProvider",)),
        ("PKCS11Provider /x", ("PKCS11Provider",)),
        ("CASignatureAlgorithms ssh-ed25519", ("CASignatureAlgorithms",)),
        ("RequiredRSASize 3072", ("RequiredRSASize",)),
        ("HostbasedAuthentication yes", ("HostbasedAuthentication",)),
        ("BindInterface lo", ("BindInterface",)),
        ("StrictHostKeyChecking no", ("StrictHostKeyChecking",)),
        ("StrictHostKeyChecking accept-new", ("StrictHostKeyChecking",)),
        ("StrictHostKeyChecking ask", ()),
        ("UserKnownHostsFile /dev/null", ("UserKnownHostsFile",)),
        ("KnownHostsCommand /bin/known %f", ("KnownHostsCommand",)),
        ("LogLevel DEBUG", ()),
        ("ControlMaster auto\n ControlPath /x/%C\n ControlPersist 1m", ()),
        ("LocalForward 1080 h:80", ()),
        ("SendEnv LC_*\n RequestTTY force\n ForwardX11 yes", ()),
        ("AddKeysToAgent 5m\n ServerAliveInterval 9\n UpdateHostKeys ask", ()),
    ],
)
async def test_what_is_not_followed(
    ssh_config: SshConfig, setting: str, names: tuple[str, ...]
) -> None:
    assert (await hop(ssh_config(f"Host a\n {setting}\n"))).not_followed == names


async def test_the_defaults_are_asked_for_once(ssh_config: SshConfig, tmp_path: Path) -> None:
    environ = ssh_config("Host *\n Ciphers aes256-ctr\n")
    ssh = tmp_path / "bin" / "ssh"
    executable(ssh, f'echo "$*" >> {tmp_path}/asked\n{ssh.read_text().splitlines()[1]}')
    client = OpenSsh(environ)
    for alias in ("a", "b", "c"):
        chain = await client.resolve("me", Destination(alias))
        assert chain.hop.ciphers == ("aes256-ctr",)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert sum("-F none" in line for line in asked) == 1
    assert len(asked) == 4


@pytest.mark.parametrize("kerberos", [True, False])
def test_gssapi_is_told_of_only_where_there_is_kerberos(tmp_path: Path, kerberos: bool) -> None:
    if kerberos:
        executable(tmp_path / "klist", "")
    told = not_followed(
        {"gssapiauthentication": ["yes"]},
        {"gssapiauthentication": ["no"]},
        {"PATH": str(tmp_path)},
    )
    assert told == (("GSSAPIAuthentication",) if kerberos else ())


def test_a_setting_of_a_newer_ssh_is_not_followed() -> None:
    options = parse_dump("port 22\nshinysetting yes\nloglevel DEBUG\n")
    assert not_followed(options, {}, {"PATH": ""}) == ("shinysetting",)
    assert not_followed(options, options, {"PATH": ""}) == ()


def test_two_spellings_of_one_value_are_the_same() -> None:
    assert same(["true"], ["yes"])
    assert not same(["no"], ["yes"])
    assert not same(["no"], None)


def test_a_setting_is_of_one_kind() -> None:
    assert not HONOURED & NEUTRAL
