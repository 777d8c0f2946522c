"""known_hosts files are read and written as ssh(1) and ssh-keygen(1) do."""

import subprocess
from pathlib import Path

import asyncssh
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh.known_hosts import KnownHosts, fingerprint, known_hosts_name


@pytest.fixture(scope="module")
def keys():
    return [asyncssh.generate_private_key("ssh-ed25519").convert_to_public() for _ in range(2)]


def public(key):
    return b" ".join(key.export_public_key().split()[:2]).decode()


def hop(file: Path, host="gpu-01", port=22, alias=None, *more: Path):
    return Hop("node", host, port, "user", host_key_alias=alias, known_hosts_files=(file, *more))


def test_a_missing_file_knows_nothing(tmp_path):
    assert not any(vars_of(KnownHosts().lookup(hop(tmp_path / "none"))))


def vars_of(known):
    return [known.trusted, known.authorities, known.revoked]


@pytest.mark.parametrize(
    ("host", "port", "alias"),
    [
        ("gpu-01", 22, None),
        ("gpu-01", 2222, None),
        ("10.0.0.50", 22, None),
        ("fd00::5", 2222, None),
        ("GPU-01.Example.org", 22, None),
        ("10.0.0.50", 2222, "the-alias"),
    ],
)
@pytest.mark.parametrize("hashed", [False, True])
def test_what_is_accepted_for_good_is_found_again_by_us_and_by_ssh_keygen(
    tmp_path, keys, host, port, alias, hashed
):
    file = tmp_path / "ssh" / "known_hosts"
    if hashed:
        file.parent.mkdir()
        file.write_text(f"other.example {public(keys[1])}\n")
        subprocess.run(["ssh-keygen", "-qHf", file], check=True, capture_output=True)
    target = hop(file, host, port, alias)
    KnownHosts().accept_always(target, keys[0])

    assert KnownHosts().lookup(target).trusted == [keys[0]]
    name = known_hosts_name(target)
    found = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", file], capture_output=True, text=True, check=False
    )
    assert public(keys[0]) in found.stdout
    assert (name in file.read_text()) is not hashed
    if not hashed:  # a file that is there keeps its mode
        assert file.stat().st_mode & 0o777 == 0o600


def test_an_entry_is_not_glued_to_a_last_line_without_newline(tmp_path, keys):
    file = tmp_path / "known_hosts"
    file.write_text(f"other {public(keys[1])}")
    KnownHosts().accept_always(hop(file), keys[0])
    assert KnownHosts().lookup(hop(file)).trusted == [keys[0]]
    assert KnownHosts().lookup(hop(file, "other")).trusted == [keys[1]]


def test_markers_wildcards_and_several_files(tmp_path, keys):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(f"@cert-authority *.lab {public(keys[0])}\n@revoked * {public(keys[1])}\n")
    two.write_text(f"*.lab,!bad.lab {public(keys[1])}\n")
    known = KnownHosts().lookup(hop(one, "gpu.lab", 22, None, two))
    assert (known.trusted, known.authorities, known.revoked) == ([keys[1]], [keys[0]], [keys[1]])
    assert KnownHosts().lookup(hop(two, "bad.lab")).trusted == []


def test_a_broken_line_hides_no_other(tmp_path, keys):
    file = tmp_path / "known_hosts"
    file.write_text(
        f"nonsense\n@bogus x y z\n|1|bad|hash ssh-ed25519 AAAA\ngpu-01 {public(keys[0])}\n"
    )
    assert KnownHosts().lookup(hop(file)).trusted == [keys[0]]
    assert [str(line) for line in KnownHosts().lines(hop(file))] == [f"{file}:4"]


def test_a_change_of_the_file_is_seen(tmp_path, keys):
    file = tmp_path / "known_hosts"
    known_hosts = KnownHosts()
    known_hosts.accept_always(hop(file), keys[0])
    assert known_hosts.lookup(hop(file)).trusted == [keys[0]]
    file.write_text(f"gpu-01 {public(keys[1])}\n# mended\n")
    assert known_hosts.lookup(hop(file)).trusted == [keys[1]]


def test_accepted_once_is_for_this_program_only(tmp_path, keys):
    file = tmp_path / "known_hosts"
    known_hosts = KnownHosts()
    known_hosts.accept_once(hop(file), keys[0])
    assert known_hosts.lookup(hop(file)).trusted == [keys[0]]
    assert known_hosts.lookup(hop(file, "other")).trusted == []
    assert KnownHosts().lookup(hop(file)).trusted == []
    assert not file.exists()


def test_fingerprint_is_what_ssh_keygen_prints(tmp_path, keys):
    file = tmp_path / "key.pub"
    file.write_bytes(keys[0].export_public_key())
    printed = subprocess.run(
        ["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True
    )
    assert fingerprint(keys[0]) == printed.stdout.split()[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(garbage=st.text(max_size=400))
def test_garbage_in_the_file_never_raises_and_never_trusts(tmp_path, garbage):
    file = tmp_path / "known_hosts"
    file.write_text(garbage, encoding="utf-8", errors="surrogatepass")
    known_hosts = KnownHosts()
    assert known_hosts.lookup(hop(file)).trusted == []
    known_hosts.lines(hop(file))
